"""The last step of a run is kept under its fence, and goes when the run ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import text

from libs.jobs import Jobs
from libs.redaction import Redactor
from libs.storage import Database
from libs.storage.few import Few
from services.holmesgpt_api import worker
from services.holmesgpt_api.adapters.chat_sessions import Limits as ChatLimits
from services.holmesgpt_api.adapters.chat_sessions import PostgresSessions
from services.holmesgpt_api.adapters.ledger import PostgresLedger
from services.holmesgpt_api.adapters.replays import PostgresReplays
from services.holmesgpt_api.adapters.run_course import Course
from services.holmesgpt_api.adapters.steps import (
    INVESTIGATIONS,
    QUESTIONS,
    Keeping,
    LastStep,
    PostgresSteps,
    Run,
    Steps,
)
from services.holmesgpt_api.domain.chat.session import TakenTurn
from services.holmesgpt_api.domain.commission import commission
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.replay import Kept
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.engine.messages import ToolCalled
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.steps import MemorySteps
from tests.integration.holmesgpt_api.test_ledger import migrated
from tests.support.chats import ANA, question, reply
from tests.support.investigations import CHECKOUT, caller, claimed, evidence, found, request
from tests.support.postgres import MakeDatabase

pytestmark = pytest.mark.requirement("HAPI-029", "HAPI-005")

VERDICT = conclude(found(), CHECKOUT, claimed(), "model-still-running")


@dataclass
class Stage:
    ledger: PostgresLedger
    steps: PostgresSteps
    database: Database

    async def held(self) -> str:
        """An investigation in the queue for the model."""
        opened = await self.ledger.open(commission(request(target=CHECKOUT.model_dump()), caller(), None))
        run = await self.ledger.claim(opened.record.id)
        assert run is not None
        assert await self.ledger.hold(run, VERDICT, ["shop"])
        return run.id

    async def taken_up(self, investigation_id: str) -> Claimed:
        job = int(investigation_id[-12:], 16)  # one job's runs are one investigation's
        held = await self.ledger.take_next(job, named=investigation_id)
        assert held is not None
        return held.run

    async def shown(self, investigation_id: str) -> bytes | None:
        """What is kept of an ended run."""
        async with self.database.begin() as conn:
            found = await conn.execute(
                text("SELECT shown FROM investigation WHERE id = :id"), {"id": investigation_id}
            )
            shown = found.scalar_one()
        return None if shown is None else bytes(shown)

    async def rows(self) -> int:
        async with self.database.begin() as conn:
            count: int = (await conn.execute(text("SELECT count(*) FROM step"))).scalar_one()
        return count


@asynccontextmanager
async def stage_on(make: MakeDatabase, life: timedelta = timedelta(minutes=5)) -> AsyncIterator[Stage]:
    database = Database(migrated(make).settings(SCHEMA), application=SCHEMA)
    jobs = Jobs(database, service=SCHEMA)
    worker.declare(jobs)
    try:
        yield Stage(
            PostgresLedger(database, jobs, life=life), PostgresSteps(database, INVESTIGATIONS), database
        )
    finally:
        await database.close()


@pytest.fixture
async def stage(fresh_database: MakeDatabase) -> AsyncIterator[Stage]:
    async with stage_on(fresh_database) as made:
        yield made


async def asks(steps: Steps, run: Run, number: int, *, model: str = "m") -> Keeping:
    return await steps.asks(
        run, number=number, phase="talk", model=model, messages=b"said %d" % number, course=b"c"
    )


async def told(steps: Steps, run: Run) -> None:
    """What both kinds of steps promise to a run that has the say."""
    assert await steps.last(run, model="m") is None
    assert await steps.answered(run, number=1, answer=b"a", course=b"c1") is Keeping.not_kept
    assert await asks(steps, run, 1) is Keeping.kept
    assert await steps.answered(run, number=1, answer=b"a", course=b"c1") is Keeping.kept
    assert await steps.last(run, model="m") == LastStep(1, "talk", b"said 1", b"a", b"c1")
    assert await asks(steps, run, 2) is Keeping.kept
    assert await steps.last(run, model="m") == LastStep(2, "talk", b"said 2", None, b"c")
    assert await steps.answered(run, number=1, answer=b"late", course=b"c") is Keeping.not_kept


async def test_the_last_step_is_kept_with_its_answer_until_the_next_one(stage: Stage):
    await told(stage.steps, await stage.taken_up(await stage.held()))
    await told(MemorySteps(), claimed())

    assert await stage.rows() == 1


async def test_a_later_run_goes_on_from_an_earlier_ones_step_which_has_no_say_any_more(stage: Stage):
    id_ = await stage.held()
    earlier = await stage.taken_up(id_)
    await asks(stage.steps, earlier, 1)
    await stage.steps.answered(earlier, number=1, answer=b"a", course=b"c")
    later = await stage.taken_up(id_)

    assert await stage.steps.last(earlier, model="m") is None
    assert await asks(stage.steps, earlier, 2) is Keeping.no_say
    assert await stage.steps.answered(earlier, number=1, answer=b"b", course=b"c") is Keeping.no_say
    assert await stage.steps.last(later, model="m") == LastStep(1, "talk", b"said 1", b"a", b"c")
    assert await asks(stage.steps, later, 2) is Keeping.kept


async def test_with_another_model_there_is_nothing_to_go_on_from(stage: Stage):
    run = await stage.taken_up(await stage.held())
    await asks(stage.steps, run, 1, model="m")

    assert await stage.steps.last(run, model="another") is None


@pytest.mark.parametrize("how", ["concludes", "gives up"])
async def test_a_runs_steps_go_when_it_ends_and_none_comes_after(stage: Stage, how: str):
    run = await stage.taken_up(await stage.held())
    await asks(stage.steps, run, 1)
    if how == "concludes":
        assert await stage.ledger.conclude(run, VERDICT, ["shop"])
    else:
        assert await stage.ledger.give_up(run, code="x", error="y")

    assert await stage.rows() == 0
    assert await asks(stage.steps, run, 2) is Keeping.no_say
    assert await stage.rows() == 0


async def test_a_runs_steps_go_with_its_deadline_and_what_it_saw_stays(fresh_database: MakeDatabase):
    async with stage_on(fresh_database, life=timedelta(0)) as stage:
        run = await stage.taken_up(await stage.held())
        await asks(stage.steps, run, 1)
        assert await stage.ledger.expire(run.id) is not None

        assert await stage.rows() == 0
        assert await stage.shown(run.id) == b"c"


@pytest.mark.requirement("HAPI-161")
@pytest.mark.parametrize(
    ("how", "course", "stays"),
    [
        ("concludes", b"what was seen", b"what was seen"),
        ("concludes", bytes(1024 * 1024), bytes(1024 * 1024)),
        ("concludes", bytes(1024 * 1024 + 1), None),
        ("concludes", b"", None),
        ("gives up", b"what was seen", None),
        ("is cancelled", b"what was seen", None),
        ("is a replay", b"what was seen", None),
    ],
    ids=["seen", "a megabyte", "more", "no step", "gives up", "is cancelled", "is a replay"],
)
async def test_what_a_run_had_seen_stays_with_its_verdict_where_it_can_be_replayed(
    stage: Stage, how: str, course: bytes, stays: bytes | None
):
    run = await stage.taken_up(await stage.held())
    if how == "is a replay":
        async with stage.database.begin() as conn:
            await conn.execute(text("UPDATE investigation SET replay = '{}' WHERE id = :id"), {"id": run.id})
    if course:
        await stage.steps.asks(run, number=1, phase="talk", model="m", messages=b"m", course=course)
    if how == "gives up":
        assert await stage.ledger.give_up(run, code="x", error="y")
    elif how == "is cancelled":
        assert await stage.ledger.cancel(run.id, tenant=run.tenant, by="ana") is not None
    else:
        assert await stage.ledger.conclude(run, VERDICT, ["shop"])

    assert await stage.shown(run.id) == stays
    assert await stage.rows() == 0


@pytest.mark.requirement("HAPI-161")
async def test_what_was_seen_for_a_verdict_that_is_given_again_is_that_of_the_run_it_came_of(stage: Stage):
    course = Course({"": "m"}, 0.0, Redactor(bytes(16)))
    course.called(ToolCalled(tool="get_causes", arguments={}, ok=True, evidence=[evidence("ev-7")]))
    first, again = [await stage.taken_up(await stage.held()) for _ in range(2)]
    await stage.steps.asks(first, number=1, phase="talk", model="m", messages=b"m", course=course.packed())
    await stage.ledger.conclude(first, VERDICT, ["shop"])
    await stage.ledger.conclude(again, VERDICT.model_copy(update={"cached_from": first.id}), ["shop"])
    jobs = Jobs(stage.database, service=SCHEMA)
    replays = PostgresReplays(stage.database, jobs, life=timedelta(minutes=5))

    for run in (first, again):
        kept = await replays.kept(run.id, tenant=run.tenant, shown=True)
        assert [one.id for one in kept.shown] == ["ev-7"]
        assert kept.triage == VERDICT
        assert list((await replays.kept(run.id, tenant=run.tenant, shown=False)).shown) == []
        assert await replays.kept(run.id, tenant="other", shown=True) == Kept()


async def test_other_runs_steps_stay(stage: Stage):
    one, other = [await stage.taken_up(await stage.held()) for _ in range(2)]
    await asks(stage.steps, one, 1)
    await asks(stage.steps, other, 1)
    await stage.ledger.conclude(one, VERDICT, ["shop"])

    assert await stage.steps.last(other, model="m") is not None
    assert await stage.rows() == 1


@dataclass
class Asked:
    """A chat's question at the model."""

    sessions: PostgresSessions
    steps: PostgresSteps
    database: Database
    id: str
    session_id: str

    async def taken(self) -> TakenTurn:
        taken = await self.sessions.take(self.id)
        assert taken is not None
        return taken

    async def rows(self) -> int:
        async with self.database.begin() as conn:
            count: int = (await conn.execute(text("SELECT count(*) FROM chat_step"))).scalar_one()
        return count


@pytest.fixture
async def asked(fresh_database: MakeDatabase) -> AsyncIterator[Asked]:
    database = Database(migrated(fresh_database).settings(SCHEMA), application=SCHEMA)
    jobs = Jobs(database, service=SCHEMA)
    worker.declare(jobs)
    limits, long = ChatLimits(sessions=9, questions=9), timedelta(minutes=5)
    sessions = PostgresSessions(database, jobs, idle=long, limits=limits)
    try:
        turn = await sessions.open(question(), interim=None, verdict=None, life=long)
        steps = PostgresSteps(Few(database), QUESTIONS)
        yield Asked(sessions, steps, database, turn.id, turn.session_id)
    finally:
        await database.close()


async def test_a_chats_question_has_its_steps_kept_as_an_investigation_has(asked: Asked):
    await told(asked.steps, await asked.taken())

    assert await asked.rows() == 1


async def test_another_worker_goes_on_with_a_question_and_the_lost_one_has_no_say(asked: Asked):
    lost = await asked.taken()
    await asks(asked.steps, lost, 2)
    later = await asked.taken()

    assert await asked.steps.last(lost, model="m") is None
    assert await asks(asked.steps, lost, 3) is Keeping.no_say
    assert await asked.steps.last(later, model="m") == LastStep(2, "talk", b"said 2", None, b"c")


@pytest.mark.parametrize("how", ["answered", "overdue", "deleted"])
async def test_a_questions_steps_go_when_it_ends_and_none_comes_after(asked: Asked, how: str):
    taken = await asked.taken()
    await asks(asked.steps, taken, 2)
    match how:
        case "answered":
            assert await asked.sessions.end(taken, reply())
        case "overdue":
            assert await asked.sessions.end_overdue(taken.id, now=True)
        case _:
            assert await asked.sessions.delete(asked.session_id, ANA)

    assert await asked.rows() == 0
    assert await asks(asked.steps, taken, 3) is Keeping.no_say
    assert await asked.rows() == 0
