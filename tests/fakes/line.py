"""The line at the model in memory, by the rules of `domain.line`; tests hold the database's to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from libs.contracts.alerts import Priority
from services.holmesgpt_api.domain.line import Lane, Turn, Waiting, before, decide, full, last_of, turn_of


@dataclass
class MemoryLine:
    lanes: dict[Priority, Lane] = field(default_factory=lambda: {one: Lane(one) for one in Priority})
    last: dict[tuple[Priority, str], int] = field(default_factory=dict)
    held: dict[str, Waiting] = field(default_factory=dict)
    """The one that has waited longest first."""

    def join(self, id_: str, priority: Priority, tenant: str) -> None:
        turn = turn_of(self.lanes[priority].clock, self.last.get((priority, tenant)))
        self.last[priority, tenant] = turn
        self.held[id_] = Waiting(id_, priority, tenant, turn)

    def leave(self, id_: str) -> None:
        """Without a turn."""
        gone = self.held.pop(id_, None)
        if gone is not None:
            own = [one.turn for one in self.lane(gone.priority) if one.tenant == gone.tenant]
            last = last_of(self.lanes[gone.priority].clock, max(own, default=None))
            key = gone.priority, gone.tenant
            self.last[key] = min(self.last[key], last)

    def lane(self, priority: Priority) -> list[Waiting]:
        """Those of a lane, the next one first; of equal numbers the one that has waited longer."""
        return sorted(
            (one for one in self.held.values() if one.priority == priority), key=lambda one: one.turn
        )

    def take(self, running: Mapping[str, int] | None = None, places: int = 0) -> Turn | None:
        if not self.held:
            return None
        first = [lane[0] for one in Priority if (lane := self.lane(one))]
        passed_over = full(running or {}, places)
        free = [
            lane[0]
            for priority in Priority
            if (lane := [one for one in self.lane(priority) if one.tenant not in passed_over])
        ]
        turn = decide(self.lanes.values(), first, next(iter(self.held.values())), not_full=free)
        self.lanes = {lane.priority: lane for lane in turn.lanes}
        del self.held[turn.next.id]
        return turn

    def place(self, id_: str) -> int:
        """From 1."""
        lane = self.lane(self.held[id_].priority)
        rank = [one.id for one in lane].index(id_)
        waiting = {one: len(self.lane(one)) for one in Priority}
        return before(self.lanes.values(), self.held[id_].priority, rank, waiting) + 1
