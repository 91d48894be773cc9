"""Ages as `kubectl get` writes them: precise while young, coarse when old. Pure.

Source: k8s.io/apimachinery/pkg/util/duration, HumanDuration.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from services.context_api.domain.snapshot import parse_time

UNKNOWN = "<unknown>"


def human(length: timedelta) -> str:
    """`45s`, `3m12s`, `5h7m`, `2d3h`, `40d`, `3y20d`. A recording's clocks may differ by a second; more is `<invalid>`."""
    seconds = int(length.total_seconds())
    if seconds < -1:
        return "<invalid>"
    minutes, hours = seconds // 60, seconds // 3600
    days = hours // 24
    if seconds < 120:
        return f"{max(0, seconds)}s"
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 2 * 365:
        return f"{days}d"
    if days < 8 * 365:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def since(moment: object, now: datetime) -> str:
    """The age of a time as an API server prints it; `<unknown>` for none."""
    parsed = parse_time(moment)
    return UNKNOWN if parsed is None else human(now - parsed)


def _two(large: int, unit: str, small: int, smaller: str) -> str:
    return f"{large}{unit}{small}{smaller}" if small else f"{large}{unit}"
