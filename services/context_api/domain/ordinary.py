"""Whether a measured value is ordinary for its series: as high as it has long been, or as it is each day or week at this hour.

Decides by the series' own past alone, from a day before the alert back. What was so then, and on every recorded day (or
week) at this hour, began no alert of today. One day of the same is no rule: yesterday may have had the same trouble.
Says nothing of a series that was recorded for a shorter time. What a value means is the analyzers' business.

Rests on: https://sre.google/sre-book/practical-alerting/ (a time series is compared with itself),
https://prometheus.io/docs/prometheus/latest/querying/basics/#offset-modifier.
"""

from __future__ import annotations

from statistics import median

from services.context_api.domain.trend import FEWEST, Points

DAY, WEEK, HOUR = 86_400.0, 7 * 86_400.0, 3600.0
NEARLY = 0.8
"""Part of today's value that it must have had before. A guess: what was a fifth less is no other thing."""

TWICE = 2
"""Earlier days or weeks from which on a rhythm is one."""


def is_ordinary(points: Points, onset: float) -> bool:
    """Whether the value of now was so before: always, or at this hour of the days or weeks before. Seconds since 1970."""
    value = max(points[-1][1], median(v for _, v in points[-FEWEST:]))
    if value <= 0:
        return False
    past = [v for t, v in points if t <= onset - DAY]
    if len(past) >= FEWEST and _is_level(past, value):
        return True
    return comes_again(points, points[-1][0], value)


def comes_again(points: Points, moment: float, value: float) -> bool:
    """Whether a value of that moment was reached at its hour of each recorded day, or each recorded week, before."""
    return any(_recurs(points, moment, value, period) for period in (DAY, WEEK))


def _is_level(past: list[float], value: float) -> bool:
    """Whether it was so nearly all the time, and not in a spell of trouble."""
    return sum(v >= NEARLY * value for v in past) >= NEARLY * len(past)


def _recurs(points: Points, moment: float, value: float, period: float) -> bool:
    times = int((moment - points[0][0] + HOUR) // period)
    if times < TWICE:
        return False
    return all(
        any(v >= NEARLY * value for t, v in points if abs(moment - n * period - t) <= HOUR)
        for n in range(1, times + 1)
    )
