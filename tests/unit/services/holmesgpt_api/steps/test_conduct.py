"""An investigation ends once, by its deadline, and with a reason, whatever becomes of its runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from libs.contracts.causes import NoCause
from libs.contracts.investigations import InvestigationStatus
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.clusters import ONE_FOR_ALL, UNKNOWN_CLUSTER, Clusters, no_result
from services.holmesgpt_api.domain.commission import commission
from services.holmesgpt_api.domain.errors import Impossible, NotNow
from services.holmesgpt_api.domain.history import Match, Past
from services.holmesgpt_api.domain.ports import ReportProgress
from services.holmesgpt_api.domain.record import Claimed, End, Record
from services.holmesgpt_api.domain.triage import conclude, no_target
from services.holmesgpt_api.domain.verdict import Verdict
from services.holmesgpt_api.steps.conduct import Conductor, outcome
from tests.fakes.ledger import MemoryLedger
from tests.support.investigations import CHECKOUT, NOW, caller, claimed, found, nothing, request

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-029", "HAPI-037")

Behaviour = Callable[[Claimed, ReportProgress], Awaitable[Verdict]]


@dataclass
class ScriptedEngine:
    behaviour: Behaviour
    name: str = "triage"
    runs: list[Claimed] = field(default_factory=list)

    async def run(self, run: Claimed, report_progress: ReportProgress) -> Verdict:
        self.runs.append(run)
        return await self.behaviour(run, report_progress)


class Scene:
    """One investigation, a clock, and a conductor whose engine does what the test says."""

    def __init__(self, behaviour: Behaviour, *, life: float = 300) -> None:
        self.now = NOW
        self.ends: list[End] = []
        self.ledger = MemoryLedger(life=timedelta(seconds=life), clock=self.clock)
        self.engine = ScriptedEngine(behaviour)
        self.conductor = Conductor(
            self.ledger, self.engine, retention=timedelta(days=30), observe=self.ends.append
        )

    def clock(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def taken(self) -> str:
        return (await self.ledger.open(commission(request(namespace="shop"), caller(), None))).record.id

    @property
    def row(self) -> Record:
        return self.ledger.rows["inv-1"]


def found_cause(run: Claimed) -> Verdict:
    return conclude(found(), CHECKOUT, run, "no-model-configured")


async def answers(run: Claimed, report: ReportProgress) -> Verdict:
    return found_cause(run)


def raises(error: Exception) -> Behaviour:
    async def behave(run: Claimed, report: ReportProgress) -> Verdict:
        raise error

    return behave


async def test_a_verdict_ends_it_and_is_counted():
    scene = Scene(answers)
    id_ = await scene.taken()
    scene.later(2)

    await scene.conductor.conduct(id_)

    assert (scene.row.status, scene.row.progress) == (InvestigationStatus.completed, 100)
    assert set(scene.row.seen) == {"shop", "data"}
    assert scene.ends == [End("triage", "cause", timedelta(seconds=2))]


async def test_a_verdict_without_a_cause_is_counted_as_such():
    async def none(run: Claimed, report: ReportProgress) -> Verdict:
        return conclude(nothing(NoCause.nothing_wrong), CHECKOUT, run, "no-model-configured")

    scene = Scene(none)
    await scene.conductor.conduct(await scene.taken())

    assert [end.outcome for end in scene.ends] == ["no-cause"]


async def test_an_ended_investigation_is_not_run_again():
    scene = Scene(answers)
    id_ = await scene.taken()

    await scene.conductor.conduct(id_)
    await scene.conductor.conduct(id_)

    assert len(scene.engine.runs) == 1
    assert len(scene.ends) == 1


async def test_what_is_away_is_waited_for_and_said_meanwhile():
    scene = Scene(raises(NotNow("context-unavailable", "the Context API does not answer: timeout")))
    id_ = await scene.taken()

    with pytest.raises(NotNow):
        await scene.conductor.conduct(id_)

    assert not scene.row.ended
    assert scene.row.stage == "waiting: the Context API does not answer: timeout"
    scene.engine.behaviour = answers
    await scene.conductor.conduct(id_)
    assert scene.row.status is InvestigationStatus.completed


async def test_what_stays_away_until_the_deadline_is_the_failures_reason():
    scene = Scene(raises(NotNow("context-unavailable", "the Context API does not answer: connect")))
    id_ = await scene.taken()
    with pytest.raises(NotNow):
        await scene.conductor.conduct(id_)
    scene.later(300)

    await scene.conductor.conduct(id_)

    assert scene.row.status is InvestigationStatus.failed
    assert scene.row.failure is not None
    assert scene.row.failure.code == "context-unavailable"
    assert "connect" in scene.row.failure.error
    assert len(scene.engine.runs) == 1
    assert [end.outcome for end in scene.ends] == ["context-unavailable"]


async def test_a_refusal_ends_it_at_once():
    scene = Scene(raises(Impossible("context-refused", "HTTP 401")))

    await scene.conductor.conduct(await scene.taken())

    assert scene.row.failure is not None
    assert (scene.row.failure.code, scene.row.failure.error) == ("context-refused", "HTTP 401")


async def test_a_mistake_of_ours_ends_it_without_telling_its_text():
    scene = Scene(raises(KeyError("a secret detail")))

    await scene.conductor.conduct(await scene.taken())

    assert scene.row.failure is not None
    assert (scene.row.failure.code, scene.row.failure.error) == (
        "internal-error",
        "The engine failed (KeyError).",
    )


async def test_a_run_that_hangs_is_cut_at_the_deadline():
    async def hangs(run: Claimed, report: ReportProgress) -> Verdict:
        scene.later(1)
        await asyncio.Event().wait()
        return found_cause(run)

    scene = Scene(hangs, life=0.01)
    await scene.conductor.conduct(await scene.taken())

    assert scene.row.status is InvestigationStatus.failed


async def test_a_run_that_was_overtaken_changes_nothing_any_more():
    async def overtaken(run: Claimed, report: ReportProgress) -> Verdict:
        if len(scene.engine.runs) == 1:
            await scene.conductor.conduct(run.id)
            await report(50, "still here")
        return found_cause(run)

    scene = Scene(overtaken)
    await scene.conductor.conduct(await scene.taken())

    assert [word for word, _ in scene.ledger.calls] == ["conclude"]
    assert len(scene.ends) == 1


async def test_progress_is_recorded_and_never_goes_back():
    async def reports(run: Claimed, report: ReportProgress) -> Verdict:
        await report(60, "far")
        await report(20, "less far")
        raise NotNow("context-unavailable", "timeout")

    scene = Scene(reports)
    with pytest.raises(NotNow):
        await scene.conductor.conduct(await scene.taken())

    assert scene.row.progress == 60


async def test_a_deadline_ends_what_nobody_runs_and_nothing_before_it():
    scene = Scene(answers)
    id_ = await scene.taken()

    scene.later(299)
    await scene.conductor.expire(id_)
    assert not scene.row.ended
    scene.later(1)
    await scene.conductor.expire(id_)
    await scene.conductor.expire(id_)

    assert scene.row.failure is not None
    assert scene.row.failure.code == "deadline-passed"
    assert len(scene.ends) == 1


async def test_a_database_that_goes_away_is_not_the_investigations_failure():
    async def away(run: Claimed, report: ReportProgress) -> Verdict:
        scene.ledger.away = True
        await report(50, "on")
        return found_cause(run)

    scene = Scene(away)
    id_ = await scene.taken()

    with pytest.raises(StorageUnavailable):
        await scene.conductor.conduct(id_)

    scene.ledger.away = False
    assert not scene.row.ended


async def test_old_investigations_are_removed():
    scene = Scene(answers)
    await scene.conductor.conduct(await scene.taken())
    scene.later(31 * 86_400)

    await scene.conductor.clean()

    assert scene.ledger.rows == {}


class WithModel(Scene):
    """The same where a model is configured."""

    def __init__(self, behaviour: Behaviour, *, life: float = 300) -> None:
        super().__init__(behaviour, life=life)
        self.conductor = Conductor(
            self.ledger,
            self.engine,
            retention=timedelta(days=30),
            then_ask_a_model=True,
            observe=self.ends.append,
        )


async def triages(run: Claimed, report: ReportProgress) -> Verdict:
    return found_cause(run)


async def finds_no_target(run: Claimed, report: ReportProgress) -> Verdict:
    return no_target(None, "model-still-running")


@pytest.mark.requirement("HAPI-026")
async def test_where_a_model_is_configured_triages_verdict_is_kept_and_the_investigation_held():
    scene = WithModel(triages)

    await scene.conductor.conduct(await scene.taken())

    assert (scene.row.status, scene.row.verdict) == (InvestigationStatus.running, None)
    assert scene.row.interim == scene.row.known is not None
    assert list(scene.ledger.line.held) == ["inv-1"]
    assert scene.ends == []


async def test_what_is_held_is_not_triaged_again():
    scene = WithModel(triages)
    id_ = await scene.taken()
    await scene.conductor.conduct(id_)

    await scene.conductor.conduct(id_)

    assert (len(scene.engine.runs), list(scene.ledger.line.held)) == (1, ["inv-1"])


async def test_an_alert_that_names_nothing_is_not_taken_to_a_model():
    scene = WithModel(finds_no_target)

    await scene.conductor.conduct(await scene.taken())

    assert scene.row.verdict is not None
    assert scene.row.verdict.degraded_reason == "model-not-asked"
    assert not scene.ledger.line.held


async def test_what_is_held_past_its_deadline_ends_with_triages_verdict():
    scene = WithModel(triages)
    await scene.conductor.conduct(await scene.taken())
    scene.later(301)

    await scene.conductor.expire("inv-1")

    assert scene.row.verdict is not None
    assert (scene.row.status, scene.row.verdict.engine) == (InvestigationStatus.completed, "triage")
    assert scene.row.verdict.degraded_reason == "model-timeout"
    assert [(end.engine, end.outcome) for end in scene.ends] == [("triage", "cause")]


@dataclass
class OnePast:
    """A history of one investigation."""

    cluster: str | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)

    async def like(
        self, match: Match, word: str, *, tenant: str, within: timedelta, at_most: int
    ) -> Sequence[Past]:
        self.calls.append((match, word))
        return [
            Past(
                id="inv-0",
                asker="ben",
                seen=("data", "shop"),
                alert_name=word,
                cause_reason="OutOfMemory",
                cause_target="StatefulSet/data/orders-db",
                target_kind="StatefulSet",
                recommended="More memory",
                status="completed",
                created_at=NOW,
                ended_at=NOW,
                cluster=self.cluster,
            )
        ]


class WithPast(Scene):
    """The same where there was an investigation before."""

    def __init__(self, past: OnePast | None = None, clusters: Clusters = ONE_FOR_ALL) -> None:
        super().__init__(answers)
        self.history = past or OnePast()
        self.conductor = Conductor(
            self.ledger,
            self.engine,
            retention=timedelta(days=30),
            history=self.history,
            clusters=clusters,
        )

    async def told(self, **asked: Any) -> dict[str, object]:
        taken = commission(request(namespace="shop", **asked), caller(), None)
        await self.conductor.conduct((await self.ledger.open(taken)).record.id)
        assert self.row.verdict is not None
        return self.row.verdict.context_used


@pytest.mark.requirement("HAPI-011")
async def test_what_was_found_before_is_looked_at_where_the_caller_wants_that():
    scene = WithPast()

    told = await scene.told(include_history=True)

    assert scene.history.calls == [("alert", "KubePodCrashLooping")]
    [one] = cast("list[dict[str, object]]", told["history"])
    assert (one["cause_reason"], one["usual_target"]) == ("OutOfMemory", "StatefulSet/data/orders-db")
    assert told["source"] == "context-api"


@pytest.mark.requirement("HAPI-011")
async def test_what_was_found_before_is_left_alone_where_nobody_asks_for_it():
    scene = WithPast()

    assert "history" not in await scene.told()
    assert scene.history.calls == []


@pytest.mark.requirement("HAPI-179")
@pytest.mark.parametrize(("cluster", "told"), [("eu", True), ("us", False), (None, False)])
async def test_what_was_found_in_another_cluster_is_no_hint(cluster: str | None, told: bool):
    scene = WithPast(OnePast(cluster), Clusters("http://a", {"eu": "http://b", "us": "http://c"}))

    context_used = await scene.told(include_history=True, labels={"cluster": "eu"})

    assert bool(context_used["history"]) is told


async def unknown(run: Claimed, report: ReportProgress) -> Verdict:
    return no_result("triage", "no Context API is configured for cluster us")


@pytest.mark.requirement("HAPI-018", "HAPI-179")
async def test_one_of_a_cluster_nobody_configured_is_counted_and_told_to_whoever_can_configure_it(
    caplog: pytest.LogCaptureFixture,
):
    scene = Scene(unknown)

    with caplog.at_level("WARNING"):
        await scene.conductor.conduct(await scene.taken())

    assert [end.outcome for end in scene.ends] == ["unknown-cluster"]
    assert caplog.messages == ["investigation inv-1: no Context API is configured for cluster us"]


@pytest.mark.requirement("HAPI-018", "HAPI-179")
def test_a_cause_that_was_found_before_its_cluster_was_taken_away_is_counted_as_one():
    verdict = conclude(found(), CHECKOUT, claimed(), UNKNOWN_CLUSTER)

    assert outcome(verdict) == "cause"


@pytest.mark.requirement("HAPI-179")
async def test_a_model_is_not_asked_about_a_cluster_nobody_configured_and_the_word_stays():
    scene = Scene(unknown)
    scene.conductor = Conductor(
        scene.ledger, scene.engine, retention=timedelta(days=30), then_ask_a_model=True
    )
    await scene.conductor.conduct(await scene.taken())

    assert scene.row.status is InvestigationStatus.completed
    assert scene.row.verdict is not None
    assert scene.row.verdict.degraded_reason == "unknown-cluster"
