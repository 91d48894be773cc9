"""The events of one investigation, in memory; fulfils `domain.course.Course`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.course import Chapter, Happened
from tests.support.investigations import NOW


@dataclass
class MemoryCourse:
    id: str = "inv-1"
    seen: tuple[str, ...] = ("shop",)
    ended: bool = False
    away: bool = False
    """True: the database does not answer."""
    kept: list[Happened] = field(default_factory=list)
    looks: list[Mapping[str, int]] = field(default_factory=list)
    reads: int = 0

    def tell(self, *names: str) -> None:
        for name in names:
            self.kept.append(Happened(len(self.kept) + 1, NOW, name, {}))

    async def read(self, investigation_id: str, *, tenant: str, after: int, at_most: int) -> Chapter | None:
        self.reads += 1
        self._serve()
        if (investigation_id, tenant) != (self.id, "default"):
            return None
        events = [one for one in self.kept if one.number > after][:at_most]
        return Chapter(events, tenant, "ana", self.seen, len(self.kept), self.ended)

    async def news(self, after: Mapping[str, int]) -> Collection[str]:
        self.looks.append(after)
        self._serve()
        return [id_ for id_, number in after.items() if self.ended or len(self.kept) > number]

    def _serve(self) -> None:
        if self.away:
            raise StorageUnavailable("unreachable", "away", retry_after=timedelta(seconds=1))
