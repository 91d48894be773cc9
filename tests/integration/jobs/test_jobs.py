"""Jobs in a real PostgreSQL, run by a worker in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest
from procrastinate.sql import queries
from sqlalchemy import text

from libs.jobs import JobRun, Retry, current_job
from libs.storage.database import driver
from tests.support.postgres import FreshDatabase, MakeDatabase
from tests.support.queue import MIGRATIONS, Queue

pytestmark = pytest.mark.requirement("API-BR-MQ-001", "API-BR-MQ-003", "INT-BR-WH-007")

SOON = Retry(attempts=3, wait=timedelta(milliseconds=50), factor=1.0)


@pytest.fixture
def fresh(fresh_database: MakeDatabase) -> FreshDatabase:
    made = fresh_database("alerts", "notifications")
    for service in ("alerts", "notifications"):
        made.migrate(service, versions=MIGRATIONS)
    return made


@pytest.fixture
async def queue(fresh: FreshDatabase) -> AsyncIterator[Queue]:
    made = Queue(fresh.url("alerts"))
    yield made
    await made.database.close()


async def test_a_job_runs_with_its_arguments_and_leaves_no_row(queue: Queue):
    seen: list[dict[str, object]] = []

    async def note(**args: object) -> None:
        seen.append(args)

    queue.jobs.task("note", "work", note)
    async with queue.working():
        await queue.defer("note", alert="a/1", tags=["x", None], count=3)
        await queue.reaches()

    assert seen == [{"alert": "a/1", "tags": ["x", None], "count": 3}]
    assert [(end.task, end.outcome) for end in queue.ends] == [("note", "succeeded")]


async def test_a_job_that_was_withdrawn_never_runs_unless_that_was_rolled_back(queue: Queue):
    seen: list[str] = []

    async def note(which: str) -> None:
        seen.append(which)

    queue.jobs.task("note", "work", note)
    async with queue.database.begin() as connection:
        kept, gone = [await queue.jobs.defer(connection, "note", {"which": one}) for one in ("kept", "gone")]

    async def withdraw_then_fail() -> None:
        async with queue.database.begin() as connection:
            await queue.jobs.withdraw(connection, kept)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await withdraw_then_fail()
    async with queue.database.begin() as connection:
        await queue.jobs.withdraw(connection, gone)
    async with queue.working():
        await queue.reaches()
    async with queue.database.begin() as connection:
        await queue.jobs.withdraw(connection, kept)  # it has run: nothing happens

    assert seen == ["kept"]


async def test_a_job_of_a_rolled_back_transaction_does_not_exist(queue: Queue):
    queue.jobs.declare("note", "work")

    async def defer_then_fail() -> None:
        async with queue.database.begin() as connection:
            await connection.execute(text("INSERT INTO effect (name) VALUES ('with the job')"))
            await queue.jobs.defer(connection, "note")
            raise LookupError

    with pytest.raises(LookupError):
        await defer_then_fail()

    assert await queue.states() == {}
    assert await queue.effects() == []


async def test_a_job_exists_as_soon_as_its_transaction_is_committed_and_not_before(queue: Queue):
    queue.jobs.declare("note", "work")

    async with queue.database.begin() as connection:
        await queue.jobs.defer(connection, "note")
        before = await queue.states()

    assert before == {}
    assert await queue.states() == {"todo": 1}


async def test_a_plain_psycopg_connection_defers_in_its_own_transaction(queue: Queue):
    queue.jobs.declare("note", "work")

    async with queue.database.raw_pool(min_size=1, max_size=1) as pool:
        async with pool.connection() as connection:
            await queue.jobs.defer(connection, "note")
            await connection.rollback()
        after_rollback = await queue.states()
        async with pool.connection() as connection:
            await queue.jobs.defer(connection, "note")

    assert after_rollback == {}
    assert await queue.states() == {"todo": 1}


async def test_rows_and_their_job_can_be_one_statement(queue: Queue):
    queue.jobs.declare("note", "work")
    statement, values = queue.jobs.defer_statement("note")
    both = "WITH stored AS (INSERT INTO effect (name) VALUES (%s)) " + statement

    pool = queue.database.raw_pool(min_size=1, max_size=1, autocommit=True)
    async with pool, pool.connection() as connection:
        await connection.execute(both, ("stored", *values))
        with pytest.raises(psycopg.errors.NotNullViolation):
            await connection.execute(both, (None, *values))

    assert await queue.effects() == ["stored"]
    assert await queue.states() == {"todo": 1}


async def test_a_job_of_greater_priority_comes_before_older_ones(queue: Queue):
    async def note(name: str) -> None:
        await queue.record(name)

    queue.jobs.task("step", "work", note)
    queue.jobs.task("drain", "work", note, priority=10)
    queue.jobs.settings = queue.jobs.settings.model_copy(update={"worker_concurrency": 1})
    for n in range(3):
        await queue.defer("step", name=f"step {n}")
    await queue.defer("drain", name="drain")

    async with queue.working():
        await queue.reaches(within=15)

    assert await queue.effects() == ["drain", "step 0", "step 1", "step 2"]


async def test_one_jobs_own_priority_counts_in_its_tasks_place(queue: Queue):
    async def note(name: str) -> None:
        await queue.record(name)

    queue.jobs.task("step", "work", note)
    queue.jobs.settings = queue.jobs.settings.model_copy(update={"worker_concurrency": 1})
    async with queue.database.begin() as conn:
        for name, priority in (("late", -7), ("usual", None), ("early", 3)):
            await queue.jobs.defer(conn, "step", {"name": name}, priority=priority)
        waits = await queue.jobs.any_waiting(conn, "step")

    async with queue.working():
        await queue.reaches(within=15)
    async with queue.database.begin() as conn:
        still = await queue.jobs.any_waiting(conn, "step")

    assert await queue.effects() == ["early", "usual", "late"]
    assert (waits, still) == (True, False)


def test_the_function_we_call_is_the_one_the_library_itself_calls():
    assert "procrastinate_defer_jobs_v1(" in queries["defer_jobs"]
    assert "procrastinate_retry_job_v2(" in queries["retry_job"]
    assert "procrastinate_finish_job_v1(" in queries["finish_job"]


async def test_a_waiting_worker_hears_of_a_new_job_at_once(queue: Queue):
    done = asyncio.Event()

    async def note() -> None:
        done.set()

    queue.jobs.task("note", "work", note)
    queue.jobs.settings = queue.jobs.settings.model_copy(update={"worker_poll": timedelta(hours=1)})
    async with queue.working():
        async with asyncio.timeout(10):
            while not done.is_set():  # until it listens
                await queue.defer("note")
                await asyncio.sleep(0.2)
        await queue.reaches()
        done.clear()

        await queue.defer("note")

        await asyncio.wait_for(done.wait(), 2)


async def test_a_job_for_later_waits_until_it_is_due(queue: Queue):
    async def note() -> None:
        await queue.record("ran")

    queue.jobs.task("note", "work", note)
    async with queue.working():
        await queue.defer("note", in_=timedelta(milliseconds=600))
        await queue.record("deferred")
        await queue.reaches()

    async with queue.database.begin() as connection:
        waited = await connection.scalar(text("SELECT max(at) - min(at) FROM effect"))
    assert await queue.effects() == ["deferred", "ran"]
    assert waited is not None
    assert waited > timedelta(milliseconds=400)


@pytest.mark.requirement("INT-BR-REL-012", "API-BR-MQ-005")
async def test_jobs_with_one_lock_run_one_after_the_other_in_order(queue: Queue):
    running: set[int] = set()
    order: list[int] = []

    async def note(number: int) -> None:
        assert not running
        running.add(number)
        await asyncio.sleep(0.01)
        running.discard(number)
        order.append(number)

    queue.jobs.task("note", "work", note, retry=Retry(attempts=1))
    for number in range(10):
        await queue.defer("note", lock="incident-1", number=number)
    async with queue.working():
        await queue.reaches()

    assert order == list(range(10))


@pytest.mark.requirement("INT-BR-REL-012")
async def test_the_next_job_with_a_lock_starts_as_soon_as_the_lock_is_free(queue: Queue):
    done = asyncio.Event()

    async def note(number: int) -> None:
        if number == 0:
            # What ends before the worker listens wakes nobody: that is what polling is for, and not claimed here.
            await queue.is_listening()
        if number == 2:
            done.set()

    queue.jobs.task("note", "work", note)
    queue.jobs.settings = queue.jobs.settings.model_copy(update={"worker_poll": timedelta(hours=1)})
    for number in range(3):
        await queue.defer("note", lock="incident-1", number=number)
    async with queue.working():
        await asyncio.wait_for(done.wait(), 10)


async def test_jobs_without_a_lock_run_side_by_side(queue: Queue):
    together = asyncio.Barrier(3)

    async def note() -> None:
        async with asyncio.timeout(5):
            await together.wait()

    queue.jobs.task("note", "work", note)
    for _ in range(3):
        await queue.defer("note")
    async with queue.working():
        await queue.reaches()


@pytest.mark.requirement("API-BR-REL-008")
async def test_a_failed_job_is_tried_again_and_knows_which_run_it_is(queue: Queue):
    runs: list[JobRun] = []

    async def flaky() -> None:
        runs.append(current_job())
        if len(runs) < 3:
            raise LookupError("not yet")

    queue.jobs.task("flaky", "work", flaky, retry=SOON)
    async with queue.working():
        await queue.defer("flaky")
        await queue.reaches()

    assert [(job.run, job.last) for job in runs] == [(1, False), (2, False), (3, True)]
    assert [end.outcome for end in queue.ends] == ["retried", "retried", "succeeded"]


@pytest.mark.requirement("API-BR-REL-008")
async def test_a_job_that_always_fails_is_given_up_and_kept_for_the_reader(queue: Queue):
    async def broken() -> None:
        raise LookupError("never")

    queue.jobs.task("broken", "work", broken, retry=SOON)
    async with queue.working():
        await queue.defer("broken")
        await queue.reaches(failed=1)

    assert [end.outcome for end in queue.ends] == ["retried", "retried", "failed"]


async def test_a_run_that_takes_too_long_is_cut_short_and_counts_as_failed(queue: Queue):
    async def stuck() -> None:
        await asyncio.sleep(60)

    queue.jobs.task("stuck", "work", stuck, retry=Retry(attempts=1), max_run=timedelta(milliseconds=50))
    async with queue.working():
        await queue.defer("stuck")
        await queue.reaches(failed=1)

    assert [end.outcome for end in queue.ends] == ["failed"]


async def test_a_stop_lets_a_running_job_finish(queue: Queue):
    begun = asyncio.Event()

    async def brief() -> None:
        begun.set()
        await asyncio.sleep(0.2)
        await queue.record("finished")

    queue.jobs.task("brief", "work", brief)
    async with queue.working() as stop:
        await queue.defer("brief")
        await begun.wait()
        stop.set()

    assert await queue.effects() == ["finished"]
    assert await queue.states() == {}


async def test_a_job_too_long_for_the_stop_goes_back_to_the_queue_at_once(queue: Queue):
    begun = asyncio.Event()

    async def lengthy() -> None:
        begun.set()
        await asyncio.sleep(60)

    queue.jobs.task("lengthy", "work", lengthy, retry=Retry(attempts=1))
    async with queue.working() as stop:
        await queue.defer("lengthy")
        await begun.wait()
        stop.set()

    assert await queue.states() == {"todo": 1}
    assert [end.outcome for end in queue.ends] == ["returned"]


async def test_a_job_longer_than_the_silence_allowed_is_not_given_to_a_second_worker_during_a_stop(
    fresh: FreshDatabase, queue: Queue
):
    patient = queue.jobs.settings.model_copy(update={"worker_graceful_stop": timedelta(seconds=10)})
    first = Queue(fresh.url("alerts"), settings=patient)
    begun = asyncio.Event()

    async def lengthy() -> None:
        begun.set()
        await first.record("begun")
        await asyncio.sleep(2)

    for each in (first, queue):
        each.jobs.task("lengthy", "work", lengthy)
    async with first.working() as stop:
        await first.defer("lengthy")
        await begun.wait()
        stop.set()
        async with queue.working():
            await queue.reaches()

    assert await queue.effects() == ["begun"]
    await first.database.close()


async def test_two_workers_run_every_job_once(fresh: FreshDatabase, queue: Queue):
    second = Queue(fresh.url("alerts"))

    for each in (queue, second):

        async def note(number: int, by: Queue = each) -> None:
            await by.record(str(number))

        each.jobs.task("note", "work", note)
    for number in range(60):
        await queue.defer("note", number=number)
    async with queue.working(), second.working():
        await queue.reaches()

    assert sorted(await queue.effects(), key=int) == [str(number) for number in range(60)]
    await second.database.close()


async def test_services_do_not_see_each_other_s_jobs(fresh: FreshDatabase, queue: Queue):
    other = Queue(fresh.url("notifications"), service="notifications")

    async def note() -> None:
        await queue.record("alerts")

    queue.jobs.task("note", "work", note)
    other.jobs.declare("note", "work")
    await other.defer("note")
    async with queue.working():
        await queue.defer("note")
        await queue.reaches()

    assert await queue.effects() == ["alerts"]
    assert await other.states() == {"todo": 1}
    await other.database.close()


@pytest.mark.requirement("INF-BR-PERF-015")
async def test_a_job_that_failed_long_ago_is_removed_and_a_recent_one_is_kept(queue: Queue):
    for statement in (
        "INSERT INTO procrastinate_jobs (queue_name, task_name) VALUES ('alerts.x', 'old'), ('alerts.x', 'new')",
        "UPDATE procrastinate_jobs SET status = 'failed'",
        (
            "UPDATE procrastinate_events SET at = now() - interval '8 days'"
            " WHERE job_id = (SELECT id FROM procrastinate_jobs WHERE task_name = 'old')"
        ),
        # The periodic job of the library, deferred by hand instead of at night.
        (
            "INSERT INTO procrastinate_jobs (queue_name, task_name, args)"
            " VALUES ('alerts.housekeeping', 'housekeeping', '{\"timestamp\": 0}')"
        ),
    ):
        async with queue.database.begin() as connection:
            await (await driver(connection)).execute(statement)

    async with queue.working():
        await queue.reaches(failed=1)

    async with queue.database.begin() as connection:
        left = await connection.scalars(text("SELECT task_name FROM procrastinate_jobs"))
    assert list(left) == ["new"]


async def test_a_worker_whose_schema_is_missing_says_so_instead_of_waiting_for_ever(
    fresh_database: MakeDatabase,
):
    empty = Queue(fresh_database("alerts").url("alerts"))
    empty.jobs.declare("note", "work")

    with pytest.raises(Exception, match="Database error") as caught:
        await asyncio.wait_for(empty.jobs.run_worker(asyncio.Event()), 10)

    assert isinstance(caught.value.__cause__, psycopg.errors.UndefinedFunction)
    await empty.database.close()
