"""The promises of the ledger, asked of PostgreSQL and of the fake that unit tests use: one suite for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from libs.contracts.causes import Confidence
from libs.contracts.investigations import InvestigationStatus
from libs.jobs import Jobs
from libs.storage import Database, StorageUnavailable
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.ledger import PostgresLedger
from services.holmesgpt_api.domain.commission import Commission, commission
from services.holmesgpt_api.domain.errors import KeyReused, TooManyInvestigations
from services.holmesgpt_api.domain.ports import Ledger
from services.holmesgpt_api.domain.record import Claimed, Position, Record
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.domain.verdict import Verdict
from tests.fakes.ledger import MemoryLedger
from tests.support.investigations import CHECKOUT, caller, cause, claimed, evidence, found, request
from tests.support.postgres import FreshDatabase, MakeDatabase

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-029")

SERVICE = "holmesgpt_api"
LONG, OVER = timedelta(minutes=5), timedelta(0)


class Makers:
    """Makes ledgers of one kind with a life of the test's choice, over the same rows where it is a database."""

    def __init__(self, kind: str, database: FreshDatabase | None) -> None:
        self.kind, self.database = kind, database

    @asynccontextmanager
    async def ledger(self, life: timedelta = LONG, most_open: int | None = None) -> AsyncIterator[Ledger]:
        if self.database is None:
            yield MemoryLedger(life=life, most_open=most_open)
            return
        database = Database(self.database.settings(SERVICE), application=SERVICE)
        jobs = Jobs(database, service=SERVICE)
        worker.declare(jobs)
        try:
            yield PostgresLedger(database, jobs, life=life, most_open=most_open)
        finally:
            await database.close()


@pytest.fixture(params=["memory", "postgres"])
def make(request: pytest.FixtureRequest) -> Makers:
    if request.param == "memory":
        return Makers("memory", None)
    return Makers("postgres", migrated(request.getfixturevalue("fresh_database")))


@pytest.fixture
def database(fresh_database: MakeDatabase) -> FreshDatabase:
    return migrated(fresh_database)


def migrated(make_database: MakeDatabase) -> FreshDatabase:
    return make_database(SERVICE, migrated=True)


def asked(key: str | None = None, **fields: Any) -> Commission:
    return commission(request(namespace="shop", **fields), caller(), key)


def verdict(**fields: Any) -> Verdict:
    return conclude(found(**fields), CHECKOUT, claimed(), "no-model-configured")


async def taken(ledger: Ledger, **fields: Any) -> Record:
    return (await ledger.open(asked(**fields))).record


async def claim(ledger: Ledger, record: Record) -> Claimed:
    run = await ledger.claim(record.id)
    assert run is not None
    return run


async def test_what_is_taken_is_there_as_it_was_asked(make: Makers):
    async with make.ledger() as ledger:
        record = await taken(ledger, labels={"pod": "checkout-1", "ü": "\\u0000 is no NUL"}, request_id="r")

        again = await ledger.get(record.id, tenant="default")

    assert again is not None
    assert (
        again.request
        == record.request
        == asked(labels={"pod": "checkout-1", "ü": "\\u0000 is no NUL"}, request_id="r").request
    )
    assert (again.status, again.progress, again.seen) == (InvestigationStatus.started, 0, ("shop",))


async def test_the_same_key_gives_the_same_investigation_and_another_request_is_refused(make: Makers):
    async with make.ledger() as ledger:
        first = await ledger.open(asked("key"))
        again = await ledger.open(asked("key"))

        assert (first.new, again.new, again.record.id) == (True, False, first.record.id)
        with pytest.raises(KeyReused) as refused:
            await ledger.open(asked("key", priority="high"))
    assert refused.value.investigation_id == first.record.id


async def test_a_key_used_by_many_at_once_makes_one_investigation(make: Makers):
    async with make.ledger() as ledger:
        opened = await asyncio.gather(*(ledger.open(asked("key")) for _ in range(8)))

    assert len({one.record.id for one in opened}) == 1
    assert sum(one.new for one in opened) == 1


@pytest.mark.requirement("HAPI-038", "HAPI-105")
async def test_of_one_caller_there_are_so_many_at_once_and_of_others_too(make: Makers):
    async with make.ledger(most_open=2) as ledger:
        first, keyed = await taken(ledger), await ledger.open(asked("key"))
        with pytest.raises(TooManyInvestigations, match="you have 2 investigations under way already"):
            await ledger.open(asked("another key"))
        # What is there already costs nothing.
        again = await ledger.open(asked("key"))
        others = [
            await ledger.open(commission(request(namespace="shop"), one, None))
            for one in (caller("bo", namespaces=["*"]), caller(tenant="another", namespaces=["*"]))
        ]
        assert await ledger.conclude(await claim(ledger, first), verdict(), {"shop"})
        room = await ledger.open(asked("another key"))

    assert (again.new, again.record.id) == (False, keyed.record.id)
    assert [one.new for one in (*others, room)] == [True] * 3


@pytest.mark.requirement("HAPI-003", "HAPI-105")
async def test_a_storm_of_others_does_not_keep_the_most_urgent_ones_out(make: Makers):
    async with make.ledger(most_open=2) as ledger:
        for number in range(2):
            await taken(ledger, alert_name=f"Storm{number}")
        urgent = [await ledger.open(asked(f"key-{number}", priority="critical")) for number in range(2)]
        for priority, most in (("high", 2), ("critical", 4)):
            with pytest.raises(TooManyInvestigations, match=f"you have {most} investigations"):
                await taken(ledger, priority=priority)

    assert [one.new for one in urgent] == [True, True]


async def test_who_is_refused_for_too_many_leaves_neither_row_nor_job(database: FreshDatabase):
    async with Makers("postgres", database).ledger(most_open=1) as ledger:
        await taken(ledger)
        counted = await counts(database)
        for _ in range(3):
            with pytest.raises(TooManyInvestigations):
                await taken(ledger)

    assert await counts(database) == counted


async def test_a_verdict_comes_back_as_it_was_given(make: Makers):
    async with make.ledger() as ledger:
        record = await taken(ledger)
        given = verdict()

        assert await ledger.conclude(await claim(ledger, record), given, {"shop", "data", ""})
        ended = await ledger.get(record.id, tenant="default")

    assert ended is not None
    assert ended.verdict == given
    assert (ended.status, ended.progress, ended.ended) == (InvestigationStatus.completed, 100, True)
    assert sorted(ended.seen) == ["", "data", "shop"]


async def test_an_ended_investigation_never_changes(make: Makers):
    async with make.ledger() as ledger:
        record = await taken(ledger)
        run = await claim(ledger, record)
        await ledger.conclude(run, verdict(), ["shop"])
        before = await ledger.get(record.id, tenant="default")

        changes = [
            await ledger.note(run, progress=5, stage="again"),
            await ledger.trouble(run, code="c", detail="d"),
            await ledger.give_up(run, code="c", error="e"),
            await ledger.conclude(run, verdict(), ["other"]),
            await ledger.claim(record.id),
            await ledger.expire(record.id),
        ]
        after = await ledger.get(record.id, tenant="default")

    assert not any(changes)
    assert before is not None
    assert after is not None
    assert (after.verdict, after.seen, after.ended_at) == (before.verdict, before.seen, before.ended_at)


async def test_a_later_run_takes_the_say_from_an_earlier_one(make: Makers):
    async with make.ledger() as ledger:
        record = await taken(ledger)
        early, late = await claim(ledger, record), await claim(ledger, record)

        assert not await ledger.note(early, progress=50, stage="x")
        assert not await ledger.conclude(early, verdict(), [])
        assert not await ledger.give_up(early, code="c", error="e")
        assert await ledger.conclude(late, verdict(), [])
        ended = await ledger.get(record.id, tenant="default")

    assert ended is not None
    assert ended.runs == 2


async def test_progress_never_goes_back(make: Makers):
    async with make.ledger() as ledger:
        record = await taken(ledger)
        run = await claim(ledger, record)
        for progress in (30, 60, 10):
            await ledger.note(run, progress=progress, stage=f"at {progress}")

        now = await ledger.get(record.id, tenant="default")

    assert now is not None
    assert (now.progress, now.stage) == (60, "at 10")


async def test_a_deadline_that_has_passed_ends_it_with_its_last_trouble(make: Makers):
    async with make.ledger(OVER) as ledger:
        record = await taken(ledger)
        run = await claim(ledger, record)
        assert run.time_left <= timedelta(0)
        await ledger.trouble(run, code="context-unavailable", detail="the Context API does not answer")

        expired = await ledger.expire(record.id)
        again = await ledger.expire(record.id)

    assert expired is not None
    assert expired.failure is not None
    assert expired.failure.code == "context-unavailable"
    assert expired.failure.error.startswith("No result within 0 s. Last trouble: the Context API does not")
    assert again is None


async def test_what_has_time_left_does_not_expire(make: Makers):
    async with make.ledger() as ledger:
        record = await taken(ledger)

        assert await ledger.expire(record.id) is None
        run = await claim(ledger, record)

    assert timedelta(minutes=4) < run.time_left <= LONG


async def test_another_tenant_finds_nothing(make: Makers):
    async with make.ledger() as ledger:
        record = await taken(ledger)

        assert await ledger.get(record.id, tenant="acme") is None
        assert await ledger.page("acme", before=None, limit=10) == []
        assert await ledger.get("inv-\0", tenant="default") is None


async def test_those_who_have_ended_are_told_among_many(make: Makers):
    async with make.ledger() as ledger:
        records = [await taken(ledger) for _ in range(3)]
        await ledger.give_up(await claim(ledger, records[1]), code="c", error="e")

        ended = await ledger.ended([record.id for record in records] + ["inv-unknown"])

    assert [record.id for record in ended] == [records[1].id]


@pytest.mark.requirement("HAPI-041")
async def test_pages_follow_each_other_without_gap_or_double(make: Makers):
    async with make.ledger() as ledger:
        records = [await taken(ledger) for _ in range(7)]
        seen: list[str] = []
        before: Position | None = None
        while page := await ledger.page("default", before=before, limit=3):
            seen += [record.id for record in page]
            before = Position.read(Position(page[-1].created_at, page[-1].id).cursor())

    assert seen == [record.id for record in reversed(records)]


async def test_a_list_carries_no_evidence(database: FreshDatabase):
    async with Makers("postgres", database).ledger() as ledger:
        record = await taken(ledger)
        await ledger.conclude(await claim(ledger, record), verdict(), [])

        (line,) = await ledger.page("default", before=None, limit=10)

    assert line.verdict is not None
    assert (line.verdict.results.evidence, line.verdict.summary) == ([], verdict().summary)


async def test_only_ended_investigations_grow_old(make: Makers):
    async with make.ledger() as ledger:
        old, running = await taken(ledger), await taken(ledger)
        await ledger.give_up(await claim(ledger, old), code="c", error="e")

        assert await ledger.forget(older_than=timedelta(days=1), at_most=10) == 0
        assert await ledger.forget(older_than=timedelta(seconds=-1), at_most=10) == 1
        assert await ledger.get(old.id, tenant="default") is None
        assert await ledger.get(running.id, tenant="default") is not None


async def test_what_no_database_text_can_hold_is_replaced_and_nothing_else(database: FreshDatabase):
    odd = evidence("e1", summary="log: \0\0 and \\u0000 and C:\\\\u0000")
    sure = cause(confidence=Confidence(value=1.0, basis=["a \0 in it"]))
    async with Makers("postgres", database).ledger() as ledger:
        record = await taken(ledger)
        await ledger.conclude(await claim(ledger, record), verdict(ranked=[sure], evidence=[odd]), [])
        ended = await ledger.get(record.id, tenant="default")

    assert ended is not None
    assert ended.verdict is not None
    assert ended.verdict.results.evidence[0].summary == "log: \ufffd\ufffd and \\u0000 and C:\\\\u0000"
    assert ended.verdict.confidence_basis == ["a \ufffd in it"]


async def test_row_and_jobs_are_committed_together_or_not_at_all(database: FreshDatabase):
    async with Makers("postgres", database).ledger() as ledger:
        assert isinstance(ledger, PostgresLedger)
        await taken(ledger)
        counted = await counts(database)
        broken = PostgresLedger(ledger._database, Undeferrable(ledger._database, service=SERVICE), life=LONG)
        with pytest.raises(StorageUnavailable):
            await broken.open(asked())

    assert counted == (1, {"conduct": 1, "expire": 1})
    assert await counts(database) == counted


class Undeferrable(Jobs):
    async def defer(self, *_: Any, **__: Any) -> int:
        raise StorageUnavailable("unreachable", "gone between row and job", retry_after=timedelta(seconds=1))


async def counts(database: FreshDatabase) -> tuple[int, dict[str, int]]:
    one = Database(database.settings(SERVICE), application=SERVICE)
    try:
        async with one.begin() as conn:
            rows = await conn.scalar(text("SELECT count(*) FROM investigation"))
            jobs = await conn.execute(
                text("SELECT task_name, count(*) FROM procrastinate_jobs GROUP BY task_name")
            )
            return rows or 0, {row[0]: row[1] for row in jobs}
    finally:
        await one.close()


async def test_the_database_itself_refuses_to_change_an_ended_row(database: FreshDatabase):
    one = Database(database.settings(SERVICE), application=SERVICE)
    async with Makers("postgres", database).ledger() as ledger:
        record = await taken(ledger)
        await ledger.give_up(await claim(ledger, record), code="c", error="e")
    try:
        with pytest.raises(DBAPIError, match="has ended and does not change"):
            async with one.begin() as conn:
                await conn.execute(text("UPDATE investigation SET progress = 1"))
    finally:
        await one.close()


async def held(ledger: Ledger, **fields: Any) -> tuple[Record, Claimed]:
    record = await taken(ledger, **fields)
    run = await claim(ledger, record)
    assert await ledger.hold(run, verdict(), ["data", "shop"])
    return record, run


@pytest.mark.requirement("HAPI-026")
async def test_what_is_held_shows_triages_verdict_and_its_place_in_the_queue(make: Makers):
    async with make.ledger() as ledger:
        records = [(await held(ledger))[0] for _ in range(3)]

        seen = [await ledger.get(record.id, tenant="default") for record in records]

    assert [one.queue_position if one else None for one in seen] == [1, 2, 3]
    for one in seen:
        assert one is not None
        assert (one.status, one.verdict, one.interim) == (InvestigationStatus.running, None, verdict())
        assert one.seen == ("data", "shop")


async def test_it_is_held_once_and_only_by_the_run_that_has_the_say(make: Makers):
    async with make.ledger() as ledger:
        record = await taken(ledger)
        first = await claim(ledger, record)
        second = await claim(ledger, record)

        assert not await ledger.hold(first, verdict(), [])
        assert await ledger.hold(second, verdict(), [])
        assert not await ledger.hold(second, verdict(), [])
        assert await ledger.claim(record.id) is None


async def test_taken_up_it_leaves_the_queue_and_earlier_runs_lose_their_say(make: Makers):
    async with make.ledger() as ledger:
        record, triage = await held(ledger)
        behind, _ = await held(ledger)

        taken_up = await ledger.take_next(1, named=record.id)
        again = await ledger.take_next(1, named=record.id)

        assert taken_up is not None
        assert again is not None
        assert (taken_up.interim, taken_up.run.asker) == (verdict(), "ana")
        assert not await ledger.conclude(triage, verdict(), [])
        assert not await ledger.conclude(taken_up.run, verdict(), [])
        assert await ledger.conclude(again.run, verdict(), ["data", "shop"])
        ended = await ledger.get(record.id, tenant="default")
        left = await ledger.get(behind.id, tenant="default")
    assert ended is not None
    assert left is not None
    assert (ended.status, ended.interim, ended.queue_position) == (InvestigationStatus.completed, None, None)
    assert left.queue_position == 1


async def test_nothing_is_taken_up_that_has_no_interim_verdict(make: Makers):
    async with make.ledger() as ledger:
        record = await taken(ledger)

        assert await ledger.take_next(1, named=record.id) is None
        assert await ledger.take_next(1, named="inv-unknown") is None


@pytest.mark.parametrize("at_the_model", [False, True])
async def test_what_is_held_at_its_deadline_ends_with_triages_verdict(make: Makers, at_the_model: bool):
    async with make.ledger(OVER) as ledger:
        record, _ = await held(ledger)
        if at_the_model:
            await ledger.take_next(1, named=record.id)

        ended = await ledger.expire(record.id)

    assert ended is not None
    assert (ended.status, ended.progress, ended.failure) == (InvestigationStatus.completed, 100, None)
    assert ended.verdict is not None
    assert ended.verdict.results == verdict().results
    assert ended.verdict.degraded_reason == "model-timeout"
    said = "no conclusion by the deadline" if at_the_model else "no place at the model was free"
    assert said in (ended.verdict.degraded_detail or "")


async def test_holding_it_and_the_job_that_takes_it_up_are_one(database: FreshDatabase):
    async with Makers("postgres", database).ledger() as ledger:
        record, _ = await held(ledger)
        connection = Database(database.settings(SERVICE), application=SERVICE)
        async with connection.begin() as conn:
            queued = await conn.execute(
                text(
                    "SELECT queue_name, args->>'investigation_id' FROM procrastinate_jobs WHERE task_name = 'deepen'"
                )
            )
            jobs = [tuple(row) for row in queued.all()]
        await connection.close()

    assert jobs == [("holmesgpt_api.model", record.id)]
