"""`POST /api/v1/investigate/{id}/approve`: agree to a change that a model wants made, or do not."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from libs.auth.guards import require_permission
from libs.auth.permissions import Permission
from libs.auth.principal import Principal
from libs.contracts.approvals import ApprovalDecision, ToolApproval
from libs.contracts.problem import Problem
from libs.web import Problems, ProblemSpec
from services.holmesgpt_api.domain.answer import PATH
from services.holmesgpt_api.domain.custom.approval import DecidedAlready, TooLate, UnknownApproval
from services.holmesgpt_api.routes.investigate import PROBLEMS_OF_ONE, Id, Responses
from services.holmesgpt_api.steps.approve import Approving

router = APIRouter(prefix=PATH, tags=["investigations"])

Approver = Annotated[Principal, Depends(require_permission(Permission.approve_changes))]

PROBLEMS: Problems = {
    UnknownApproval: ProblemSpec(
        404,
        "unknown-approval",
        detail=lambda _: "this investigation asks for no such approval; see its pending_approvals",
    ),
    DecidedAlready: ProblemSpec(409, "decided-otherwise"),
    TooLate: ProblemSpec(410, "approval-expired"),
}

_DECIDED: Responses = {
    404: {"model": Problem, "description": "No such investigation or approval, or not yours to see"},
    409: {"model": Problem, "description": "Somebody has decided otherwise"},
    410: {"model": Problem, "description": "Nobody decided in time; nothing was done"},
}


async def _approving(request: Request) -> Approving:
    approving: Approving = request.app.state.ports.approving
    return approving


@router.post("/{investigation_id}/approve", responses={**PROBLEMS_OF_ONE, **_DECIDED})
async def approve(
    investigation_id: Id,
    decision: ApprovalDecision,
    caller: Approver,
    approving: Annotated[Approving, Depends(_approving)],
) -> ToolApproval:
    """Agree to exactly this change, or deny it. It is done by the investigation's run, once, after this has answered.

    Needs `approve:changes`: having asked for the investigation is not enough. The same decision again changes nothing.
    """
    return await approving.decide(investigation_id, decision, caller)
