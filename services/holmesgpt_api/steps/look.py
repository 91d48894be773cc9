"""Look at an investigation: its result, or how far it is and what has been seen until now."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from libs.auth.principal import Principal
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.ports import Underway
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.domain.so_far import is_for, with_what_was_seen
from services.holmesgpt_api.steps.take import Desk

WITHIN = 1.0
"""Seconds for what comes on top of triage's result. It takes milliseconds."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Looking:
    desk: Desk
    underway: Underway

    async def look(self, investigation_id: str, caller: Principal) -> Record:
        """Raises UnknownInvestigation, StorageUnavailable."""
        record = await self.desk.look(investigation_id, caller)
        if not is_for(record, caller):
            return record
        try:
            async with asyncio.timeout(WITHIN):
                so_far = await self.underway.so_far(record.id)
        except (StorageUnavailable, TimeoutError) as error:
            # What triage has found is there; it is not withheld for what comes on top.
            _log.info("what %s has seen so far is not known: %s", record.id, str(error) or "not in time")
            return record
        return record if so_far is None else with_what_was_seen(record, so_far)
