"""Bound what is asked of the database for somebody who waits.

The database's own limits (a turn, a connection, a statement) are each well below what a caller waits, and together
above it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from libs.storage.errors import StorageUnavailable, pause


@asynccontextmanager
async def in_time(left: timedelta) -> AsyncIterator[None]:
    """Give the block up after that time; a statement under way is stopped, its transaction rolled back.

    In time as the caller counts it, this process's own pauses included: it does not wait longer because we stood still.

    Raises:
        StorageUnavailable: it took longer.
    """
    try:
        async with asyncio.timeout(left.total_seconds()) as scope:
            yield
    except TimeoutError as error:
        if not scope.expired():  # somebody else's, who has told nobody
            raise
        said = f"not within the {left.total_seconds():.1f} s that the caller had left"
        raise StorageUnavailable("timeout", said, retry_after=pause()) from error
