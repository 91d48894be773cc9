"""End episodes that nobody will resolve any more, and forget what is older than the record is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from services.alerts.adapters import episodes, incidents
from services.alerts.adapters.record import Note, Record
from services.alerts.domain.ageing import ended
from services.alerts.steps.drain import SETTLE

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Age:
    record: Record
    max_silence: timedelta
    grace: timedelta
    keep: timedelta
    observe: Callable[[int], None]
    """Told how many episodes were ended."""

    async def __call__(self) -> None:
        while await self._end_some() == _AT_ONCE:
            pass
        await self._settle_missed()
        while await self._forget_some() == _AT_ONCE:
            pass

    async def _end_some(self) -> int:
        async with self.record.begin() as work:
            silent = await episodes.silent(
                work,
                unmentioned_since=work.now - self.max_silence,
                ending_before=work.now - self.grace,
                limit=_AT_ONCE,
            )
            over = []
            for one in silent:
                end = ended(
                    last_seen=one.last_seen,
                    ends_at=one.ends_at,
                    now=work.now,
                    max_silence=self.max_silence,
                    grace=self.grace,
                )
                if end is None:
                    continue
                over.append((one.id, end.at))
                key = f"expired:{end.at.isoformat()}"
                work.note(Note(one.id, key, "expired", f"{end.reason}: {end.detail}"))
            if over:
                await episodes.expire(work, over)
            settled = {one.incident_id for one in silent if one.incident_id}
            if settled:
                work.defer(SETTLE, ids=sorted(settled))
        self.observe(len(over))
        return len(silent)

    async def _settle_missed(self) -> None:
        async with self.record.begin() as work:
            missed = await incidents.burnt_out(work, opened_before=work.now - self.grace, limit=_AT_ONCE)
            if missed:
                work.defer(SETTLE, ids=missed)

    async def _forget_some(self) -> int:
        async with self.record.begin() as work:
            return await episodes.forget(work, older_than=self.keep, limit=_AT_ONCE)
