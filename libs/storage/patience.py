"""A connection that never waits for ever: a server that has stopped answering is left.

The server's own timeouts (`connection.py`) end statements of a server that works. One that is frozen, or
whose network swallows packets, ends nothing; only the client can. psycopg passes every wait through one
method, so that is where the bound stands.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import psycopg
from psycopg import waiting
from psycopg.abc import PQGen

_T = TypeVar("_T")

_CANCELLING_S = 0.5
"""How long a cancelled wait may take to stop its statement in the server before the connection is closed."""


class PatientConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """Waits for one answer of the server no longer than `patience_s`; then it is closed."""

    patience_s: float = 11.0
    """Set by whoever opens it; until then this, which every connecting handshake keeps."""

    async def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = None) -> _T:  # noqa: ASYNC109 - psycopg names it so
        """Raises:
        OperationalError: no answer in time. Whether the statement took effect is open, as after any lost
            connection.
        """
        if timeout is not None:  # the caller has a bound of its own
            return await super().wait(gen, interval, timeout)
        try:
            async with asyncio.timeout(self.patience_s):
                return await waiting.wait_async(gen, self.pgconn.socket, interval=interval)
        except TimeoutError as error:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {self.patience_s:g} s") from error
        except asyncio.CancelledError:
            await self._stop(gen)
            raise

    async def _stop(self, gen: PQGen[Any]) -> None:
        """Stop what the server is doing for a caller who has gone; in bounded time, whatever the server does."""
        try:
            async with asyncio.timeout(_CANCELLING_S):
                await self.cancel_safe(timeout=_CANCELLING_S)
                await waiting.wait_async(gen, self.pgconn.socket, interval=0.1)
        except psycopg.errors.QueryCanceled:
            return  # as asked
        except (psycopg.Error, TimeoutError, asyncio.CancelledError):
            # In an unknown state; a closed connection is at least one that everybody recognises.
            self.pgconn.finish()
