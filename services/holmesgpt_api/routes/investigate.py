"""`/api/v1/investigate`: ask for an investigation, ask how far it is, list them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel

from libs.auth.guards import require_permission
from libs.auth.permissions import Permission
from libs.auth.principal import Principal
from libs.contracts.base import PlausibleTime
from libs.contracts.investigations import (
    Investigation,
    InvestigationAccepted,
    InvestigationPage,
    InvestigationRequest,
    InvestigationStatus,
)
from libs.contracts.problem import Problem
from libs.web import TimeLeft, TimeSpent
from services.holmesgpt_api.domain.answer import PATH, investigation
from services.holmesgpt_api.domain.commission import priority_of
from services.holmesgpt_api.domain.filter import Filter
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.steps.browse import browse
from services.holmesgpt_api.steps.look import Looking
from services.holmesgpt_api.steps.recall import Recall
from services.holmesgpt_api.steps.take import Desk

router = APIRouter(prefix=PATH, tags=["investigations"])

Caller = Annotated[Principal, Depends(require_permission(Permission.investigate_alerts))]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="the same key and request give the same investigation; 422 for another request",
    ),
]
Prefer = Annotated[str, Header(max_length=1000, description="`respond-async`: answer 202 at once (RFC 7240)")]
Id = Annotated[str, Path(min_length=1, max_length=64)]

_YAML: dict[str, Any] = {"requestBody": {"content": {"application/yaml": {"schema": {"type": "object"}}}}}
Responses = dict[int | str, dict[str, Any]]
_PROBLEMS: Responses = {
    code: {"model": Problem, "description": said}
    for code, said in {
        403: "No permission, or no right to read the namespace",
        422: "Invalid input, or an Idempotency-Key used for another request",
        429: "As many investigations of this caller are under way as there may be",
        503: "Not recorded, or ended without a result",
    }.items()
}
PROBLEMS_OF_ONE: Responses = {
    **_PROBLEMS,
    404: {"model": Problem, "description": "No such investigation, or not yours to see"},
}


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.ports.desk
    return desk


AtDesk = Annotated[Desk, Depends(_desk)]


async def _looking(request: Request) -> Looking:
    looking: Looking = request.app.state.ports.looking
    return looking


async def _recall(request: Request) -> Recall:
    recall: Recall = request.app.state.ports.recall
    return recall


Past = Annotated[Recall, Depends(_recall)]


@router.post(
    "",
    response_model=Investigation,
    responses={202: {"model": InvestigationAccepted}, **_PROBLEMS},
    openapi_extra=_YAML,
)
async def investigate(
    request: InvestigationRequest,
    caller: Caller,
    desk: AtDesk,
    left: TimeLeft,
    spent: TimeSpent,
    recall: Past,
    key: Key = None,
    prefer: Prefer = "",
) -> Response:
    """Investigate an alert and answer with the result.

    The answer comes within 25 s of the request (`SYNC_ANSWER_TIMEOUT`, or the caller's deadline). When there is no
    result by then it says how far it is, with `status: running` (`started` before anybody has begun with it), and it
    goes on under its id: while a model is still being asked, with triage's result (`engine: triage`,
    `degraded_reason: model-still-running`); before that, with none (`engine: null`,
    `degraded_reason: triage-not-done`). One that could not be recorded in that time is a 503.
    """
    if request.async_processing or "respond-async" in prefer.lower():
        return accepted(await desk.take(request, caller, key))
    until = desk.answer_by(left, spent)
    record = await desk.take_and_wait(request, caller, key, until)
    past = await recall.beside(record, caller, within=until.to_tell)
    return answered(investigation(record, patterns=past))


@router.post(
    "/async",
    status_code=202,
    response_model=InvestigationAccepted,
    responses=_PROBLEMS,
    openapi_extra=_YAML,
)
async def investigate_async(
    request: InvestigationRequest, caller: Caller, desk: AtDesk, key: Key = None
) -> Response:
    """Have an alert investigated; answered once that is committed."""
    return accepted(await desk.take(request, caller, key))


@router.get("/{investigation_id}", response_model=Investigation, responses=PROBLEMS_OF_ONE)
async def look(
    investigation_id: Id, caller: Caller, looking: Annotated[Looking, Depends(_looking)], recall: Past
) -> Response:
    """How far an investigation is, and its result once it has ended.

    While a model is being asked, who may read every namespace that the investigation's asker may is shown triage's result
    with what the model has seen since then (`results.evidence`), and what it has asked and used so far
    (`metadata.model`).
    """
    record = await looking.look(investigation_id, caller)
    # Told with a result only: whoever asks how far it is asks often.
    past = await recall.beside(record, caller) if record.ended else ()
    return answered(investigation(record, patterns=past))


_Text = Annotated[str | None, Query(min_length=1, max_length=1024, pattern="^[^\\x00]+$")]
_Since = Annotated[PlausibleTime | None, Query(description="taken at this time or later")]
_Until = Annotated[PlausibleTime | None, Query(description="taken before this time")]
_Level = Annotated[
    str | None,
    Query(pattern="^(low|medium|high|critical|P[0-3])$", description="`critical` to `low`, or P0 to P3"),
]


async def _filter(
    status: InvestigationStatus | None = None,
    alert_name: _Text = None,
    namespace: Annotated[_Text, Query(description="as the request named it")] = None,
    priority: _Level = None,
    engine: Annotated[
        Literal["triage", "holmesgpt"] | None, Query(description="whose verdict stands")
    ] = None,
    since: _Since = None,
    until: _Until = None,
) -> Filter:
    level = priority_of(priority) if priority else None
    return Filter(status, alert_name, namespace, level, engine, since, until)


@router.get("", responses=_PROBLEMS)
async def list_investigations(
    caller: Caller,
    desk: AtDesk,
    only: Annotated[Filter, Depends(_filter)],
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> InvestigationPage:
    """Investigations the caller may see, newest first. A page may hold fewer than `limit`.

    `next_cursor` is for the same filter; with another one it is refused.
    """
    return await browse(desk.ledger, caller, limit=limit, cursor=cursor, only=only)


def accepted(record: Record) -> Response:
    place = f"{PATH}/{record.id}"
    body = InvestigationAccepted(investigation_id=record.id, message=f"Taken; how far it is: GET {place}")
    return answered(body, 202, {"Location": place})


def answered(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    # Written by pydantic itself: a result may be a megabyte of evidence, and it has been validated.
    return Response(body.model_dump_json(), status, headers, "application/json")
