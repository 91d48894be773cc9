"""Decide how long to wait before asking again: soon while something happens, seldom while nothing does, and seldomer
still while a service is away.
"""

from __future__ import annotations

from datetime import timedelta

BRISK_S = 1.0
QUIET_S = 5.0
"""A person looks up a few times a minute; a new alert shown 5 s late is early enough."""

CALM_AFTER_S = 30.0
"""Seconds without anything new after which the pause grows."""

FIRST_S, LONGEST_S = 1.0, 30.0
"""Of the pauses while a service is away. Half a minute after its return at the latest it is seen."""


def pause_after_answer(*, busy: bool, quiet_s: float) -> float:
    """Seconds until the next round.

    Args:
        busy: something is under way (an investigation runs, an alert is not settled, looks were left over).
        quiet_s: since anything last changed.
    """
    if busy or quiet_s < CALM_AFTER_S:
        return BRISK_S
    # A second more for each half minute of quiet.
    return min(QUIET_S, BRISK_S + quiet_s / CALM_AFTER_S)


def pause_after_failure(failures: int, *, retry_after: timedelta | None, jitter: float) -> float:
    """Seconds until a service that gave no answer is asked again; doubled each time.

    Args:
        failures: in a row, 1 for the first.
        retry_after: what the service asked for; kept, but not beyond the longest pause.
        jitter: -1 to 1; moves the pause by a fifth, so that many watchers do not come back together.
    """
    doubled = FIRST_S * 2.0 ** min(failures - 1, 10)
    asked = retry_after.total_seconds() if retry_after else 0.0
    return min(max(doubled, asked), LONGEST_S) * (1 + jitter / 5)
