"""Reach PostgreSQL: one small pool per process, every fault in one word.

Which statements are run is the adapters' business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, cast

import orjson
import psycopg
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from libs.storage.awake import awake_timeout
from libs.storage.connection import conninfo
from libs.storage.errors import StorageUnavailable, pause, storage_faults
from libs.storage.patience import PatientConnection
from libs.storage.settings import StorageSettings

_WAY = timedelta(seconds=1)
"""For the server's own word, that a statement took too long, to arrive first."""

RawPool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]


class Database:
    """A service's door to its schema. Building it connects to nothing; the first use does.

    A restarted server is noticed by the check each connection gets before it is lent out, so callers see
    at most the transactions that were under way. A frozen one is left: nobody waits longer for a connection
    than for the pool and a new one together, nor for a statement than the server may take for it.
    """

    def __init__(self, settings: StorageSettings, *, application: str, schema: str | None = None) -> None:
        """Args:
        application: name of the service; PostgreSQL shows it in pg_stat_activity.
        schema: where the service's tables live; by rule the same name.
        """
        self.schema = schema or application
        self.settings = settings
        self._conninfo = conninfo(settings, schema=self.schema, application=application)
        self._acquire_within = settings.database_pool_timeout + settings.database_connect_timeout
        self._answer_within = settings.database_statement_timeout + _WAY
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=self.connect,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_pool_timeout.total_seconds(),
            pool_pre_ping=True,
            # Half an hour: short enough to follow a failover or a rotated password, long enough to be free.
            pool_recycle=1800,
            json_serializer=_to_json,
            json_deserializer=orjson.loads,
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Raises:
            StorageUnavailable: no connection in time, or the server went away, refused or gave up.
        """
        with storage_faults():
            async with AsyncExitStack() as held:
                connection = await self._acquire(held)
                await held.enter_async_context(connection.begin())
                yield connection

    async def _acquire(self, held: AsyncExitStack) -> AsyncConnection:
        try:
            async with awake_timeout(self._acquire_within):
                return await held.enter_async_context(self.engine.connect())
        except TimeoutError as error:
            raise StorageUnavailable("unreachable", "no answer", retry_after=pause()) from error

    async def check(self) -> None:
        """One round trip. Raises `StorageUnavailable` when the database does not answer."""
        async with self.begin() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Give every connection back. The database can be used again afterwards."""
        await self.engine.dispose()

    async def connect(self) -> PatientConnection:
        """A connection outside the pool (a group committer's own). The caller closes it."""
        connection = await PatientConnection.connect(self._conninfo)
        connection.patience_s = self._answer_within.total_seconds()
        return connection

    def raw_pool(self, *, min_size: int, max_size: int, autocommit: bool = False) -> RawPool:
        """A pool of plain psycopg connections, for the few paths where SQLAlchemy's 100 µs matter.

        Not opened: use it with `async with`. Its faults are translated by `storage_faults()`.
        """

        async def configure(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
            await connection.set_autocommit(autocommit)

        return AsyncConnectionPool(
            self._conninfo,
            min_size=min_size,
            max_size=max_size,
            open=False,
            configure=configure,
            check=AsyncConnectionPool.check_connection,
            timeout=self.settings.database_pool_timeout.total_seconds(),
            reconnect_timeout=self.settings.database_pool_timeout.total_seconds(),
            name=self.schema,
        )


async def driver(connection: AsyncConnection) -> psycopg.AsyncConnection[tuple[Any, ...]]:
    """The psycopg connection below, in the same transaction.

    Only inside `Database.begin()`: with `engine.connect()` what is run on it is rolled back in silence.
    """
    raw = await connection.get_raw_connection()
    return cast("psycopg.AsyncConnection[tuple[Any, ...]]", raw.driver_connection)


def _to_json(value: object) -> str:
    return orjson.dumps(value).decode()
