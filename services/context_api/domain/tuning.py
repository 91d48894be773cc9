"""How much context a tier leaves out, moved by what callers say about the answers they got.

Decides for one subject (a tier and a type of investigation, of one tenant) by the answers since its last change. Worse
answers mean that less is left out, good ones that more is, up to what the tier allows; one step at a time, seldom, and
only when most callers agree. Every decision has a name. Keeping it, and telling people, is others' work.

Source: the customer's BR-CONTEXT-039..043 (correlate the reduction with the quality of answers, adjust it, alert).
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import product

from libs.contracts.bundle import InvestigationType
from services.context_api.domain.tiers import ALLOWANCES, Tier

# Guesses, all of them; to be looked at again with traffic.
LEAST = 10
"""Answers that are judged together, at least. Fewer would follow one bad incident."""
HEARD = 3
"""A caller is heard from so many answers on, so that nobody becomes a second voice by one word."""
LOW, HIGH = 0.70, 0.85
"""Below the first answers are bad, from the second on good. Between them nothing moves, or each step would provoke the
opposite one."""
DROP = 0.10
"""So much worse than before the last change is bad, whatever it was before."""
STEP = 0.10
"""One change. There are five kinds of context, so two steps add or leave out one."""
COOLING = timedelta(hours=1)
"""Between two changes: an investigation takes minutes, and its answer must be one to the change before."""
PROBATION = timedelta(days=7)
"""What made answers worse is not tried again for so long."""
HELD = timedelta(days=1)
"""What a person set is left alone for so long."""
WINDOW = timedelta(days=7)
"""Older answers do not count."""
MOST_AN_HOUR = 60
"""Of one caller about one subject. More would be a loop, and grow the record without telling more."""
NEWEST = 50
"""Of one caller, that are looked at."""


@dataclass(frozen=True, slots=True)
class Subject:
    tier: Tier
    investigation: InvestigationType

    @property
    def most(self) -> float:
        """The largest share that may be left out, and what is left out where nobody said anything."""
        return ALLOWANCES[self.tier].most_left_out

    def __str__(self) -> str:
        return f"{self.tier}/{self.investigation}"


SUBJECTS = tuple(Subject(tier, kind) for tier, kind in product(Tier, InvestigationType))


class Why(StrEnum):
    """Why the share moved, or did not."""

    default = "default"
    worse = "answers-are-bad"
    fell = "answers-got-worse"
    better = "answers-are-good"
    rolled_back = "rolled-back"
    few = "too-few-answers"
    held = "set-by-a-person"
    cooling = "changed-recently"
    bottom = "nothing-is-left-out"
    top = "as-much-left-out-as-allowed"
    probation = "made-answers-worse-recently"
    alone = "one-caller-alone"
    enough = "good-enough"


@dataclass(frozen=True, slots=True)
class Said:
    """What one caller said about one answer, 0 (useless) to 1."""

    caller: str
    quality: float


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a subject stands. Version 0 is what this release brings."""

    version: int
    reduction: float
    changed_at: datetime | None = None
    held_until: datetime | None = None
    baseline: float | None = None
    """How good answers were before the last change; None where that is not known or a person made it."""
    fell_from: float | None = None
    """The last share that made answers worse."""
    fell_at: datetime | None = None
    degraded: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """What follows; the share stays where it is unless `moved`."""

    reduction: float
    moved: bool
    why: Why
    detail: str
    quality: float | None
    """Of the median caller; None while too few have said anything."""
    answers: int
    callers: int
    """Those that are heard, and their answers."""
    degraded: bool


def initial(subject: Subject) -> Standing:
    return Standing(0, subject.most)


def bounded(subject: Subject, reduction: float) -> float:
    """Within what the tier allows, whatever an earlier release wrote down."""
    return round(min(max(reduction, 0.0), subject.most), 3)


def decide(subject: Subject, standing: Standing, said: Sequence[Said], now: datetime) -> Decided:
    """What to leave out from now on. `said`: since the last change, in any order.

    Each caller counts once, by the mean of what it said, so nobody wins by saying it often; and more than half of them
    must agree. A caller alone moves it one step away from what the release brings, and no further.
    """
    present = bounded(subject, standing.reduction)
    heard = _heard(said)
    # `fmean` sums exactly, so that the order in which answers were recorded decides nothing.
    voices = [statistics.fmean(qualities) for qualities in heard]
    answers, callers = sum(map(len, heard)), len(heard)
    quality = round(statistics.median(voices), 4) if answers >= LEAST else None
    best, worst = (statistics.median_high(voices), statistics.median_low(voices)) if voices else (1.0, 0.0)
    fell = standing.baseline is not None and best < standing.baseline - DROP
    degraded = quality is not None and (best < LOW or fell)

    def stay(why: Why, detail: str) -> Decided:
        return Decided(present, False, why, detail, quality, answers, callers, degraded)

    def go(target: float, why: Why, detail: str) -> Decided:
        target = bounded(subject, target)
        if callers == 1 and subject.most - target > STEP + 1e-9 and target < present:
            return stay(Why.alone, "a second caller must say so before more than one step is taken")
        return Decided(target, True, why, detail, quality, answers, callers, degraded)

    if quality is None:
        return stay(Why.few, f"{answers} of {LEAST}")
    if standing.held_until is not None and now < standing.held_until:
        return stay(Why.held, f"until {standing.held_until.isoformat()}")
    if standing.changed_at is not None and now - standing.changed_at < COOLING:
        return stay(Why.cooling, f"at {standing.changed_at.isoformat()}")
    if degraded:
        if present <= 0:
            return stay(Why.bottom, f"quality {quality:.2f}, and there is no more context to give")
        if fell:
            return go(present - STEP, Why.fell, f"quality {quality:.2f}, {standing.baseline:.2f} before")
        return go(present - STEP, Why.worse, f"quality {quality:.2f}, below {LOW:.2f}")
    if worst < HIGH:
        return stay(Why.enough, f"quality {quality:.2f}")
    if present >= subject.most:
        return stay(Why.top, f"quality {quality:.2f}")
    if _failed_there(standing, present + STEP, now):
        return stay(Why.probation, f"{standing.fell_from:.2f} was too much")
    return go(present + STEP, Why.better, f"quality {quality:.2f}, at least {HIGH:.2f}")


def after(standing: Standing, decided: Decided, now: datetime) -> Standing:
    """Where the subject stands once that is done."""
    if not decided.moved:
        return Standing(
            standing.version,
            decided.reduction,
            standing.changed_at,
            standing.held_until,
            standing.baseline,
            standing.fell_from,
            standing.fell_at,
            decided.degraded,
        )
    down = decided.why in (Why.worse, Why.fell)
    return Standing(
        version=standing.version + 1,
        reduction=decided.reduction,
        changed_at=now,
        held_until=None,
        baseline=decided.quality,
        fell_from=standing.reduction if down else standing.fell_from,
        fell_at=now if down else standing.fell_at,
        degraded=decided.degraded,
    )


def rolled_back(standing: Standing, subject: Subject, reduction: float, now: datetime) -> Standing:
    """Where it stands once a person has put it back; judged anew, by answers that are still to come."""
    return Standing(
        version=standing.version + 1,
        reduction=bounded(subject, reduction),
        changed_at=now,
        held_until=now + HELD,
        fell_from=standing.fell_from,
        fell_at=standing.fell_at,
    )


def eased(subject: Subject, reduction: float) -> float:
    """One step less, for an answer whose reader says that answers got worse."""
    return bounded(subject, reduction - STEP)


def room(subject: Subject, tokens: int, reduction: float) -> int:
    """Tokens of an answer that leaves out so much, where `tokens` are those at the most that may be left out."""
    return round(tokens * (1 - bounded(subject, reduction)) / (1 - subject.most))


def _heard(said: Iterable[Said]) -> list[list[float]]:
    """What each caller that is heard said."""
    by_caller: dict[str, list[float]] = defaultdict(list)
    for one in said:
        by_caller[one.caller].append(one.quality)
    return [qualities for qualities in by_caller.values() if len(qualities) >= HEARD]


def _failed_there(standing: Standing, target: float, now: datetime) -> bool:
    if standing.fell_from is None or standing.fell_at is None or now - standing.fell_at >= PROBATION:
        return False
    return target >= standing.fell_from - 1e-9
