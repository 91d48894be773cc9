"""How long a caller still waits (`X-Request-Deadline`, seconds left) and how long it has waited, as a route may ask."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request

DEADLINE = "kubernaut.deadline"
"""Scope key: the caller's deadline as `time.monotonic()`, when it named one."""

ARRIVED = "kubernaut.arrived"
"""Scope key: when the request came in, as `time.monotonic()`: before its body was read and its turn was waited for."""


async def _left(request: Request) -> timedelta | None:
    ends = request.scope.get(DEADLINE)
    return None if ends is None else timedelta(seconds=max(0.0, ends - time.monotonic()))


async def _spent(request: Request) -> timedelta:
    now = time.monotonic()
    return timedelta(seconds=max(0.0, now - request.scope.get(ARRIVED, now)))


TimeLeft = Annotated[timedelta | None, Depends(_left)]
"""What is left of the caller's patience; None when it named none. Relative, so that clocks need not agree."""

TimeSpent = Annotated[timedelta, Depends(_spent)]
"""How long the request has been here: whoever waits has waited for that long, named a deadline or not."""


def within(own: timedelta, callers: timedelta | None) -> timedelta:
    """The shorter of our own limit and what the caller has left."""
    return own if callers is None else min(own, callers)
