"""How long a caller still waits (`X-Request-Deadline`, seconds left), as a route may ask."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request

DEADLINE = "kubernaut.deadline"
"""Scope key: the caller's deadline as `time.monotonic()`, when it named one."""


async def _left(request: Request) -> timedelta | None:
    ends = request.scope.get(DEADLINE)
    return None if ends is None else timedelta(seconds=max(0.0, ends - time.monotonic()))


TimeLeft = Annotated[timedelta | None, Depends(_left)]
"""What is left of the caller's patience; None when it named none. Relative, so that clocks need not agree."""


def within(own: timedelta, callers: timedelta | None) -> timedelta:
    """The shorter of our own limit and what the caller has left."""
    return own if callers is None else min(own, callers)
