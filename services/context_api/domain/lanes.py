"""Which question is answered next when more wait than can be answered at once.

Decides by lanes: what is about critical alerts and investigations first, what nobody waits for last, each by its weight,
so that none starves. Within a lane callers take turns, and who asks most is the first to be refused.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from services.context_api.domain.tiers import is_severe


class Lane(StrEnum):
    critical = "critical"
    normal = "normal"
    background = "background"
    """Nobody waits for the answer yet."""


WEIGHTS: Mapping[Lane, int] = {Lane.critical: 8, Lane.normal: 3, Lane.background: 1}
"""Turns of each lane in twelve, where all have somebody waiting. A guess; what counts is that none is 0."""

URGENCY = tuple(Lane)

_WORDS: Mapping[str, Lane] = {
    "critical": Lane.critical,
    "p0": Lane.critical,
    "high": Lane.normal,
    "p1": Lane.normal,
    "medium": Lane.normal,
    "p2": Lane.normal,
    "low": Lane.normal,
    "p3": Lane.normal,
    "background": Lane.background,
}
WORDS = tuple(_WORDS)
"""What a service may say of a question's urgency: an investigation's priority in either of its forms."""


class Why(StrEnum):
    ahead = "gathered-ahead"
    service = "a-service-said-so"
    severity = "alert-severity"
    nothing = "nothing-said"
    ignored = "word-of-no-service"


@dataclass(frozen=True, slots=True)
class Chosen:
    lane: Lane
    why: Why


def choose(*, word: str | None, by_service: bool, severity: str = "", ahead: bool = False) -> Chosen:
    """The lane of one question.

    Args:
        word: one of WORDS in any case, where the request names its urgency.
        by_service: whether one of our services asks, or its engine in a run; nobody else chooses a lane for itself.
        severity: of the alert that is asked about.

    Raises:
        ValueError: a service's word that is none of WORDS.
    """
    if ahead:
        return Chosen(Lane.background, Why.ahead)
    if word is not None and by_service:
        lane = _WORDS.get(word.strip().lower())
        if lane is None:
            raise ValueError(f"want one of {', '.join(WORDS)}")
        return Chosen(lane, Why.service)
    if is_severe(severity):
        return Chosen(Lane.critical, Why.severity)
    return Chosen(Lane.normal, Why.nothing if word is None else Why.ignored)


class Full(Exception):
    """The lane has no room for one more of this caller."""


T = TypeVar("T")


class Waiting(Generic[T]):
    """What waits, by lane and caller. Nothing in it waits or knows the time."""

    def __init__(self, rooms: Mapping[Lane, int]) -> None:
        """`rooms`: how many may wait in each lane."""
        self._rooms = rooms
        self._flows: dict[Lane, OrderedDict[str, deque[T]]] = {lane: OrderedDict() for lane in Lane}
        self._credit = dict.fromkeys(Lane, 0)

    def count(self, lane: Lane) -> int:
        return sum(len(flow) for flow in self._flows[lane].values())

    def __len__(self) -> int:
        return sum(self.count(lane) for lane in Lane)

    def put(self, lane: Lane, caller: str, item: T) -> T | None:
        """Let it wait. What had to give way for it, if anything: the newest of whoever has most waiting there.

        Raises:
            Full: the caller has as much waiting there as anybody.
        """
        flows, displaced = self._flows[lane], None
        if self.count(lane) >= self._rooms[lane]:
            greedy = max(flows.values(), key=len, default=deque[T]())
            if len(greedy) <= len(flows.get(caller, ())) + 1:
                raise Full
            displaced = greedy.pop()
        flows.setdefault(caller, deque()).append(item)
        return displaced

    def take(self) -> T | None:
        """Whose turn it is; None when nothing waits.

        The lane is chosen by smooth weighted round robin: over any twelve turns in which all lanes have somebody
        waiting each gets its weight, spread and not in a row.
        """
        ready = [lane for lane in Lane if self._flows[lane]]
        if not ready:
            return None
        for lane in ready:
            self._credit[lane] += WEIGHTS[lane]
        lane = max(ready, key=lambda one: self._credit[one])
        self._credit[lane] -= sum(WEIGHTS[one] for one in ready)
        flows = self._flows[lane]
        caller, flow = next(iter(flows.items()))
        item = flow.popleft()
        del flows[caller]
        if flow:
            flows[caller] = flow  # behind the others
        else:
            self._rest(lane)
        return item

    def remove(self, lane: Lane, caller: str, item: T) -> bool:
        """Whether it was still waiting there."""
        flow = self._flows[lane].get(caller)
        if flow is None or item not in flow:
            return False
        flow.remove(item)
        if not flow:
            del self._flows[lane][caller]
            self._rest(lane)
        return True

    def _rest(self, lane: Lane) -> None:
        # A lane that had nobody waiting is owed nothing for that time, and owes nothing.
        if not self._flows[lane]:
            self._credit[lane] = 0


def more_urgent(one: Lane, other: Lane) -> bool:
    return URGENCY.index(one) < URGENCY.index(other)
