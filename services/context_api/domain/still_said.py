"""Which complaints of a program that runs well still hold: not those that its log has left behind.

Decides by the times of lines alone. What a log said an hour before the alert or longer ago, and has not said since though
it goes on, is over. So is what was said only in the first two minutes of a container that has run well since: programs
call whom they need before that one answers, and try again. What comes again in a rhythm of its own (a copy every six
hours) goes on until it has missed it twice, and a log that ends with a complaint tells of no recovery. Lines without a
time hold, and so does all of a log whose newest line is not of now: it may have stopped, or tell a local time, by which a
complaint of this minute looks hours old. Whether a program runs well is for the caller to know: what ended explains itself
in its last words.

Rests on: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ (a ready container has passed its probe),
https://12factor.net/disposability (processes start in any order).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from services.context_api.domain.containers import BACK_OFF_RESET, containers_of, is_ready
from services.context_api.domain.logs import shape_of
from services.context_api.domain.snapshot import ContainerLog, KubeObject

LEFT_BEHIND = timedelta(hours=1)
"""How long before the alert a complaint is of another day's trouble, as `trouble.WINDOW` judges changes."""

STARTS_WITHIN = timedelta(minutes=2)
"""As `verdict.STARTS_WITHIN`: pods that are well have started by then."""

OF_NOW = timedelta(minutes=15)
"""How near to now the newest line of a log has to be for its times to be believed: zones lie at least that far apart."""

OF_OLD = timedelta(days=1)
"""What a program has complained of for so long before an alert, as `settled.LONG_BEFORE`, it does without."""

GOES_ON = 5
"""Lines after a complaint from which the log goes on without it. A guess."""

Timed = tuple[datetime | None, str]


class Over(StrEnum):
    """Why what a log said is over."""

    long_ago = "said long before the alert, and not since"
    at_start = "said only while the program started"


def left_behind(
    lines: Sequence[Timed], started: datetime | None, now: datetime, since: datetime
) -> Mapping[str, Over]:
    """The shapes of lines that the log has left behind. `started`: the container; `since`: when the alert began."""
    shapes: dict[str, list[datetime]] = {}
    for moment, line in lines:
        if moment is not None:
            shapes.setdefault(shape_of(line), []).append(moment)
    every = sorted(moment for times in shapes.values() for moment in times)
    if not every or abs(now - every[-1]) > OF_NOW:
        return {}
    # What is said without a time as well is said now, for all anybody knows.
    timeless = {shape_of(line) for moment, line in lines if moment is None}
    over: dict[str, Over] = {}
    for shape, times in shapes.items():
        if shape in timeless:
            continue
        if _is_old(sorted(times), every, now, since - LEFT_BEHIND):
            over[shape] = Over.long_ago
        elif _of_the_start(max(times), every, started, now):
            over[shape] = Over.at_start
    return over


def over_in(
    pod: KubeObject, log: ContainerLog, lines: Sequence[Timed], now: datetime, since: datetime
) -> Mapping[str, Over]:
    """The same of the lines of a log; nothing of one that is not of a container that runs well."""
    if log.previous or not is_ready(pod):
        return {}
    return left_behind(lines, _start_of(pod, log.container), now, since)


def lives_with(pod: KubeObject, container: str, first: datetime | None, onset: datetime | None) -> bool:
    """Whether a program that is ready does without what it is refused: it complained of that long before the alert, and from
    its own start on or for more than a day. What began an hour or two before an alert may be why it came."""
    if first is None or onset is None or not is_ready(pod) or first >= onset - LEFT_BEHIND:
        return False
    started = _start_of(pod, container)
    from_the_start = started is not None and abs(first - started) <= STARTS_WITHIN
    return from_the_start or first < onset - OF_OLD


def _start_of(pod: KubeObject, container: str) -> datetime | None:
    return next((c.started_at for c in containers_of(pod) if c.name == container), None)


def _is_old(times: Sequence[datetime], every: Sequence[datetime], now: datetime, since: datetime) -> bool:
    last = times[-1]
    if last >= since or not _goes_on(last, every):
        return False
    rhythm = (last - times[0]) / (len(times) - 1) if len(times) > 1 else timedelta(0)
    return now - last >= 2 * rhythm


def _of_the_start(last: datetime, every: Sequence[datetime], started: datetime | None, now: datetime) -> bool:
    if started is None or now - started < BACK_OFF_RESET or not started <= last <= started + STARTS_WITHIN:
        return False
    return _goes_on(last, every)


def _goes_on(last: datetime, every: Sequence[datetime]) -> bool:
    return sum(moment > last for moment in every) >= GOES_ON
