"""Lengths of time as Prometheus and Go write them: `5m`, `1h30m`, `90s`, `1d`."""

from __future__ import annotations

import re
from datetime import timedelta

LONGEST = timedelta(days=366)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|[smhdwy])", re.ASCII)


def parse_duration(text: str) -> timedelta:
    """Read it.

    Raises:
        ValueError: it is none, is zero, or is over a year.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError("want a duration like 5m, 1h30m or 90s")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    length = timedelta(seconds=min(seconds, 2 * LONGEST.total_seconds()))  # a timedelta has an end of its own
    if not timedelta(0) < length <= LONGEST:
        raise ValueError("want a duration between 1ms and 366d")
    return length


def nanoseconds(length: timedelta) -> int:
    """As Go's `time.Duration` travels in JSON."""
    return (length // timedelta(microseconds=1)) * 1000
