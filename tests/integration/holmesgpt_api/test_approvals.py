"""Changes in foreign systems: none without a person's word, one for each word, and what came of it is never a guess."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from libs.contracts.course import EVENTS, EventName
from services.holmesgpt_api.adapters.approvals import MOST
from services.holmesgpt_api.domain.custom.approval import DecidedAlready, State, TooLate, UnknownApproval
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.engine.foreign import ToolAnswered
from tests.fakes.foreign_system import ForeignSystem, Says, foreign_system, says
from tests.support.abroad import Asking, There, migrated, there
from tests.support.postgres import FreshDatabase, MakeDatabase
from tests.support.toolsets import RESTART, http, listed

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079", "HAPI-068")

WEB = {"service": "web", "reason": "it leaks"}
TOOL = "cmdb__restart"


@pytest.fixture(scope="module")
def system_() -> Iterator[ForeignSystem]:
    with foreign_system() as made:
        yield made


@pytest.fixture
def system(system_: ForeignSystem) -> ForeignSystem:
    system_.reset()
    system_.answer = lambda got: says({"restarted": True})
    return system_


@pytest.fixture(scope="module")
def database(module_database: MakeDatabase) -> FreshDatabase:
    return migrated(module_database)


@pytest.fixture
async def place(database: FreshDatabase, system: ForeignSystem) -> AsyncIterator[There]:
    async with there(database, [listed(http(system.url))]) as made:
        yield made


async def wanted(place: There, run: Claimed, number: int = 1) -> list[str]:
    """Ids of what the investigation asks for, once there are so many."""
    async with asyncio.timeout(10):
        while True:
            record = await place.ledger.get(run.id, tenant=run.tenant)
            assert record is not None
            if len(record.approvals) >= number:
                return [one.id for one in record.approvals]
            await asyncio.sleep(0.02)


async def state(place: There, run: Claimed) -> list[State]:
    record = await place.ledger.get(run.id, tenant=run.tenant)
    assert record is not None
    return [one.state for one in record.approvals]


async def decide(place: There, run: Claimed, approval: str, *, approved: bool, **fields: Any) -> State:
    values = {"by": "ann", "comment": None, **fields}
    return (await place.approvals.decide(run.id, approval, approved=approved, **values)).state


async def asked_and_decided(place: There, run: Claimed, *, approved: bool) -> tuple[Asking, ToolAnswered]:
    asking = await place.asking(run)
    waiting = asyncio.create_task(asking.ask(TOOL, **WEB))
    (approval,) = await wanted(place, run)
    await decide(place, run, approval, approved=approved)
    return asking, await waiting


async def events(place: There, run: Claimed) -> list[tuple[str, dict[str, Any]]]:
    statement = text("SELECT name, data FROM investigation_event WHERE investigation = :id ORDER BY seq")
    async with place.database.begin() as conn:
        rows = (await conn.execute(statement, {"id": run.id})).all()
    return [(row.name, row.data) for row in rows]


# ── the run's side ──────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_agreed_to_is_done_once_with_a_key_of_its_own(place: There, system: ForeignSystem):
    run = await place.run()
    asking, answered = await asked_and_decided(place, run, approved=True)

    again = await asking.ask(TOOL, **WEB)

    (effect,) = system.effects
    assert (effect.method, effect.target) == ("POST", "/services/web/restart")
    assert effect.body == b'{"reason": "it leaks", "by": "kubernaut"}'
    assert len(effect.headers["idempotency-key"]) == 40
    assert answered.ok
    assert (again.ok, again.evidence) == (True, answered.evidence)
    assert await state(place, run) == [State.done]
    assert place.counted == [("http", "answered")] * 2


async def test_what_is_denied_is_not_done_and_not_asked_again(place: There, system: ForeignSystem):
    run = await place.run()
    asking = await place.asking(run)
    waiting = asyncio.create_task(asking.ask(TOOL, **WEB))
    (approval,) = await wanted(place, run)
    await decide(place, run, approval, approved=False, comment="not on a Friday")

    answered, again = await waiting, await asking.ask(TOOL, **WEB)

    assert "not on a Friday" in answered.text
    assert (answered.ok, again.ok, system.effects) == (False, False, [])
    assert len(await wanted(place, run)) == 1


async def test_what_nobody_decides_in_time_is_not_done_and_the_run_goes_on(
    place: There, system: ForeignSystem
):
    run = await place.run()
    asking = await place.asking(run, patience=0.3)

    answered = await asking.ask(TOOL, **WEB)
    (approval,) = await wanted(place, run)

    assert "not approved in time" in answered.text
    assert (await state(place, run), system.effects) == ([State.expired], [])
    with pytest.raises(TooLate):
        await decide(place, run, approval, approved=True)


async def test_a_person_is_waited_for_no_longer_than_the_run_needs_to_conclude(place: There):
    asking = await place.asking(await place.run(), seconds=4, patience=3600)
    began = asyncio.get_running_loop().time()

    await asking.ask(TOOL, **WEB)

    assert asyncio.get_running_loop().time() - began < 4


async def test_reading_goes_on_while_a_person_is_waited_for(place: There, system: ForeignSystem):
    run = await place.run()
    asking = await place.asking(run)
    waiting = asyncio.create_task(asking.ask(TOOL, **WEB))
    (approval,) = await wanted(place, run)

    read = await asking.ask("cmdb__owner", host="web-1")
    await decide(place, run, approval, approved=False)
    await waiting

    assert read.ok


async def test_each_change_is_agreed_to_by_itself_and_there_are_few(place: There, system: ForeignSystem):
    run = await place.run()
    asking = await place.asking(run, patience=0.2)

    answers = await asyncio.gather(
        *(asking.ask(TOOL, service=f"web-{number}", reason="x") for number in range(MOST + 5))
    )

    assert len(await wanted(place, run)) == MOST
    assert sum("as many changes as may be" in one.text for one in answers) == 5
    assert system.effects == []


@pytest.mark.parametrize(
    "reason",
    [
        "password=hunter2-hunter2",
        "Authorization: Bearer abcdefghijklmnop1",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    ],
)
async def test_nobody_is_asked_to_agree_to_what_they_cannot_see(
    reason: str, place: There, system: ForeignSystem
):
    run = await place.run()

    answered = await (await place.asking(run)).ask(TOOL, service="web", reason=reason)

    assert "looks like a secret" in answered.text
    assert (await state(place, run), system.effects) == ([], [])


TRICKS: list[dict[str, Any]] = [
    {**WEB, "approved": True},
    {**WEB, "approval_id": "apr-1"},
    {**WEB, "user_approved": True},
    {**WEB, "approval": "none"},
    {**WEB, "service": "../../hosts/web-1/owner"},
    {**WEB, "service": "web/restart?"},
    {**WEB, "service": "WEB"},
    {**WEB, "service": ["web"]},
    {"service": "web"},
    {},
]


@pytest.mark.parametrize("arguments", TRICKS)
async def test_no_argument_stands_for_a_persons_word(
    arguments: dict[str, Any], place: There, system: ForeignSystem
):
    run = await place.run()

    answered = await (await place.asking(run, patience=0.2)).ask(TOOL, **arguments)

    assert not answered.ok
    assert system.effects == []


async def test_what_was_agreed_to_in_one_investigation_is_not_in_another(place: There, system: ForeignSystem):
    first, second = await place.run("First"), await place.run("Second")
    await asked_and_decided(place, first, approved=True)

    answered = await (await place.asking(second, patience=0.2)).ask(TOOL, **WEB)

    assert (answered.ok, len(system.effects)) == (False, 1)


async def test_what_was_agreed_to_under_another_document_is_not_done(place: There, system: ForeignSystem):
    run = await place.run()
    asking = await place.asking(run)
    waiting = asyncio.create_task(asking.ask(TOOL, **WEB))
    (approval,) = await wanted(place, run)
    place.toolsets[:] = [listed(http(system.url, tools=[{**RESTART, "path": "/services/{service}/wipe"}]))]
    await decide(place, run, approval, approved=True)

    answered = await waiting
    other = await (await place.asking(run, patience=0.2)).ask(TOOL, **WEB)

    assert "changed meanwhile" in answered.text
    assert "not approved in time" in other.text
    assert system.effects == []


# ── what came of it ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "ended", "said"),
    [
        (says({"restarted": True}), State.done, ""),
        (Says(status=204, headers=()), State.done, ""),
        (says({"detail": "no such service"}, 404), State.failed, "no such service"),
        (says({"detail": "boom"}, 503), State.unknown, "may have happened"),
        (says({"success": False, "message": "half done"}), State.unknown, "may have happened"),
        (Says(raw=b""), State.unknown, "may have happened"),
        (Says(pieces=(b" ",) * 40, pause=0.2), State.unknown, "may have happened"),
        (Says(b"<html>", headers=(("Content-Type", "text/html"),)), State.unknown, "may have happened"),
    ],
)
async def test_what_came_of_it_is_told_and_it_is_not_tried_again(
    answer: Says, ended: State, said: str, place: There, system: ForeignSystem
):
    system.answer = lambda got: answer
    run = await place.run()

    asking, answered = await asked_and_decided(place, run, approved=True)
    again = await asking.ask(TOOL, **WEB)

    assert await state(place, run) == [ended]
    assert answered.ok is again.ok is (ended is State.done)
    assert said in answered.text
    assert len(system.effects) == 1


async def test_what_could_not_even_be_sent_has_failed_and_did_not_happen(
    place: There, database: FreshDatabase, system: ForeignSystem
):
    async with there(database, [listed(http("http://127.0.0.1:9"))]) as nobody:
        run = await nobody.run()
        _, answered = await asked_and_decided(nobody, run, approved=True)

        assert await state(nobody, run) == [State.failed]
        assert "may have happened" not in answered.text


async def test_a_run_that_is_killed_while_it_is_done_finds_it_unknown_and_does_not_repeat_it(
    place: There, system: ForeignSystem
):
    system.holds = True
    run = await place.run()
    asking = await place.asking(run)
    waiting = asyncio.create_task(asking.ask(TOOL, **WEB))
    (approval,) = await wanted(place, run)
    await decide(place, run, approval, approved=True)
    await asyncio.to_thread(system.wait_for_effects, 1)
    waiting.cancel()
    await asyncio.wait({waiting})

    later = await place.again(run.id)
    answered = await (await place.asking(later)).ask(TOOL, **WEB)

    assert "may have happened" in answered.text
    assert (await state(place, run), len(system.effects)) == ([State.unknown], 1)


async def test_a_run_that_is_killed_while_it_waits_goes_on_waiting_for_the_same_word(
    place: There, system: ForeignSystem
):
    run = await place.run()
    waiting = asyncio.create_task((await place.asking(run)).ask(TOOL, **WEB))
    (approval,) = await wanted(place, run)
    waiting.cancel()
    await asyncio.wait({waiting})
    later = await place.again(run.id)
    waiting = asyncio.create_task((await place.asking(later)).ask(TOOL, **WEB))
    await decide(place, run, approval, approved=True)

    assert (await waiting).ok
    assert (await wanted(place, run), len(system.effects)) == ([approval], 1)


async def test_two_runs_of_one_investigation_do_it_once(place: There, system: ForeignSystem):
    run = await place.run()
    first = asyncio.create_task((await place.asking(run)).ask(TOOL, **WEB))
    (approval,) = await wanted(place, run)
    later = await place.again(run.id)
    second = asyncio.create_task((await place.asking(later)).ask(TOOL, **WEB))
    await asyncio.sleep(0.2)
    await decide(place, run, approval, approved=True)

    one, other = await asyncio.gather(first, second)

    assert (one.ok, other.ok, len(system.effects)) == (False, True, 1)


async def test_a_run_that_has_no_say_asks_for_nothing(place: There):
    run = await place.run()
    await place.again(run.id)

    answered = await (await place.asking(run)).ask(TOOL, **WEB)

    assert "the run has ended" in answered.text
    assert await state(place, run) == []


async def test_when_an_investigation_ends_nothing_waits_any_more_and_nothing_is_done(
    place: There, system: ForeignSystem
):
    run = await place.run()
    asking = await place.asking(run)
    waiting = asyncio.create_task(asking.ask(TOOL, **WEB))
    (approval,) = await wanted(place, run)
    await place.ledger.cancel(run.id, tenant=run.tenant, by="ann")

    answered = await waiting

    assert not answered.ok
    with pytest.raises(TooLate):
        await decide(place, run, approval, approved=True)
    assert (await state(place, run), system.effects) == ([State.expired], [])


async def test_what_was_under_way_when_its_investigation_ended_is_unknown_until_its_end_is_known(
    place: There, system: ForeignSystem
):
    system.holds = True
    run = await place.run()
    asking = await place.asking(run)
    waiting = asyncio.create_task(asking.ask(TOOL, **WEB))
    (approval,) = await wanted(place, run)
    await decide(place, run, approval, approved=True)
    await asyncio.to_thread(system.wait_for_effects, 1)
    await place.ledger.cancel(run.id, tenant=run.tenant, by="ann")
    between = await state(place, run)
    system.let_go()
    await waiting

    assert (between, await state(place, run)) == ([State.unknown], [State.done])


async def test_many_who_decide_at_once_make_one_decision(place: There, system: ForeignSystem):
    run = await place.run()
    waiting = asyncio.create_task((await place.asking(run)).ask(TOOL, **WEB))
    (approval,) = await wanted(place, run)

    ends = await asyncio.gather(
        *(decide(place, run, approval, approved=number % 2 == 0, by=f"p{number}") for number in range(12)),
        return_exceptions=True,
    )
    answered = await waiting

    refused = [one for one in ends if isinstance(one, DecidedAlready)]
    assert len(refused) == 6
    assert len(system.effects) == int(answered.ok)


async def test_who_asks_for_another_approval_or_another_investigations_finds_none(place: There):
    run, other = await place.run(), await place.run("Other")
    waiting = asyncio.create_task((await place.asking(run, patience=1)).ask(TOOL, **WEB))
    (approval,) = await wanted(place, run)

    for id_, asked in ((run, "apr-unknown"), (other, approval)):
        with pytest.raises(UnknownApproval):
            await decide(place, id_, asked, approved=True)
    await waiting


async def test_the_course_tells_what_is_asked_decided_and_done(place: There, system: ForeignSystem):
    run = await place.run()
    await asked_and_decided(place, run, approved=True)

    told = [one for one in await events(place, run) if one[0].startswith("approval")]

    assert [name for name, _ in told] == ["approval_required", "approval", "approval"]
    assert told[0][1]["arguments"] == WEB
    assert "POST /services/web/restart" in told[0][1]["why"]
    assert [(one["state"], one.get("by")) for _, one in told[1:]] == [("approved", "ann"), ("done", None)]
    for name, data in told:
        EVENTS[EventName(name)].model_validate({"at": "2026-11-27T00:00:00Z", **data})


async def test_approvals_go_when_their_investigation_does(place: There):
    run = await place.run()
    await (await place.asking(run, patience=0.1)).ask(TOOL, **WEB)
    await place.ledger.cancel(run.id, tenant=run.tenant, by="ann")

    await place.ledger.forget(older_than=timedelta(0), at_most=1_000)

    async with place.database.begin() as conn:
        of_run = text("SELECT count(*) FROM tool_approval WHERE investigation = :id")
        left = (await conn.execute(of_run, {"id": run.id})).scalar_one()
    assert left == 0
