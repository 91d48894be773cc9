"""Statements on the driver below belong to the transaction they were run in, and return what SQLAlchemy's would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from libs.storage import Database, StorageUnavailable, statements
from tests.support.postgres import MakeDatabase

pytestmark = pytest.mark.requirement("API-BR-PERF-034")

INSERT = text("INSERT INTO thing (name, kept, told) VALUES (:name, :kept, CAST(:told AS jsonb))")
READ = text(
    "SELECT name, kept, told, name LIKE 'a%' AS a, now()::date - CAST(:back AS integer) AS day FROM thing"
)
NAMED = text("SELECT name FROM thing WHERE name = ANY(:names) ORDER BY name")


@pytest.fixture
async def database(fresh_database: MakeDatabase) -> AsyncIterator[Database]:
    opened = Database(fresh_database("alerts").settings("alerts"), application="alerts")
    async with opened.begin() as conn:
        await conn.execute(text("CREATE TABLE thing (name text PRIMARY KEY, kept interval, told jsonb)"))
    yield opened
    await opened.close()


async def put(database: Database, name: str) -> int:
    values = {"name": name, "kept": timedelta(minutes=5), "told": '{"a": [1, null]}'}
    async with database.begin() as conn:
        return await statements.changed(conn, INSERT, values)


async def test_values_go_in_and_come_back_as_they_are(database: Database):
    assert await put(database, "a:1%") == 1

    async with database.begin() as conn:
        row = await statements.one(conn, READ, {"back": 0})
        theirs = (await conn.execute(READ, {"back": 0})).mappings().one()

    assert row == dict(theirs)
    assert (row["name"], row["kept"], row["told"], row["a"]) == (
        "a:1%",
        timedelta(minutes=5),
        {"a": [1, None]},
        True,
    )


async def test_all_rows_the_first_one_or_none(database: Database):
    for name in ("b", "a"):
        await put(database, name)
    async with database.begin() as conn:
        assert await statements.rows(conn, NAMED, {"names": ["a", "b", "c"]}) == [
            {"name": "a"},
            {"name": "b"},
        ]
        assert await statements.first(conn, NAMED, {"names": ["b", "a"]}) == {"name": "a"}
        assert await statements.first(conn, NAMED, {"names": ["c"]}) is None
        assert await statements.rows(conn, text("DELETE FROM thing"), {}) == []


async def test_what_raises_takes_its_statements_back(database: Database):
    async def put_then_fail() -> None:
        async with database.begin() as conn:
            values = {"name": "a", "kept": None, "told": "null"}
            assert await statements.changed(conn, INSERT, values) == 1
            raise LookupError

    with pytest.raises(LookupError):
        await put_then_fail()

    async with database.begin() as conn:
        assert await statements.rows(conn, NAMED, {"names": ["a"]}) == []


async def test_a_statement_that_takes_too_long_is_told_as_every_other_one_is(database: Database):
    async def sleep() -> None:
        async with database.begin() as conn:
            await conn.execute(text("SET LOCAL statement_timeout = '50ms'"))
            await statements.rows(conn, text("SELECT pg_sleep(:seconds)"), {"seconds": 5})

    with pytest.raises(StorageUnavailable):
        await sleep()
