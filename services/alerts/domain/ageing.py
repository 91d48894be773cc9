"""Decide when an episode that was never resolved has ended all the same.

Alertmanager may truncate a resolve away, or restart and forget; then nobody ever says "resolved".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Ended:
    at: datetime
    reason: str
    detail: str


def ended(
    *,
    last_seen: datetime,
    ends_at: datetime | None,
    now: datetime,
    max_silence: timedelta,
    grace: timedelta,
) -> Ended | None:
    """Whether a firing episode is over, and on which ground.

    Args:
        ends_at: when its sender said it would end unless told again; None when it did not.
        max_silence: longest time an alert that still fires goes unmentioned.
        grace: how late a renewal of `ends_at` may be.
    """
    if ends_at is not None and ends_at + grace < now:
        return Ended(ends_at, "ends-at-passed", f"its sender gave it until {ends_at.isoformat()}")
    if last_seen + max_silence < now:
        hours = max_silence.total_seconds() / 3600
        return Ended(last_seen, "silent-for-too-long", f"not mentioned for {hours:g} h")
    return None
