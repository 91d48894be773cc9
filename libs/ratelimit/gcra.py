"""Decide by GCRA, the leaky bucket that needs one number per key. Pure; the clock is passed in.

Source: ITU-T I.371, the "virtual scheduling" form. The one number is the theoretical arrival time (TAT):
when the next request is due if all come exactly at the allowed rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Literal


@dataclass(frozen=True)
class Limit:
    """`rate` requests in each `per`, of which at most `burst` at once (default: all of them)."""

    rate: int
    per: timedelta
    burst: int | None = None

    def __post_init__(self) -> None:
        if self.rate < 1 or self.per <= timedelta(0) or (self.burst is not None and self.burst < 1):
            raise ValueError(f"rate, period and burst must be positive: {self}")

    @cached_property
    def interval_s(self) -> float:
        """Seconds between two requests at the allowed rate."""
        return self.per.total_seconds() / self.rate

    @cached_property
    def tolerance_s(self) -> float:
        """How many seconds ahead of its time a request may come."""
        return self.interval_s * ((self.burst or self.rate) - 1)


@dataclass(frozen=True)
class Verdict:
    allowed: bool
    retry_after: timedelta
    """Zero when allowed; otherwise the earliest time at which asking again can succeed."""
    reason: Literal["within", "exceeded", "limiter-away"]


WITHIN = Verdict(allowed=True, retry_after=timedelta(0), reason="within")
LIMITER_AWAY = Verdict(allowed=True, retry_after=timedelta(0), reason="limiter-away")


def exceeded(wait_s: float) -> Verdict:
    return Verdict(allowed=False, retry_after=timedelta(seconds=wait_s), reason="exceeded")


def decide(due_s: float | None, now_s: float, limit: Limit, count: int = 1) -> tuple[Verdict, float]:
    """Whether `count` requests at `now_s` are allowed, all or none, and the key's next due time.

    Args:
        due_s: the due time kept for the key; None when nothing is known of it.
    """
    due = max(due_s if due_s is not None else now_s, now_s)
    wait = due + (count - 1) * limit.interval_s - limit.tolerance_s - now_s
    # A microsecond of slack: sums of thirds of a second must not refuse what is exactly on time.
    if wait > 1e-6:
        return exceeded(wait), due
    return WITHIN, due + count * limit.interval_s
