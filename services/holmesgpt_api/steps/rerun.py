"""Replay an investigation that has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from libs.auth.principal import Principal
from libs.contracts.replay import ReplayRequest
from services.holmesgpt_api.domain.record import Record
from services.holmesgpt_api.domain.replay import Configured, Replays, chosen, rerun, wants_all
from services.holmesgpt_api.steps.take import Desk


@dataclass(frozen=True, slots=True)
class Rerunning:
    desk: Desk
    replays: Replays
    here: Callable[[], Configured]

    async def replay(
        self, investigation_id: str, request: ReplayRequest, caller: Principal, key: str | None
    ) -> Record:
        """The new investigation; committed when this returns. The same key and request give the same one.

        Raises:
            UnknownInvestigation: or not one this caller may see.
            StillRunning, NothingToReplay, UnknownHere, KeyReused, StorageUnavailable
        """
        record = await self.desk.look(investigation_id, caller)
        here = self.here()
        replay = chosen(request, record.id, here)
        wanted = wants_all(record, caller, replay)
        kept = await self.replays.kept(investigation_id, tenant=caller.tenant, shown=wanted)
        return await self.replays.open(rerun(record, kept, caller, request, replay, here, key))
