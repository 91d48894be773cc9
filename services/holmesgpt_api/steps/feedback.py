"""Take what a caller says of a result."""

from __future__ import annotations

from dataclasses import dataclass

from libs.auth.principal import Principal
from libs.contracts.feedback import FeedbackCounts, FeedbackReceipt, FeedbackRequest
from services.holmesgpt_api.domain.errors import StillRunning
from services.holmesgpt_api.domain.ports import FeedbackBook, Tally
from services.holmesgpt_api.steps.take import Desk


@dataclass(frozen=True, slots=True)
class Opinions:
    desk: Desk
    book: FeedbackBook
    tally: Tally

    async def give(
        self, investigation_id: str, feedback: FeedbackRequest, caller: Principal
    ) -> FeedbackReceipt:
        """Keep it in the place of what this caller has said before.

        Raises:
            UnknownInvestigation: or not one this caller may see.
            StillRunning: there is no result yet to speak of.
            StorageUnavailable
        """
        record = await self.desk.look(investigation_id, caller)
        replaced = await self.book.give(
            record.id, tenant=caller.tenant, caller=caller.name, feedback=feedback
        )
        if replaced is None:
            raise StillRunning(record.id)
        self.tally.feedback(feedback)
        counts = (await self.desk.look(investigation_id, caller)).feedback
        return FeedbackReceipt(
            investigation_id=record.id, replaced=replaced, feedback=counts or FeedbackCounts()
        )
