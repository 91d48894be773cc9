"""Whose turn it is at the model, asked of PostgreSQL: as the rule says, whichever worker asks, and told as it is kept."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from libs.contracts.alerts import Priority
from libs.storage import migrate
from services.holmesgpt_api.domain.line import STRIDE, Why
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.line import MemoryLine
from tests.support.held import Hall, hall, worker_process
from tests.support.holmesgpt import QUICK, Place

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-134")

WORDS = {Priority.p0: "critical", Priority.p1: "high", Priority.p2: "medium", Priority.p3: "low"}
TENANTS = ("a", "b", "c")


@pytest.fixture
async def here_waits(here: Place) -> AsyncIterator[Hall]:
    await asyncio.to_thread(migrate, here.values["database_url"], SCHEMA)
    async with hall(here.settings()) as opened:
        yield opened


async def test_the_database_has_the_rules_strides(here_waits: Hall):
    async with here_waits.database.begin() as conn:
        kept = (await conn.execute(text("SELECT priority, stride FROM line"))).all()

    assert {Priority(row.priority): row.stride for row in kept} == STRIDE


@pytest.mark.parametrize("seed", [1, 2])
async def test_turns_and_places_are_those_of_the_rule_whatever_comes_and_goes(here_waits: Hall, seed: int):
    draw, line, owner = random.Random(seed), MemoryLine(), dict[str, str]()
    for number in range(70):
        if draw.random() < 0.65:
            priority, tenant = draw.choice(list(Priority)), draw.choice(TENANTS)
            (id_,) = await here_waits.held(tenant, WORDS[priority])
            line.join(id_, priority, tenant)
            owner[id_] = tenant
            assert await here_waits.waiting_before(id_) + 1 == line.place(id_)
        elif draw.random() < 0.2 and line.held:
            gone = draw.choice(list(line.held))
            assert await here_waits.ledger.cancel(gone, tenant=owner[gone], by="ana")
            line.leave(gone)
        else:
            held, turn = await here_waits.ledger.take_next(number, named=""), line.take()
            assert (held and (held.run.id, held.why)) == (turn and (turn.next.id, turn.why))
    places = {id_: await here_waits.place(id_, owner[id_]) for id_ in line.held}
    rest = [await here_waits.ledger.take_next(1000 + number, named="") for number in range(len(places))]

    assert places == {id_: line.place(id_) for id_ in line.held}
    assert [one.run.id for one in rest if one] == sorted(places, key=lambda id_: places[id_] or 0)


async def test_many_workers_take_each_once_and_the_tenants_in_turn(here: Place, here_waits: Hall):
    storm = await here_waits.held("a", number=40)
    few = await here_waits.held("b", number=10)
    async with hall(here.settings()) as elsewhere:
        taken = await asyncio.gather(
            *(
                (here_waits, elsewhere)[number % 2].ledger.take_next(number, named=storm[number % 40])
                for number in range(20)
            )
        )
        rest = [await elsewhere.ledger.take_next(100 + number, named="") for number in range(31)]

    ids = [one.run.id for one in [*taken, *rest] if one]
    assert Counter(one.run.tenant for one in taken if one) == {"a": 10, "b": 10}
    assert len(ids) == len(set(ids)) == 50
    assert set(ids) == {*storm, *few}
    assert rest[-1] is None


async def test_a_job_that_runs_again_goes_on_with_its_own_and_then_takes_the_next(here_waits: Hall):
    first, second = await here_waits.held("a", number=2)

    taken = await here_waits.ledger.take_next(7, named=second)
    again = await here_waits.ledger.take_next(7, named=second)
    assert taken is not None
    assert again is not None
    assert await here_waits.ledger.conclude(again.run, again.interim, ["shop"])
    third = await here_waits.ledger.take_next(7, named=second)

    assert (taken.run.id, again.run.id, again.run.fence) == (first, first, taken.run.fence + 1)
    assert (taken.why, again.why, again.waited) == (Why.age, None, None)
    assert third is not None
    assert third.run.id == second


async def test_what_an_earlier_release_had_at_the_model_goes_on_under_the_job_of_its_name(here_waits: Hall):
    old, other = await here_waits.held("a", number=2)
    await here_waits.execute("UPDATE investigation SET held_at = NULL WHERE id = :id", id=old)

    taken = await here_waits.ledger.take_next(7, named=old)

    assert taken is not None
    assert taken.run.id == old
    assert await here_waits.place(other, "a") == 1


async def test_a_job_too_few_is_made_up_for_while_somebody_waits(here_waits: Hall):
    await here_waits.held("a", number=2)
    await here_waits.execute("DELETE FROM procrastinate_jobs WHERE task_name = 'deepen'")

    await here_waits.ledger.take_next(1, named="")
    async with here_waits.database.begin() as conn:
        made = (
            await conn.execute(text("SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'deepen'"))
        ).scalar()
    await here_waits.ledger.take_next(2, named="")

    assert made == 1


async def test_a_tenant_with_half_of_all_places_lets_others_pass_while_they_wait(here_waits: Hall):
    await here_waits.execute(
        "INSERT INTO engine (worker, model, state, detail, running, max_running) VALUES ('w', 'm', 'ready', '', 0, 4)"
    )
    await here_waits.held("a", "critical", 6)
    at_first = [await here_waits.ledger.take_next(number, named="") for number in range(2)]
    await here_waits.held("b", "low", 1)

    passed = await here_waits.ledger.take_next(2, named="")
    after = await here_waits.ledger.take_next(3, named="")

    assert [one.run.tenant for one in at_first if one] == ["a", "a"]
    assert passed is not None
    assert (passed.run.tenant, passed.why) == ("b", Why.full)
    assert after is not None
    assert (after.run.tenant, after.why) == ("a", Why.age)


async def test_tenants_of_the_past_are_forgotten_and_those_who_wait_are_not(here_waits: Hall):
    for number, tenant in enumerate(["gone", "a", "a"]):
        await here_waits.held(tenant)
        await here_waits.ledger.take_next(number, named="")
    await here_waits.held("a")
    await here_waits.ledger.forget(older_than=timedelta(days=1), at_most=1)

    async with here_waits.database.begin() as conn:
        known = (await conn.execute(text("SELECT tenant FROM line_tenant"))).scalars().all()
    assert known == ["a"]


async def test_triage_does_not_put_a_storm_before_another_tenants_single_one(here_waits: Hall):
    for _ in range(20):
        await here_waits.taken_in("a", "medium")
    single, urgent = await here_waits.taken_in("b", "medium"), await here_waits.taken_in("a", "critical")

    async with here_waits.database.begin() as conn:
        order = await conn.execute(
            text(
                "SELECT args->>'investigation_id' FROM procrastinate_jobs WHERE task_name = 'conduct' "
                "ORDER BY priority DESC, id"
            )
        )
        first = order.scalars().all()[:3]

    assert first[0] == urgent
    assert first[2] == single


@pytest.mark.requirement("HAPI-029")
async def test_one_of_another_tenant_and_a_critical_one_are_next_in_the_midst_of_a_storm(
    here: Place, here_waits: Hall
):
    await here_waits.held("a", number=200)
    settings = {**here.values, **QUICK, "worker_concurrency": 2}
    workers = [worker_process(settings, 0.1) for _ in range(2)]
    try:
        await here_waits.wait_for_ends(20)
        (single,) = await here_waits.held("b")
        told = await here_waits.waiting_before(single)
        before_single = len(await here_waits.taken())
        (critical,) = await here_waits.held("a", "critical")
        before_critical = len(await here_waits.taken())
        async with asyncio.timeout(20):
            while not {single, critical} <= set(taken := await here_waits.taken()):
                await asyncio.sleep(0.05)
    finally:
        for one in workers:
            one.kill()
            one.wait()

    # Between being held and being looked at here, each of the four places may have been taken once or twice.
    assert taken.index(single) - before_single <= 4
    assert taken.index(critical) - before_critical <= 4
    assert told <= 1


@pytest.mark.requirement("HAPI-029")
async def test_none_is_lost_and_none_ends_twice_though_a_worker_is_killed(here: Place, here_waits: Hall):
    ids = [*await here_waits.held("a", number=40), *await here_waits.held("b", "high", 10)]
    settings = {**here.values, **QUICK, "worker_concurrency": 3}
    workers = [worker_process(settings, 0.2)]
    try:
        # The one that is killed has all its places taken by then; beside another one it may not even have begun.
        await here_waits.wait_for_ends(4)
        workers.append(worker_process(settings, 0.2))
        await here_waits.wait_for_ends(10)
        workers[0].kill()
        workers[0].wait()
        await here_waits.wait_for_ends(50)
        ends, taken = await here_waits.ends(), await here_waits.taken()
    finally:
        for one in workers:
            one.kill()
            one.wait()

    assert ends == dict.fromkeys(ids, 1)
    again = {id_: times for id_, times in Counter(taken).items() if times > 1}
    assert 1 <= len(again) <= 3  # what the killed worker had
    assert set(again.values()) == {2}
