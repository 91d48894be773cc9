"""Which complaints of a program that runs well still hold: not those that its log has left behind.

Decides by the times of lines alone. What a log said an hour before the alert or longer ago, and has not said since though
it goes on, is over. So is what was said only in the first two minutes of a container that has run well since: programs
call whom they need before that one answers, and try again. What comes again in a rhythm of its own (a copy every six
hours) goes on until it has missed it twice, and a log that ends with a complaint tells of no recovery. Lines without a
time hold. Whether a program runs well is for the caller to know: what ended explains itself in its last words.

Rests on: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ (a ready container has passed its probe),
https://12factor.net/disposability (processes start in any order).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from services.context_api.domain.containers import BACK_OFF_RESET, containers_of, is_ready
from services.context_api.domain.logs import shape_of
from services.context_api.domain.snapshot import ContainerLog, KubeObject

LEFT_BEHIND = timedelta(hours=1)
"""How long before the alert a complaint is of another day's trouble, as `trouble.WINDOW` judges changes."""

STARTS_WITHIN = timedelta(minutes=2)
"""As `verdict.STARTS_WITHIN`: pods that are well have started by then."""

GOES_ON = 5
"""Lines after a complaint from which the log goes on without it. A guess."""

Timed = tuple[datetime | None, str]


def left_behind(
    lines: Sequence[Timed], started: datetime | None, now: datetime, since: datetime
) -> frozenset[str]:
    """The shapes of lines that the log has left behind. `started`: the container; `since`: when the alert began."""
    shapes: dict[str, list[datetime]] = {}
    for moment, line in lines:
        if moment is not None:
            shapes.setdefault(shape_of(line), []).append(moment)
    every = sorted(moment for times in shapes.values() for moment in times)
    # What is said without a time as well is said now, for all anybody knows.
    timeless = {shape_of(line) for moment, line in lines if moment is None}
    return frozenset(
        shape
        for shape, times in shapes.items()
        if shape not in timeless
        and (_is_old(sorted(times), every, now, since - LEFT_BEHIND) or _of_the_start(max(times), every, started, now))
    )  # fmt: skip


def over_in(
    pod: KubeObject, log: ContainerLog, lines: Sequence[Timed], now: datetime, since: datetime
) -> frozenset[str]:
    """The same of the lines of a log; nothing of one that is not of a container that runs well."""
    if log.previous or not is_ready(pod):
        return frozenset()
    started = next((c.started_at for c in containers_of(pod) if c.name == log.container), None)
    return left_behind(lines, started, now, since)


def lives_with(pod: KubeObject, first: datetime | None, onset: datetime | None) -> bool:
    """Whether a program that is ready complained so long before the alert: it does without what it is refused."""
    return first is not None and onset is not None and is_ready(pod) and first < onset - LEFT_BEHIND


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
