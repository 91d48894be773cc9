"""Look at an investigation: its result, or how far it is and what has been seen until now."""

from __future__ import annotations

from dataclasses import dataclass

from libs.auth.principal import Principal
from services.holmesgpt_api.domain.ports import Underway
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.domain.so_far import is_for, with_what_was_seen
from services.holmesgpt_api.steps.take import Desk


@dataclass(frozen=True, slots=True)
class Looking:
    desk: Desk
    underway: Underway

    async def look(self, investigation_id: str, caller: Principal) -> Record:
        """Raises UnknownInvestigation, StorageUnavailable."""
        record = await self.desk.look(investigation_id, caller)
        so_far = await self.underway.so_far(record.id) if is_for(record, caller) else None
        return record if so_far is None else with_what_was_seen(record, so_far, caller)
