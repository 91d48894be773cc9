"""`/api/v1/context/monitor/llm-performance` and `/api/v1/context/tuning`: what callers say of the answers they got, what
is left out because of it, and how to put that back."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator

from libs.auth.guards import require_permission
from libs.auth.permissions import Permission
from libs.auth.principal import Principal
from libs.contracts.bundle import InvestigationType
from libs.contracts.problem import Problem
from libs.contracts.tuning import AnswerFeedback, LlmPerformance, Quality, Rollback, Tuning, TuningHistory
from services.context_api.domain.durations import parse_duration
from services.context_api.domain.tiers import Tier
from services.context_api.domain.tuning import Subject
from services.context_api.routes.inputs import EACH_ONCE
from services.context_api.steps.tuning import Tunings

router = APIRouter(prefix="/api/v1/context", tags=["tuning"], dependencies=[EACH_ONCE])

# Not `view:context`: who only reads, a model's tools among them, must not decide what others are given.
Judge = Annotated[Principal, Depends(require_permission(Permission.investigate_alerts))]
Reader = Annotated[Principal, Depends(require_permission(Permission.view_config))]
Admin = Annotated[Principal, Depends(require_permission(Permission.admin_system))]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[!-~]+$",
        description="The same key and feedback count once and get the same answer, another under it 422. Without a "
        "key each request counts.",
    ),
]
RESPONSES: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": said}
    for code, said in {
        403: "No permission",
        422: "Invalid input",
        503: "Nothing is kept: no database is set, or it does not serve",
    }.items()
}


async def _tunings(request: Request) -> Tunings:
    tunings: Tunings = request.app.state.ports.tunings
    return tunings


AtTunings = Annotated[Tunings, Depends(_tunings)]


def _seconds(text: str) -> str:
    """`2.5` are seconds; older callers write durations as Go does (`2.5s`, `800ms`)."""
    try:
        given = float(text)
    except ValueError:
        given = parse_duration(text).total_seconds()
    if not 0 <= given <= 3_600:
        raise ValueError("want a time from 0 to 1h, as seconds or like 2.5s")
    return str(given)


async def _feedback(
    quality: Annotated[Quality | None, Query(description="as in the body")] = None,
    response_time: Annotated[
        str | None, Query(max_length=32, description="seconds, or like `2.5s`"), AfterValidator(_seconds)
    ] = None,
    body: Annotated[AnswerFeedback | None, Body()] = None,
) -> AnswerFeedback:
    said = body or AnswerFeedback()
    asked = {"quality": quality, "response_time": float(response_time) if response_time else None}
    said = said.model_copy(update={name: value for name, value in asked.items() if value is not None})
    if said.quality is None:
        raise RequestValidationError(
            [{"type": "missing", "loc": ("body", "quality"), "msg": "Field required"}]
        )
    return said


async def _subject(tier: Tier, investigation_type: InvestigationType) -> Subject:
    return Subject(tier, investigation_type)


About = Annotated[Subject, Depends(_subject)]


@router.post(
    "/monitor/llm-performance",
    responses={**RESPONSES, 429: {"model": Problem, "description": "More than is counted of one caller"}},
)
async def llm_performance(
    # Whether the caller may comes first: what it sent is nobody's business before.
    caller: Judge,
    said: Annotated[AnswerFeedback, Depends(_feedback)],
    tunings: AtTunings,
    key: Key = None,
) -> LlmPerformance:
    """How good a model's answer was; what is left out of the context follows it, within bounds."""
    return await tunings.feedback(said, key, caller)


@router.get("/tuning", responses=RESPONSES)
async def tuning(caller: Reader, tunings: AtTunings) -> Tuning:
    """What each tier leaves out now, and why."""
    return await tunings.present(caller.tenant)


@router.get("/tuning/{tier}/{investigation_type}", responses=RESPONSES)
async def tuning_history(
    about: About,
    caller: Reader,
    tunings: AtTunings,
    before: Annotated[
        int | None, Query(ge=1, le=2_147_483_647, description="`next_before` of the page before")
    ] = None,
) -> TuningHistory:
    """One tier and investigation type, with every version it had and why."""
    return await tunings.history(caller.tenant, about, before)


@router.post(
    "/tuning/{tier}/{investigation_type}/rollback",
    responses={**RESPONSES, 409: {"model": Problem, "description": "Another version is in force"}},
)
async def rollback(asked: Rollback, about: About, caller: Admin, tunings: AtTunings) -> TuningHistory:
    """Put back what an earlier version left out; nothing moves by itself for a day."""
    return await tunings.roll_back(asked, about, caller)
