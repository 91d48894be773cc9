"""Whatever a model does, the investigation ends once, in time, with its verdict or with triage's and the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from libs.contracts.investigations import InvestigationStatus
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.commission import commission
from services.holmesgpt_api.domain.line import Why
from services.holmesgpt_api.domain.model import ModelFailed, Told
from services.holmesgpt_api.domain.ports import Held, ReportProgress
from services.holmesgpt_api.domain.record import Asked, Claimed, End, Record
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.domain.verdict import ModelUse, Verdict
from services.holmesgpt_api.engine.messages import Opinion
from services.holmesgpt_api.steps import deepen
from services.holmesgpt_api.steps.deepen import Deepening
from tests.fakes.ledger import MemoryLedger
from tests.support.investigations import CHECKOUT, CONFIG, NOW, caller, found, request

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-026", "HAPI-029")

USE = ModelUse(model="openai/m", sdk="0.45.0", prompt="1", prompt_tokens=7, completion_tokens=3)
Behaviour = Callable[[Claimed, timedelta, ReportProgress], Awaitable[Told]]


class ScriptedModel:
    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[timedelta] = []

    async def ask(
        self, run: Claimed, interim: Verdict, *, within: timedelta, report_progress: ReportProgress
    ) -> Told:
        self.asked.append(within)
        return await self.behaviour(run, within, report_progress)


class Scene:
    """One investigation that is held, a clock, and a model that does what the test says."""

    def __init__(self, behaviour: Behaviour, *, life: float = 60) -> None:
        self.now = NOW
        self.ledger = MemoryLedger(life=timedelta(seconds=life), clock=self.clock)
        self.model = ScriptedModel(behaviour)
        self.ends: list[End] = []
        self.asked: list[Asked] = []
        self.deepening = Deepening(
            self.ledger, self.model, observe=self.ends.append, observe_model=self.asked.append
        )

    def clock(self) -> datetime:
        return self.now

    async def held(self, **fields: Any) -> str:
        asked = request(namespace="shop", **fields)
        id_ = (await self.ledger.open(commission(asked, caller(), None))).record.id
        run = await self.ledger.claim(id_)
        assert run is not None
        interim = conclude(found(), CHECKOUT, run, "model-still-running")
        assert await self.ledger.hold(run, interim, ["data", "shop"])
        return id_

    @property
    def row(self) -> Record:
        return self.ledger.rows["inv-1"]

    @property
    def verdict(self) -> Verdict:
        assert self.row.verdict is not None
        return self.row.verdict


async def concludes(run: Claimed, within: timedelta, report: ReportProgress) -> Told:
    await report(60, "asking the model (answer 1)")
    written = {
        "target": str(CONFIG),
        "reason": "ConfigChanged",
        "text": "The mount was renamed.",
        "confidence": 0.8,
        "evidence_ids": ["e1"],
    }
    opinion = Opinion.model_validate({"summary": "s", "cause": written, "agrees_with_triage": True})
    return Told(opinion, [], USE)


def fails(error: BaseException) -> Behaviour:
    async def behaviour(run: Claimed, within: timedelta, report: ReportProgress) -> Told:
        raise error

    return behaviour


async def test_the_models_verdict_ends_it():
    scene = Scene(concludes)

    await scene.deepening.deepen(1, await scene.held())

    assert (scene.row.status, scene.verdict.engine) == (InvestigationStatus.completed, "holmesgpt")
    assert not scene.ledger.line.held
    assert [(end.engine, end.outcome) for end in scene.ends] == [("holmesgpt", "cause")]
    assert scene.asked == [Asked("concluded", USE)]
    assert scene.model.asked == [timedelta(seconds=60) - deepen.MARGIN]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModelFailed("model-unauthorized", "HTTP 401", USE), "model-unauthorized"),
        (ModelFailed("engine-unavailable", "make engine"), "engine-unavailable"),
        (ZeroDivisionError(), "engine-failed"),
    ],
)
async def test_a_model_that_fails_leaves_triages_verdict_and_the_reason(error: Exception, reason: str):
    scene = Scene(fails(error))

    await scene.deepening.deepen(1, await scene.held())

    assert (scene.row.status, scene.verdict.engine) == (InvestigationStatus.completed, "triage")
    assert scene.verdict.degraded_reason == reason
    assert scene.verdict.results.cause is not None
    assert [one.outcome for one in scene.asked] == [reason]


async def test_a_turn_that_comes_too_late_asks_nobody():
    scene = Scene(concludes, life=4)

    await scene.deepening.deepen(1, await scene.held())

    assert scene.model.asked == []
    assert (scene.verdict.engine, scene.verdict.degraded_reason) == ("triage", "model-timeout")


async def test_one_that_has_ended_or_was_never_held_is_left_alone():
    scene = Scene(concludes)
    id_ = await scene.held()
    await scene.deepening.deepen(1, id_)

    await scene.deepening.deepen(1, id_)
    await scene.deepening.deepen(2, "inv-unknown")

    assert len(scene.model.asked) == 1


async def test_progress_that_cannot_be_noted_does_not_break_the_run_off():
    scene = Scene(concludes)
    id_ = await scene.held()

    async def away_meanwhile(run: Claimed, within: timedelta, report: ReportProgress) -> Told:
        scene.ledger.away = True
        told = await concludes(run, within, report)
        scene.ledger.away = False
        return told

    scene.model.behaviour = away_meanwhile
    await scene.deepening.deepen(1, id_)

    assert scene.verdict.engine == "holmesgpt"


async def test_an_answer_that_has_been_paid_for_is_written_down_when_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(deepen, "AGAIN", 0.0)
    scene = Scene(concludes)
    id_ = await scene.held()
    conclude_, tries = scene.ledger.conclude, []

    async def at_the_third_try(run: Claimed, verdict: Verdict, seen: list[str]) -> bool:
        tries.append(verdict)
        if len(tries) < 3:
            raise StorageUnavailable("unreachable", "away", retry_after=timedelta(seconds=1))
        return await conclude_(run, verdict, seen)

    monkeypatch.setattr(scene.ledger, "conclude", at_the_third_try)
    await scene.deepening.deepen(1, id_)

    assert (len(scene.model.asked), len(tries), scene.verdict.engine) == (1, 3, "holmesgpt")


async def test_a_run_that_another_worker_has_taken_over_says_nothing_any_more():
    scene = Scene(concludes)
    id_ = await scene.held()

    async def overtaken(run: Claimed, within: timedelta, report: ReportProgress) -> Told:
        await scene.ledger.take_next(1, named=id_)
        return await concludes(run, within, report)

    scene.model.behaviour = overtaken
    await scene.deepening.deepen(1, id_)

    assert scene.row.verdict is None
    assert scene.ends == []


async def test_it_is_told_of_each_turn_and_not_of_what_goes_on_after_a_crash():
    scene, told = Scene(fails(asyncio.CancelledError())), list[Held]()
    scene.deepening = Deepening(scene.ledger, scene.model, observe_turn=told.append)
    id_ = await scene.held()

    for _ in range(2):
        with pytest.raises(asyncio.CancelledError):
            await scene.deepening.deepen(1, id_)

    assert [(one.run.id, one.why) for one in told] == [("inv-1", Why.age)]
    assert scene.row.runs == 3


async def test_whose_turn_it_is_counts_and_not_whose_job_it_was():
    scene = Scene(concludes)
    low = await scene.held(priority="low")
    critical = await scene.held(priority="critical")

    await scene.deepening.deepen(1, low)

    assert scene.ledger.rows[critical].ended
    assert not scene.ledger.rows[low].ended


async def test_a_stop_breaks_it_off_and_leaves_it_for_the_next_worker():
    scene = Scene(lambda run, within, report: asyncio.Event().wait())  # type: ignore[arg-type,return-value]
    id_ = await scene.held()
    task = asyncio.create_task(scene.deepening.deepen(1, id_))
    while not scene.model.asked:
        await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    scene.model.behaviour = concludes
    await scene.deepening.deepen(1, id_)

    assert (scene.verdict.engine, scene.row.runs) == ("holmesgpt", 3)
