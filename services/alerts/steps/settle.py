"""Close incidents in which nothing fires any more, and have it told once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from libs.contracts.alerts import Decision
from services.alerts.adapters import incidents
from services.alerts.adapters.record import Note, Record
from services.alerts.domain.telling import Transition


@dataclass(frozen=True, slots=True)
class Settle:
    record: Record

    async def __call__(self, ids: Sequence[str]) -> None:
        async with self.record.begin() as work:
            for incident in await incidents.close_ended(work, ids):
                key = f"closed:{incident.closings}"
                work.note(Note(incident.id, key, "incident-closed", "all its alerts have ended"))
                decision = Decision(
                    subject="notification", outcome="resolved", reason="all-its-alerts-have-ended"
                )
                await incidents.announce(work, incident.id, Transition.resolved, incident.closings, decision)
