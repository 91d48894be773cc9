"""`/api/v1/analyze/strategies` and `/api/v1/patterns/historical`: two questions of the Go application."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from libs.auth.guards import require_permission
from libs.auth.permissions import Permission
from libs.auth.principal import Principal
from libs.contracts.analysis import PatternRequest, PatternsAnswer, StrategyAnswer, StrategyRequest
from libs.contracts.problem import Problem
from libs.web import TimeLeft, TimeSpent
from services.holmesgpt_api.steps.advise import Advising
from services.holmesgpt_api.steps.recall import Recall

router = APIRouter(prefix="/api/v1", tags=["analysis"])

Caller = Annotated[Principal, Depends(require_permission(Permission.investigate_alerts))]

_YAML: dict[str, Any] = {"requestBody": {"content": {"application/yaml": {"schema": {"type": "object"}}}}}
_Responses = dict[int | str, dict[str, Any]]
_INVALID: _Responses = {422: {"model": Problem, "description": "Invalid input; the detail names the field"}}
_NOT_READABLE: _Responses = {
    403: {"model": Problem, "description": "No permission, or no right to read the namespace"}
}
_NO_DATABASE: _Responses = {503: {"model": Problem, "description": "The database does not serve now"}}


async def _advising(request: Request) -> Advising:
    advising: Advising = request.app.state.ports.advising
    return advising


async def _recall(request: Request) -> Recall:
    recall: Recall = request.app.state.ports.recall
    return recall


@router.post(
    "/analyze/strategies",
    response_model=StrategyAnswer,
    responses={**_NOT_READABLE, **_INVALID},
    openapi_extra=_YAML,
)
async def analyze_strategies(
    request: StrategyRequest,
    caller: Caller,
    advising: Annotated[Advising, Depends(_advising)],
    left: TimeLeft,
    spent: TimeSpent,
) -> StrategyAnswer:
    """Rank strategies for an alert: by how well they fit the cause triage finds, then by what is told of them.

    Without a cause (the Context API is away, the labels name no object) the ranking stands on the caller's own
    numbers alone, and `degraded_reason` says so. Numbers nobody can know are null.
    """
    return await advising.advise(request, caller, left, spent=spent)


@router.post(
    "/patterns/historical",
    response_model=PatternsAnswer,
    responses={**_INVALID, **_NO_DATABASE},
    openapi_extra=_YAML,
)
async def historical_patterns(
    request: PatternRequest,
    caller: Caller,
    recall: Annotated[Recall, Depends(_recall)],
    left: TimeLeft,
    spent: TimeSpent,
) -> PatternsAnswer:
    """What this service's own investigations of the same alert have found, as far as the caller may see them."""
    return await recall.patterns(request, caller, left, spent=spent)
