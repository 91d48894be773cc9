"""Reach PostgreSQL: one small pool per process, every fault in one word.

Which statements are run is the adapters' business.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import orjson
import psycopg
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from libs.storage.connection import conninfo
from libs.storage.errors import storage_faults
from libs.storage.settings import StorageSettings

RawPool = AsyncConnectionPool[psycopg.AsyncConnection[tuple[Any, ...]]]


class Database:
    """A service's door to its schema. Building it connects to nothing; the first use does.

    A restarted server is noticed by the check each connection gets before it is lent out, so callers see
    at most the transactions that were under way.
    """

    def __init__(self, settings: StorageSettings, *, application: str, schema: str | None = None) -> None:
        """Args:
        application: name of the service; PostgreSQL shows it in pg_stat_activity.
        schema: where the service's tables live; by rule the same name.
        """
        self.schema = schema or application
        self.settings = settings
        self._conninfo = conninfo(settings, schema=self.schema, application=application)
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
            async with self.engine.begin() as connection:
                yield connection

    async def check(self) -> None:
        """One round trip. Raises `StorageUnavailable` when the database does not answer."""
        async with self.begin() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        """Give every connection back. The database can be used again afterwards."""
        await self.engine.dispose()

    async def connect(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        """A connection outside the pool (LISTEN, a group committer's own). The caller closes it."""
        return await psycopg.AsyncConnection.connect(self._conninfo)

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
