"""`/api/v1/investigate`: ask for an investigation, ask how far it is, list them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel

from libs.auth.guards import require_permission
from libs.auth.permissions import Permission
from libs.auth.principal import Principal
from libs.contracts.investigations import (
    Investigation,
    InvestigationAccepted,
    InvestigationPage,
    InvestigationRequest,
)
from libs.contracts.problem import Problem
from libs.web import TimeLeft
from services.holmesgpt_api.domain.answer import PATH, investigation
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.steps.browse import browse
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
_Responses = dict[int | str, dict[str, Any]]
_PROBLEMS: _Responses = {
    code: {"model": Problem, "description": said}
    for code, said in {
        403: "No permission, or no right to read the namespace",
        422: "Invalid input, or an Idempotency-Key used for another request",
        503: "Not recorded, or ended without a result",
    }.items()
}
_UNKNOWN: _Responses = {404: {"model": Problem, "description": "No such investigation, or not yours to see"}}


async def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.ports.desk
    return desk


AtDesk = Annotated[Desk, Depends(_desk)]


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
    recall: Past,
    key: Key = None,
    prefer: Prefer = "",
) -> Response:
    """Investigate an alert and answer with the result.

    When there is none within 25 s (`SYNC_ANSWER_TIMEOUT`, or the caller's deadline) the answer says how far it
    is, with `status: running`; it goes on under its id. While a model is still being asked, the answer has
    triage's result (`engine: triage`, `degraded_reason: model-still-running`).
    """
    if request.async_processing or "respond-async" in prefer.lower():
        return _accepted(await desk.take(request, caller, key))
    record = await desk.take_and_wait(request, caller, key, left)
    return _json(investigation(record, patterns=await recall.beside(record, caller)))


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
    return _accepted(await desk.take(request, caller, key))


@router.get("/{investigation_id}", response_model=Investigation, responses={**_PROBLEMS, **_UNKNOWN})
async def look(investigation_id: Id, caller: Caller, desk: AtDesk, recall: Past) -> Response:
    """How far an investigation is, and its result once it has ended."""
    record = await desk.look(investigation_id, caller)
    # Told with a result only: whoever asks how far it is asks often.
    past = await recall.beside(record, caller) if record.ended else ()
    return _json(investigation(record, patterns=past))


@router.get("", responses=_PROBLEMS)
async def list_investigations(
    caller: Caller,
    desk: AtDesk,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> InvestigationPage:
    """Investigations the caller may see, newest first. A page may hold fewer than `limit`."""
    return await browse(desk.ledger, caller, limit=limit, cursor=cursor)


def _accepted(record: Record) -> Response:
    place = f"{PATH}/{record.id}"
    body = InvestigationAccepted(investigation_id=record.id, message=f"Taken; how far it is: GET {place}")
    return _json(body, 202, {"Location": place})


def _json(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    # Written by pydantic itself: a result may be a megabyte of evidence, and it has been validated.
    return Response(body.model_dump_json(), status, headers, "application/json")
