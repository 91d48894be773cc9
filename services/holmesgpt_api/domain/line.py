"""Line: who is next at the model, and how many come before whom.

Pure. `adapters/line.py` keeps the line and asks this inside one transaction; the database counts places by the same rule
(`held_before`, migration 0008).

**Between priorities** turns are dealt by stride (Waldspurger and Weihl, 1995): of two priorities that wait, the more
urgent one has four turns for each turn of the next one below. So what is low is never starved: it waits for 64 critical,
16 high and 4 medium ones at most. What grows while one waits is its claim to a turn and not its age by the clock: by the
clock, a storm of low ones that has waited long would stand before the critical one that comes now.

**Within a priority** tenants take turns, however many each has waiting (start-time fair queueing; Goyal, Vin and Cheng,
1996). Each that is held gets a number then (`turn_of`), and the lowest number is next. Of one tenant the oldest is first.

**A tenant has no more than half of all places** while somebody else waits: turns alone would let runs that take long
fill them. This decides who is passed over now; numbers and places stay as they are.

Before all that comes triage, which takes a tenth of a second: its jobs have an `urgency` when they are made, by the same
strides, so that a storm does not stand before another tenant's single one there either.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from libs.contracts.alerts import Priority

STRIDE: Mapping[Priority, int] = {Priority.p0: 1, Priority.p1: 4, Priority.p2: 16, Priority.p3: 64}
"""How far one turn takes a priority along; the one least far along is next. The table `line` has the same."""


class Why(StrEnum):
    """Why this one was next."""

    age = "waited-longest"
    priority = "more-urgent"
    """Than the one that had waited longest."""
    tenant = "tenants-turn"
    """The one that had waited longest is of a tenant that had its turn."""
    share = "priority-share"
    """A less urgent priority had its turn."""
    full = "tenant-full"
    """Somebody was passed over, whose tenant has half of all places."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The line of one priority."""

    priority: Priority
    passed: int = 0
    """How far along it was when it last had a turn, or when others had theirs while nobody waited in it."""
    clock: int = 0
    """The highest number that was taken from it."""

    @property
    def due(self) -> int:
        return self.passed + STRIDE[self.priority]


@dataclass(frozen=True, slots=True)
class Waiting:
    """One that is held."""

    id: str
    priority: Priority
    tenant: str
    turn: int
    waited: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Turn:
    """Who is next, why, and how the lanes stand then."""

    next: Waiting
    why: Why
    lanes: Sequence[Lane]


def turn_of(clock: int, last: int | None) -> int:
    """The number of one that comes to be held.

    Args:
        clock: its lane's.
        last: the number its tenant was given last in this lane; None: nothing is known of one, or it lies behind the
            clock.
    """
    return clock if last is None else max(clock, last + 1)


def last_of(clock: int, held: int | None) -> int:
    """The last number of a tenant after one of its own has left without a turn: what it had beyond is free again.

    Args:
        held: the highest number that the tenant still has waiting in this lane.
    """
    return clock if held is None else held


def urgency(priority: Priority, waiting: int) -> int:
    """Of the job that triages one; the greatest comes first.

    Args:
        waiting: how many of its tenant and priority wait for triage already.
    """
    return -(waiting + 1) * STRIDE[priority]


def full(running: Mapping[str, int], places: int) -> frozenset[str]:
    """Tenants that have half of all places or more. `places`: of all workers; 0: not known, and nobody is full."""
    most = max(1, (places + 1) // 2)
    return (
        frozenset(tenant for tenant, number in running.items() if number >= most) if places else frozenset()
    )


def decide(
    lanes: Iterable[Lane],
    first: Collection[Waiting],
    longest: Waiting,
    *,
    not_full: Collection[Waiting] | None = None,
) -> Turn:
    """Who is next.

    Args:
        first: of each lane in which somebody waits, the one with the lowest number.
        longest: of all that wait the one that has waited longest.
        not_full: `first` among the tenants that are not full; None: no tenant is. Where all who wait are of full
            tenants, nobody is better off by waiting, and there is no limit.
    """
    by_lane = {lane.priority: lane for lane in lanes}
    unlimited = _least_far_along(by_lane, first)
    chosen = _least_far_along(by_lane, not_full) if not_full else unlimited
    waits = {one.priority for one in first}
    return Turn(chosen, _why(chosen, unlimited, longest), _moved_on(by_lane.values(), chosen, waits))


def _least_far_along(lanes: Mapping[Priority, Lane], first: Collection[Waiting]) -> Waiting:
    return min(first, key=lambda one: (lanes[one.priority].due, one.priority))


def _why(chosen: Waiting, unlimited: Waiting, longest: Waiting) -> Why:
    if chosen.id != unlimited.id:
        return Why.full
    if chosen.id == longest.id:
        return Why.age
    if chosen.priority == longest.priority:
        return Why.tenant
    return Why.priority if chosen.priority < longest.priority else Why.share


def _moved_on(lanes: Iterable[Lane], chosen: Waiting, waits: Collection[Priority]) -> list[Lane]:
    every = list(lanes)
    # Also where the chosen one went before its turn, since others were full: it begins to wait anew, and owes nothing.
    now = min(lane.due for lane in every if lane.priority in waits)
    return [_lane_after(lane, chosen, now, waits) for lane in every]


def _lane_after(lane: Lane, chosen: Waiting, now: int, waits: Collection[Priority]) -> Lane:
    if lane.priority == chosen.priority:
        return replace(lane, passed=now, clock=max(lane.clock, chosen.turn))
    # Where nobody waits no claim grows; or a priority that was not asked for all day would have the evening alone.
    return lane if lane.priority in waits else replace(lane, passed=max(lane.passed, now))


def before(lanes: Iterable[Lane], priority: Priority, rank: int, waiting: Mapping[Priority, int]) -> int:
    """How many come before one, if nobody joins or leaves and no tenant is full.

    Args:
        rank: how many of its own priority come before it.
        waiting: how many wait in each lane.
    """
    by_lane = {lane.priority: lane for lane in lanes}
    mine = by_lane[priority]
    due = mine.passed + (rank + 1) * STRIDE[priority]
    others = (lane for lane in by_lane.values() if lane.priority != priority)
    return rank + sum(min(waiting.get(lane.priority, 0), _turns_until(lane, due, mine)) for lane in others)


def _turns_until(lane: Lane, due: int, mine: Lane) -> int:
    """Turns of a lane before another one's turn at `due`; at one moment the more urgent one is first."""
    until = due if lane.priority < mine.priority else due - 1
    return max(0, (until - lane.passed) // STRIDE[lane.priority])
