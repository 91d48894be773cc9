from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from libs.storage import Database, StorageUnavailable, storage_faults
from libs.storage.database import driver
from libs.storage.embedded import EmbeddedPostgres
from libs.storage.settings import StorageSettings
from tests.support.postgres import FreshDatabase, MakeDatabase, frozen, kill_postmaster, running_server

pytestmark = pytest.mark.requirement("API-BR-PERF-034", "INT-BR-REL-004")


@pytest.fixture
def fresh(fresh_database: MakeDatabase) -> FreshDatabase:
    return fresh_database("alerts")


@pytest.fixture
async def database(fresh: FreshDatabase) -> AsyncIterator[Database]:
    opened = Database(fresh.settings("alerts"), application="alerts")
    async with opened.begin() as connection:
        await connection.execute(text("CREATE TABLE thing (name text PRIMARY KEY)"))
    yield opened
    await opened.close()


async def count(database: Database) -> int:
    async with database.begin() as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM thing")) or 0)


async def test_what_was_begun_is_committed_when_the_block_ends(database: Database):
    async with database.begin() as connection:
        await connection.execute(text("INSERT INTO thing VALUES ('a')"))

    assert await count(database) == 1


async def test_what_raises_is_rolled_back_and_passes_as_it_is(database: Database):
    async def insert_then_fail() -> None:
        async with database.begin() as connection:
            await connection.execute(text("INSERT INTO thing VALUES ('a')"))
            raise LookupError

    with pytest.raises(LookupError):
        await insert_then_fail()

    assert await count(database) == 0


async def test_the_driver_below_is_in_the_same_transaction(database: Database):
    async def insert_then_fail() -> None:
        async with database.begin() as connection:
            raw = await driver(connection)
            await raw.execute("INSERT INTO thing VALUES ('a')")
            raise LookupError

    with pytest.raises(LookupError):
        await insert_then_fail()

    assert await count(database) == 0


async def test_what_the_driver_alone_has_done_is_committed_too(database: Database):
    async with database.begin() as connection:
        raw = await driver(connection)
        await raw.execute("INSERT INTO thing VALUES ('a')")

    assert await count(database) == 1


async def test_a_violated_constraint_is_no_fault_of_the_database(database: Database):
    with pytest.raises(IntegrityError):
        async with database.begin() as connection:
            await connection.execute(text("INSERT INTO thing VALUES ('a'), ('a')"))


async def test_a_statement_that_never_ends_is_cancelled(fresh: FreshDatabase):
    database = Database(
        fresh.settings("alerts").model_copy(
            update={"database_statement_timeout": timedelta(milliseconds=100)}
        ),
        application="alerts",
    )

    with pytest.raises(StorageUnavailable) as caught:
        async with database.begin() as connection:
            await connection.execute(text("SELECT pg_sleep(30)"))

    assert caught.value.reason == "timeout"
    await database.close()


async def test_when_all_connections_are_lent_the_next_caller_is_told_soon(fresh: FreshDatabase):
    few = fresh.settings("alerts").model_copy(
        update={"database_pool_size": 1, "database_pool_timeout": timedelta(milliseconds=100)}
    )
    database = Database(few, application="alerts")

    async with database.begin():
        began = time.monotonic()
        with pytest.raises(StorageUnavailable) as caught:
            await database.check()

    assert caught.value.reason == "busy"
    assert time.monotonic() - began < 1
    await database.close()


async def test_a_server_that_is_not_there_is_unavailable(fresh: FreshDatabase):
    nowhere = StorageSettings.model_validate({"database_url": "postgresql://alerts@127.0.0.1:1/x"})
    database = Database(nowhere, application="alerts")

    with pytest.raises(StorageUnavailable) as caught:
        await database.check()

    assert caught.value.reason == "unreachable"


async def test_the_server_sees_who_is_connected(database: Database):
    async with database.begin() as connection:
        name = await connection.scalar(text("SHOW application_name"))

    assert name == "kubernaut-alerts"


async def test_a_raw_pool_reaches_the_same_schema_and_translates_its_faults(database: Database):
    async with database.raw_pool(min_size=1, max_size=1) as pool:
        async with pool.connection() as connection:
            await connection.execute("INSERT INTO thing VALUES ('raw')")
        with pytest.raises(StorageUnavailable), storage_faults():
            async with pool.connection(), pool.connection(timeout=0.1):
                pass

    assert await count(database) == 1


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedPostgres]:
    """A server that these tests may kill."""
    with running_server() as server:
        server.provision({"alerts": 4})
        yield server


@pytest.fixture
async def mortal(own_server: EmbeddedPostgres) -> AsyncIterator[Database]:
    own_server.start()
    settings = StorageSettings.model_validate({"database_url": own_server.url("alerts")})
    opened = Database(settings, application="alerts")
    yield opened
    await opened.close()


async def test_a_killed_server_is_named_and_the_same_database_recovers(
    own_server: EmbeddedPostgres, mortal: Database
):
    await asyncio.gather(*(mortal.check() for _ in range(4)))  # four connections that will be stale
    kill_postmaster(own_server)
    with pytest.raises(StorageUnavailable):
        await until_it_fails(mortal)

    own_server.start()

    await asyncio.gather(*(mortal.check() for _ in range(4)))


async def test_a_transaction_under_way_is_unavailable_not_a_driver_s_error(
    own_server: EmbeddedPostgres, mortal: Database
):
    async def interrupted() -> None:
        async with mortal.begin() as connection:
            await connection.execute(text("SELECT 1"))
            own_server.stop()
            await connection.execute(text("SELECT 1"))

    with pytest.raises(StorageUnavailable):
        await interrupted()


async def test_a_commit_that_meets_a_stopped_server_is_unavailable_too(
    own_server: EmbeddedPostgres, mortal: Database
):
    async def interrupted() -> None:
        async with mortal.begin() as connection:
            await connection.execute(text("CREATE TABLE lost (x int)"))
            own_server.stop()

    with pytest.raises(StorageUnavailable):
        await interrupted()

    own_server.start()
    with psycopg.connect(own_server.url("alerts")) as check:
        assert check.execute("SELECT to_regclass('lost')").fetchone() == (None,)


async def test_a_frozen_server_keeps_nobody_who_asks_and_serves_again_when_it_thaws(
    own_server: EmbeddedPostgres, mortal: Database
):
    await asyncio.gather(*(mortal.check() for _ in range(4)))  # four connections that will not answer

    with frozen(own_server):
        began = time.monotonic()
        asked = await asyncio.gather(*(mortal.check() for _ in range(12)), return_exceptions=True)
        waited = time.monotonic() - began

    assert all(isinstance(one, StorageUnavailable) for one in asked), asked
    limits = mortal.settings.database_pool_timeout + mortal.settings.database_connect_timeout
    assert waited < limits.total_seconds() + 3
    await asyncio.gather(*(mortal.check() for _ in range(4)))


async def test_a_server_that_freezes_under_a_statement_is_left_after_the_statement_s_time(
    own_server: EmbeddedPostgres,
):
    quick = StorageSettings.model_validate(
        {"database_url": own_server.url("alerts"), "database_statement_timeout": timedelta(seconds=1)}
    )
    own_server.start()
    database = Database(quick, application="alerts")

    async def meets_the_freeze() -> None:
        async with database.begin() as connection:
            await connection.execute(text("SELECT 1"))
            with frozen(own_server):
                await connection.execute(text("SELECT 2"))

    began = time.monotonic()
    with pytest.raises(StorageUnavailable) as caught:
        await meets_the_freeze()

    assert caught.value.reason == "unreachable"
    assert time.monotonic() - began < 8
    await database.check()
    await database.close()


async def test_a_caller_who_goes_stops_its_statement_and_a_frozen_server_does_not_hold_it(
    own_server: EmbeddedPostgres, mortal: Database
):
    own_server.start()

    async def long_one() -> None:
        async with mortal.begin() as connection:
            await connection.execute(text("SELECT pg_sleep(60)"))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await long_one()
    async with mortal.begin() as connection:
        running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
        assert await connection.scalar(text(running + " AND state = 'active'")) == 0

    impatient = asyncio.create_task(long_one())
    await asyncio.sleep(0.3)
    with frozen(own_server):
        began = time.monotonic()
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        assert time.monotonic() - began < 4
    assert impatient.cancelled()


async def until_it_fails(database: Database) -> None:
    """Backends live on for a moment after their postmaster was killed."""
    async with asyncio.timeout(10):
        while True:
            await database.check()
