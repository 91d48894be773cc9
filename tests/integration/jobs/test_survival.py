"""Jobs when their worker or their database is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from libs.jobs import Retry
from libs.jobs.retry import RESCUES
from libs.storage.embedded import EmbeddedPostgres
from tests.support.postgres import FreshDatabase, MakeDatabase, databases, kill_postmaster, running_server
from tests.support.queue import MIGRATIONS, Queue, WorkerProcess, register

pytestmark = pytest.mark.requirement("INF-BR-REL-004", "INT-BR-REL-004", "API-BR-MQ-003")


@pytest.fixture
def fresh(fresh_database: MakeDatabase) -> FreshDatabase:
    made = fresh_database("alerts")
    made.migrate("alerts", versions=MIGRATIONS)
    return made


@pytest.fixture
async def queue(fresh: FreshDatabase) -> AsyncIterator[Queue]:
    made = Queue(fresh.url("alerts"))
    yield made
    await made.database.close()


async def test_a_job_whose_worker_was_killed_is_run_by_another(fresh: FreshDatabase, queue: Queue):
    register(queue)
    doomed = WorkerProcess(fresh.url("alerts"))
    try:
        await queue.defer("slow", name="job", seconds=2)
        async with asyncio.timeout(20):
            while await queue.effects() != ["job begun"]:
                await asyncio.sleep(0.02)
    finally:
        doomed.kill()
    assert await queue.states() == {"doing": 1}

    async with queue.working():
        await queue.reaches()

    assert await queue.effects() == ["job begun", "job begun", "job done"]
    assert [end.outcome for end in queue.ends] == ["rescued", "succeeded"]


async def test_a_job_whose_end_was_lost_under_a_living_worker_is_put_back(queue: Queue):
    async def note() -> None:
        await queue.record("ran")

    queue.jobs.task("note", "work", note, max_run=timedelta(seconds=1))
    async with queue.working():
        await until_registered(queue)
        await queue.defer("note", in_=timedelta(hours=1))
        async with queue.database.begin() as connection:
            # As after an outage: marked as running by the living worker, started long ago, running nowhere.
            await connection.execute(
                text(
                    "UPDATE procrastinate_jobs SET status = 'doing', scheduled_at = NULL,"
                    " worker_id = (SELECT max(id) FROM procrastinate_workers)"
                )
            )
            await connection.execute(
                text("UPDATE procrastinate_events SET at = now() - interval '12 s' WHERE type = 'started'")
            )
        await queue.reaches()

    assert await queue.effects() == ["ran"]
    assert [end.outcome for end in queue.ends] == ["rescued", "succeeded"]


async def test_a_long_run_within_its_time_is_left_alone(queue: Queue):
    async def note() -> None:
        await queue.record("ran")
        await asyncio.sleep(2)

    queue.jobs.task("note", "work", note, max_run=timedelta(seconds=30))
    async with queue.working():
        await queue.defer("note")
        await queue.reaches()

    assert await queue.effects() == ["ran"]


async def test_a_job_that_kills_its_workers_is_given_up(queue: Queue):
    async def poison() -> None:
        await queue.record("ran")

    queue.jobs.task("poison", "work", poison, retry=Retry(attempts=2))
    job = await queue.defer("poison")
    async with queue.database.begin() as connection:
        await connection.execute(
            text("UPDATE procrastinate_jobs SET status = 'doing', attempts = :runs WHERE id = :job"),
            {"runs": 2 + RESCUES, "job": job},
        )

    async with queue.working():
        await queue.reaches(failed=1)

    assert await queue.effects() == []
    assert [end.outcome for end in queue.ends] == ["abandoned"]


async def test_a_worker_taken_for_dead_registers_again(queue: Queue):
    async def note() -> None:
        await queue.record("ran")

    queue.jobs.task("note", "work", note)
    async with queue.working():
        await until_registered(queue)
        async with queue.database.begin() as connection:
            await connection.execute(text("DELETE FROM procrastinate_workers"))
        await queue.defer("note")
        await queue.reaches()

    assert await queue.effects() == ["ran"]


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedPostgres]:
    with running_server() as server:
        yield server


@pytest.fixture
async def mortal(own_server: EmbeddedPostgres) -> AsyncIterator[Queue]:
    with databases(own_server) as make:
        made = make("alerts")
        made.migrate("alerts", versions=MIGRATIONS)
        queue = Queue(made.url("alerts"))
        yield queue
        await queue.database.close()


async def test_a_worker_survives_the_postmaster_s_death_and_still_hears_of_new_jobs(
    own_server: EmbeddedPostgres, mortal: Queue
):
    ran: list[str] = []

    async def note(name: str) -> None:
        ran.append(name)

    mortal.jobs.task("note", "work", note)
    mortal.jobs.settings = mortal.jobs.settings.model_copy(update={"worker_poll": timedelta(hours=1)})
    async with mortal.working():
        await defer_until_heard(mortal, ran, "before")

        kill_postmaster(own_server)
        await asyncio.sleep(0.5)  # an outage long enough that the first attempts to return fail
        own_server.start()

        await until_registered(mortal, at_least=2)
        await defer_until_heard(mortal, ran, "after")


async def test_a_job_running_while_the_postmaster_dies_is_done_in_the_end(
    own_server: EmbeddedPostgres, mortal: Queue
):
    begun = asyncio.Event()

    async def note() -> None:
        begun.set()
        await asyncio.sleep(0.3)
        await mortal.record("done")

    mortal.jobs.task("note", "work", note, max_run=timedelta(seconds=2))
    async with mortal.working():
        await mortal.defer("note")
        await begun.wait()
        kill_postmaster(own_server)
        await asyncio.sleep(0.5)
        own_server.start()
        await mortal.reaches(within=30)

    assert "done" in await mortal.effects()


async def test_a_worker_may_be_stopped_while_the_database_is_away(
    own_server: EmbeddedPostgres, mortal: Queue
):
    async def note() -> None:
        await mortal.record("ran")

    mortal.jobs.task("note", "work", note)
    try:
        async with asyncio.timeout(15), mortal.working():
            await until_registered(mortal)
            own_server.stop()
    finally:
        own_server.start()


async def defer_until_heard(queue: Queue, ran: list[str], name: str) -> None:
    """One job may fall between a worker's first look and its LISTEN; with no poll to find it, the next
    notification does."""
    async with asyncio.timeout(15):
        while name not in ran:
            await queue.defer("note", name=name)
            await asyncio.sleep(0.3)


async def until_registered(queue: Queue, *, at_least: int = 1) -> None:
    """Wait until a worker has its row; ids count the workers there have been."""
    async with asyncio.timeout(15):
        while True:
            async with queue.database.begin() as connection:
                newest = await connection.scalar(text("SELECT max(id) FROM procrastinate_workers"))
            if newest is not None and newest >= at_least:
                return
            await asyncio.sleep(0.02)
