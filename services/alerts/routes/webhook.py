"""Where alerts come in: Alertmanager's webhook, and the address that older callers know.

Dispatched before FastAPI: its own part would be most of the request (libs.web.fast).
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.auth import NotAuthenticated, Refusal
from libs.contracts.alerts import AlertmanagerWebhook, AlertReceipt, OldGatewayAnswer
from libs.contracts.problem import Problem
from libs.web import FastRequest, FastResponse, fast_route
from services.alerts.domain.errors import AlertsError
from services.alerts.domain.webhook import Reading, Result
from services.alerts.routes.problems import PROBLEMS, answer, fields, retry_after
from services.alerts.steps.receive import Receive

PATH = "/api/v1/webhooks/alertmanager"
OLD_PATH = "/alerts"


class _Receipt(msgspec.Struct, frozen=True):
    """`AlertReceipt`, written by msgspec: a tenth of pydantic's time."""

    status: str
    accepted: int
    rejected: int
    results: list[Result]


class _OldAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the 2025 gateway answered; a success has a message, a failure an error."""

    status: str
    message: str = ""
    error: str = ""


_encode = msgspec.json.Encoder().encode


async def alertmanager(request: FastRequest) -> FastResponse:
    """Take a webhook body of Alertmanager (version 4).

    202 after everything `accepted` in it is durable; alerts are judged one by one, so one that is refused
    drops none of its neighbours. The same body again is the same alerts. 503 with Retry-After when it could
    not be committed: Alertmanager sends it again.
    """
    try:
        reading = await _receive(request)
    except AlertsError as error:
        return answer(error, request.path)
    return FastResponse(202, _encode(_receipt(reading)))


async def older_callers(request: FastRequest) -> FastResponse:
    """Take the same body, answered as the 2025 gateway did: 200 with `status` and `message`."""
    try:
        reading = await _receive(request, needs_receiver=False)
    except AlertsError as error:
        said = "; ".join(f"{one.field} {one.reason}" for one in fields(error)) or str(error)
        # That gateway knew 400 for whatever was wrong with a body.
        status = 400 if PROBLEMS[type(error)].status == 422 else PROBLEMS[type(error)].status
        return FastResponse(status, _encode(_OldAnswer("error", error=said)), headers=retry_after(error))
    refused = f", {len(reading.rejected)} refused" if reading.rejected else ""
    said = f"{len(reading.alerts)} alerts accepted{refused}"
    return FastResponse(200, _encode(_OldAnswer("success", message=said)))


async def _receive(request: FastRequest, *, needs_receiver: bool = True) -> Reading:
    if request.principal is None:
        raise NotAuthenticated(Refusal.no_credentials)
    receive: Receive = request.app.state.ports.receive
    return await receive(await request.body(), request.principal, needs_receiver=needs_receiver)


def _receipt(reading: Reading) -> _Receipt:
    accepted = len(reading.alerts)
    return _Receipt("accepted", accepted, len(reading.results) - accepted, reading.results)


_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "Not JSON"},
    413: {"model": Problem, "description": "Larger than MAX_BODY_BYTES"},
    415: {"model": Problem, "description": "Not application/json"},
    422: {"model": Problem, "description": "Not a webhook body, or none of its alerts could be taken"},
    503: {"model": Problem, "description": "Not committed; send it again after Retry-After"},
}

ROUTES = [
    fast_route(
        "POST",
        PATH,
        alertmanager,
        permission="ingest:alerts",
        summary="Take alerts from Alertmanager",
        request_model=AlertmanagerWebhook,
        response_model=AlertReceipt,
        status=202,
        responses=_REFUSALS,
        tags=["webhooks"],
    ),
    fast_route(
        "POST",
        OLD_PATH,
        older_callers,
        permission="ingest:alerts",
        summary="Take alerts from older callers",
        request_model=AlertmanagerWebhook,
        response_model=OldGatewayAnswer,
        responses={
            code: {"model": OldGatewayAnswer, "description": said["description"]}
            for code, said in _REFUSALS.items()
            if code in (400, 503)
        },
        tags=["webhooks"],
    ),
]
