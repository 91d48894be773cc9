"""Decide which of the listed things to look at in full, and remember a bounded number of them.

A list says little and costs little; a full look says everything and costs a call each. So a thing is looked at when
it is new, when its line in the list changed, and now and then while something is still to be expected of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

REMEMBERED = 500
"""Things at most. Above what one round can list (200 firing and 200 newest), so that nothing listed is forgotten."""

LOOKS = 10
"""Full looks in one round; the rest waits for the next. A storm is then shown late, and asks no more of a service."""

AGAIN_S = 1.5
"""Seconds between two looks at a thing that is not settled."""

PATIENCE_S = 900.0
"""After this nothing more is expected of a thing that did not settle. Half of what an investigation may take."""

Sight = TypeVar("Sight")


@dataclass(slots=True)
class _Kept(Generic[Sight]):
    mark: Hashable
    sight: Sight | None
    open: bool
    settled: bool
    looked: float
    since: float


class Memory(Generic[Sight]):
    """What is known of alerts, or of investigations."""

    def __init__(self, *, at_most: int = REMEMBERED) -> None:
        self._kept: OrderedDict[str, _Kept[Sight]] = OrderedDict()
        self._at_most = at_most

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, id_: str) -> bool:
        return id_ in self._kept

    def sight(self, id_: str) -> Sight | None:
        kept = self._kept.get(id_)
        return kept.sight if kept else None

    def sights(self) -> list[Sight]:
        """Everything that was looked at, in no order that means anything."""
        return [kept.sight for kept in self._kept.values() if kept.sight is not None]

    def due(self, listed: Iterable[tuple[str, Hashable]], now: float) -> list[str]:
        """Ids to look at in this round, in the order of the list."""
        due = []
        for id_, mark in listed:
            kept = self._kept.get(id_)
            if kept is None:
                due.append(id_)
                continue
            self._kept.move_to_end(id_)
            if kept.mark != mark or self._wants_another_look(kept, now):
                due.append(id_)
        return due

    def missing(self, listed: Iterable[tuple[str, Hashable]]) -> list[str]:
        """Ids of open things that are not listed: newer ones pushed them off, or they ended."""
        seen = {id_ for id_, _ in listed}
        return [id_ for id_, kept in self._kept.items() if kept.open and id_ not in seen]

    def waiting(self, now: float) -> bool:
        """Whether anything may settle soon."""
        return any(not kept.settled and now - kept.since < PATIENCE_S for kept in self._kept.values())

    def remember(
        self, id_: str, mark: Hashable, sight: Sight | None, *, is_open: bool, settled: bool, now: float
    ) -> Sight | None:
        """Keep what was seen; returns what was seen before.

        Args:
            is_open: it has not ended.
            settled: nothing is to be expected of it until its line in the list changes.
        """
        before = self._kept.pop(id_, None)
        since = before.since if before is not None and before.mark == mark else now
        self._kept[id_] = _Kept(mark, sight, is_open, settled, looked=now, since=since)
        self._forget()
        return before.sight if before else None

    def drop(self, id_: str) -> None:
        """It no longer exists, or not for us."""
        self._kept.pop(id_, None)

    def _wants_another_look(self, kept: _Kept[Sight], now: float) -> bool:
        return not kept.settled and now - kept.looked >= AGAIN_S and now - kept.since < PATIENCE_S

    def _forget(self) -> None:
        if len(self._kept) <= self._at_most:
            return
        # What was listed longest ago goes first, and what has ended before what has not.
        gone = next((id_ for id_, kept in self._kept.items() if not kept.open), next(iter(self._kept)))
        del self._kept[gone]
