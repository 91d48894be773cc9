"""Values of metrics over time, as a monitored system draws them: levels with noise, and what follows on them.

Pure: the same words give the same values, so that a recording can be made again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

Values = list[float]


def about(level: float, count: int, *, noise: float = 0.04, of: str = "") -> Values:
    """`count` values around a level.

    Args:
        noise: largest distance from it, as a fraction of it. of: what is measured; tells one series from another.
    """
    return [level * (1 + noise * _swing(n, f"{of}/{level}")) for n in range(count)]


def slope(begin: float, end: float, count: int, *, noise: float = 0.01, of: str = "") -> Values:
    """`count` values on the way from one level to another."""
    step = (end - begin) / max(1, count - 1)
    reach = noise * max(abs(begin), abs(end))
    return [begin + step * n + reach * _swing(n, f"{of}/{begin}/{end}") for n in range(count)]


def whole(values: Sequence[float]) -> Values:
    """Counts are whole and never below zero."""
    return [float(max(0, round(value))) for value in values]


def _swing(n: int, of: str) -> float:
    """A number of [-1, 1)."""
    digest = hashlib.sha256(f"{n}/{of}".encode()).hexdigest()
    return int(digest[:8], 16) / 0x80000000 - 1
