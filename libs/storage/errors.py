"""Name what can go wrong with the database, in words that know neither driver nor HTTP.

A fault of the connection, of the server or of contention becomes `StorageUnavailable`: nothing is wrong
with the request, and it may succeed when asked again. A mistake of ours (bad SQL, a violated constraint)
stays what it is, so that it is seen.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal

import psycopg
from sqlalchemy import exc as sa

UnavailableReason = Literal["unreachable", "busy", "timeout", "conflict", "full", "read-only"]

# The class of an SQLSTATE (its first two characters) says whose fault it is:
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_BY_CLASS: dict[str, UnavailableReason] = {
    "08": "unreachable",  # connection exception
    "40": "conflict",  # serialization failure, deadlock
    "53": "full",  # out of disk, of memory
    "57": "unreachable",  # administrator or crash shutdown, server still starting
    "58": "unreachable",  # the server's own I/O failed
}
_BY_STATE: dict[str, UnavailableReason] = {
    "25006": "read-only",  # connected to what has become a standby
    "25P03": "timeout",  # idle in transaction for too long
    "53300": "busy",  # too many connections
    "55P03": "timeout",  # lock not available in time
    "57014": "timeout",  # statement timeout
}


CROWDED = ("too many connections", "too many clients", "connection slots are reserved")
"""What PostgreSQL says to who comes when a role, a database or the server has no connection left. libpq passes the
words on, but not their SQLSTATE; with another language than English set for its messages this is `unreachable`."""


class StorageError(Exception):
    """Something about the database that a caller may want to know."""


class StorageUnavailable(StorageError):
    """The database cannot serve this now. Ask again after `retry_after`.

    Raised while committing, it leaves open whether the transaction took place: only work that may be
    repeated (an idempotency key, a unique constraint) can be safely asked again.
    """

    def __init__(self, reason: UnavailableReason, detail: str, *, retry_after: timedelta) -> None:
        super().__init__(f"database {reason}: {detail}")
        self.reason = reason
        self.retry_after = retry_after


class MigrationFailed(StorageError):
    """The schema could not be brought to this code's state; nothing of the attempt remains."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"schema {service}: {reason}")
        self.service = service


def why_unavailable(error: BaseException) -> UnavailableReason | None:
    """The reason when it is the database that cannot serve; None when the error is the caller's own."""
    if isinstance(error, sa.TimeoutError):
        return "busy"
    if isinstance(error, sa.DBAPIError):
        lost = error.connection_invalidated
        return (why_unavailable(error.orig) if error.orig else None) or ("unreachable" if lost else None)
    if not isinstance(error, psycopg.Error):
        return None
    if error.sqlstate:
        return _BY_STATE.get(error.sqlstate) or _BY_CLASS.get(error.sqlstate[:2])
    if type(error).__name__ in {"PoolTimeout", "TooManyRequests"}:
        return "busy"
    if _crowded(error):
        return "busy"
    # Without an SQLSTATE the server has said nothing: the connection is the fault.
    return "unreachable" if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)) else None


def _crowded(error: BaseException) -> bool:
    if isinstance(
        error, sa.DBAPIError
    ):  # whose own text has the statement and its values, which anybody may have sent
        return error.orig is not None and _crowded(error.orig)
    return isinstance(error, psycopg.OperationalError) and any(words in str(error) for words in CROWDED)


def pause() -> timedelta:
    """When to ask again: about as long as a restart takes, spread so that callers do not return together."""
    return timedelta(seconds=random.uniform(1.0, 3.0))


@contextmanager
def storage_faults() -> Iterator[None]:
    """Translate the driver's faults into `StorageUnavailable`, whichever driver layer raised them."""
    try:
        yield
    except (sa.SQLAlchemyError, psycopg.Error) as error:
        reason = why_unavailable(error)
        if reason is None:
            raise
        # The driver's own text may carry host names, SQL and parameters: they are left out.
        said = "too many connections" if _crowded(error) else type(error).__name__
        raise StorageUnavailable(reason, said, retry_after=pause()) from error
