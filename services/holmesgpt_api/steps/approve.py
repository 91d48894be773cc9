"""Take a person's word about a change that a model wants made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from libs.auth.principal import Principal
from libs.contracts.approvals import ApprovalDecision, ToolApproval
from services.holmesgpt_api.domain.answer import told
from services.holmesgpt_api.domain.custom.approval import Approval
from services.holmesgpt_api.steps.take import Desk


class Book(Protocol):
    """Where decisions are kept. Raises `StorageUnavailable` when the database does not serve."""

    async def decide(
        self, investigation: str, approval_id: str, *, approved: bool, by: str, comment: str | None
    ) -> Approval: ...


@dataclass(frozen=True, slots=True)
class Approving:
    desk: Desk
    book: Book

    async def decide(
        self, investigation_id: str, decision: ApprovalDecision, caller: Principal
    ) -> ToolApproval:
        """Keep who has decided what. The same decision again changes nothing.

        Raises:
            UnknownInvestigation: or not one this caller may see.
            UnknownApproval: this one asks for no such thing.
            DecidedAlready: otherwise.
            TooLate: nobody decided in time, or its run has ended.
            StorageUnavailable
        """
        record = await self.desk.look(investigation_id, caller)
        return told(
            await self.book.decide(
                record.id,
                decision.approval_id,
                approved=decision.approved,
                by=caller.name,
                comment=decision.comment,
            )
        )
