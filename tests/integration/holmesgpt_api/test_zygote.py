"""The engine's process is started, refused, started again and cleared away; each run's death has a reason."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from libs.auth.minter import NoSigningKey
from libs.contracts.course import EventName
from libs.redaction import Redactor
from services.holmesgpt_api.adapters import run_course
from services.holmesgpt_api.adapters import zygote as adapter
from services.holmesgpt_api.adapters.engine_environment import environment
from services.holmesgpt_api.adapters.holmes import Holmes
from services.holmesgpt_api.adapters.run_course import Course
from services.holmesgpt_api.adapters.steps import LastStep
from services.holmesgpt_api.adapters.zygote import Away, State, Zygote
from services.holmesgpt_api.domain.budget import Limit, Limits
from services.holmesgpt_api.domain.clusters import Clusters
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.model import ModelFailed, Told
from services.holmesgpt_api.domain.record import Claimed, Replay
from services.holmesgpt_api.domain.roster import Roster
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.engine.messages import SDK, ModelAccess
from tests.fakes.purse import FakePurse
from tests.fakes.steps import MemorySteps
from tests.support.children import REPOSITORY
from tests.support.engine import children_of, is_alive
from tests.support.investigations import CHECKOUT, claimed, found, request
from tests.support.scripted_engine import interpreter

pytestmark = pytest.mark.requirement("HAPI-026", "HAPI-029")

ACCESS = ModelAccess(
    model="openai/m",
    api_key="sk-x",
    context_tokens=32_000,
    output_tokens=1_000,
    request_timeout_s=5,
    attempts=1,
)


@asynccontextmanager
async def engine(python: Path, **options: Any) -> AsyncIterator[Zygote]:
    stop = asyncio.Event()
    made = Zygote(
        python,
        environment=environment({"PATH": os.environ["PATH"]}, home=python.parent, base_url=None),
        directory=REPOSITORY,
        start_within=options.pop("start_within", timedelta(seconds=30)),
        **options,
    )
    task = asyncio.create_task(made.run(stop))
    try:
        yield made
    finally:
        stop.set()
        await task


def holmes(zygote: Zygote, **options: Any) -> Holmes:
    values: dict[str, Any] = {
        "clusters": Clusters("http://context"),
        "mint": lambda run, left: f"token of {run.id}",
        "steps": MemorySteps(),
        "max_steps": 4,
        "tool_timeout": timedelta(seconds=5),
        "start_within": timedelta(seconds=30),
        "purse": FakePurse(),
    }
    return Holmes(zygote, options.pop("roster", Roster.of(ACCESS)), **(values | options))


def run(what: str, number: int = 1) -> Claimed:
    return claimed(id=f"inv-{number}", request=request(alert_name=what))


async def asked(where: Holmes, what: str, *, within: float = 20, number: int = 1) -> Told:
    stages: list[tuple[int, str]] = []
    events: list[Happening] = []

    async def report(progress: int, stage: str, happened: Happening | None = None, /) -> None:
        stages.append((progress, stage))
        events.extend([] if happened is None else [happened])

    interim = conclude(found(), CHECKOUT, claimed(), "model-still-running")
    told = await where.ask(
        run(what, number), interim, within=timedelta(seconds=within), report_progress=report
    )
    step = (50, "asking the model (answer 1)")
    assert stages == [step, *(step for one in events if one.name is EventName.tool)]
    assert events[0] == Happening(EventName.step, {"number": 1})
    return told


HEAD_START = ["e1", "e2"]
"""Facts of triage's that each run begins with."""


async def until(zygote: Zygote, word: str, *, within: float = 20) -> State:
    async with asyncio.timeout(within):
        while zygote.state.word != word:
            await asyncio.sleep(0.01)
    return zygote.state


async def begun(zygote: Zygote) -> tuple[int, list[int]]:
    """The zygote's process id and its children's, once it has any."""
    async with asyncio.timeout(20):
        while zygote.pid is None or not children_of(zygote.pid):
            await asyncio.sleep(0.02)
    return zygote.pid, children_of(zygote.pid)


async def gone(pids: list[int]) -> None:
    async with asyncio.timeout(10):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.02)


@pytest.mark.requirement("HAPI-161")
async def test_a_replay_under_words_that_this_release_does_not_have_asks_no_model(tmp_path: Path):
    old = claimed(replay=Replay(of="inv-0", engine="holmesgpt", prompt="2025-1"))
    interim = conclude(found(), CHECKOUT, old, "model-still-running")

    async def unheard(progress: int, stage: str, happened: Happening | None = None, /) -> None:
        raise AssertionError(f"it has begun: {stage}")

    async with engine(interpreter(tmp_path, "ready")) as zygote:
        with pytest.raises(ModelFailed) as refused:
            await holmes(zygote).ask(old, interim, within=timedelta(seconds=5), report_progress=unheard)

    assert refused.value.word == "model-misconfigured"
    assert "'2025-1'" in refused.value.detail


@pytest.mark.requirement("HAPI-030")
@pytest.mark.parametrize(
    ("mood", "word", "said"),
    [
        (
            "old",
            "refused",
            f"HolmesGPT 0.44.0 is installed and this release speaks {SDK}: install it with `make engine`",
        ),
        ("none", "refused", "no HolmesGPT is installed"),
        ("foreign", "refused", "another checkout"),
        ("broken", "broken", "ImportError: no litellm"),
        ("dies", "broken", "ended before it was ready"),
        ("nonsense", "broken", "a frame of "),
    ],
)
async def test_an_engine_that_is_not_ours_is_refused_with_the_reason_and_the_remedy(
    tmp_path: Path, mood: str, word: str, said: str
):
    async with engine(interpreter(tmp_path, mood)) as there:
        state = await until(there, word)
        with pytest.raises(Away, match=word):
            async with there.child("r", patience=5):
                pass

    assert said in state.detail


async def test_an_engine_that_is_not_installed_names_the_remedy(tmp_path: Path):
    async with engine(tmp_path / "nothing") as there:
        state = await until(there, "missing")

    assert "make engine" in state.detail


async def test_an_engine_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(adapter, "HELLO_WITHIN", 1.0)
    async with engine(interpreter(tmp_path, "mute"), start_within=timedelta(seconds=1)) as there:
        state = await until(there, "broken")

    assert "not ready within" in state.detail


async def test_an_engine_that_is_installed_meanwhile_is_found(tmp_path: Path):
    async with engine(tmp_path / "python-ready") as there:
        await until(there, "missing")
        interpreter(tmp_path, "ready")
        await until(there, "ready")


@pytest.mark.requirement("HAPI-163")
async def test_what_a_run_says_becomes_what_is_told(tmp_path: Path):
    async with engine(interpreter(tmp_path, "ready")) as there:
        told = await asked(holmes(there), "concludes")

        assert told.opinion.summary == "token of inv-1"
        assert [item.id for item in told.evidence] == [*HEAD_START, "ev-1"]
        assert (told.use.requests, told.use.tokens, told.use.cost_usd, told.use.steps) == (1, 15, 0.25, 1)
        assert [(one.tool, one.arguments) for one in told.use.tools] == [("get_logs", {"pod": "a"})]
        assert (told.use.model, told.use.sdk, told.use.repaired) == ("openai/m", SDK, True)
        assert there.running == 0


@pytest.mark.parametrize(
    ("what", "word", "said"),
    [
        ("fails", "model-unauthorized", "HTTP 401"),
        ("dies", "engine-failed", "ended with code 3"),
        ("is-killed", "engine-failed", "ended by SIGSEGV"),
        ("floods", "engine-failed", "talked nonsense: a frame of "),
        ("lies", "engine-failed", "talked nonsense: no message that may come here"),
        ("hangs", "model-timeout", "no conclusion within 1 s"),
    ],
)
async def test_however_a_run_ends_there_is_a_reason_and_its_process_is_gone(
    tmp_path: Path, what: str, word: str, said: str
):
    async with engine(interpreter(tmp_path, "ready")) as there:
        await until(there, "ready")
        with pytest.raises(ModelFailed) as failed:
            await asked(holmes(there), what, within=1 if what == "hangs" else 20)

        assert (failed.value.word, said in failed.value.detail) == (word, True), failed.value.detail
        assert failed.value.use is not None
        assert there.running == 0
        assert there.pid is not None
        assert children_of(there.pid) == []


async def test_many_runs_side_by_side_hear_only_their_own(tmp_path: Path):
    async with engine(interpreter(tmp_path, "ready")) as there:
        where = holmes(there)
        told = await asyncio.gather(*(asked(where, "concludes", number=number) for number in range(20)))

    assert [one.opinion.summary for one in told] == [f"token of inv-{number}" for number in range(20)]


async def test_a_run_that_is_called_off_is_killed_at_once(tmp_path: Path):
    async with engine(interpreter(tmp_path, "ready")) as there:
        task = asyncio.create_task(asked(holmes(there), "hangs"))
        _, children = await begun(there)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await gone(children)
        assert there.running == 0


async def test_a_zygote_that_dies_takes_its_runs_along_and_they_go_on_in_another_one(tmp_path: Path):
    steps = MemorySteps()
    async with engine(interpreter(tmp_path, "ready")) as there:
        await until(there, "ready")
        task = asyncio.create_task(going_on(holmes(there, steps=steps)))
        first, _ = await begun(there)
        await steps.holds(2, answered=True)
        os.kill(first, signal.SIGKILL)
        told = await task

        assert there.pid != first
    assert told.opinion.summary == "2 talk b'what was said' b'what was answered' 1 1 ['e1', 'e2', 'ev-1']"
    assert [item.id for item in told.evidence] == [*HEAD_START, "ev-1"]
    assert (told.use.requests, told.use.cost_usd, told.use.resumed) == (1, 0.25, 1)
    assert [one.tool for one in told.use.tools] == ["get_logs"]


async def going_on(where: Holmes) -> Told:
    interim = conclude(found(), CHECKOUT, claimed(), "model-still-running")

    async def report(progress: int, stage: str, happening: Happening | None = None, /) -> None:
        assert progress < 100

    return await where.ask(run("goes-on"), interim, within=timedelta(seconds=30), report_progress=report)


async def test_a_killed_runs_next_process_is_handed_the_last_step_and_what_was_known(tmp_path: Path):
    steps = MemorySteps()
    async with engine(interpreter(tmp_path, "ready")) as there:
        await until(there, "ready")
        task = asyncio.create_task(going_on(holmes(there, steps=steps)))
        _, (child,) = await begun(there)
        await steps.holds(2, answered=True)
        os.kill(child, signal.SIGKILL)
        told = await task

    assert told.opinion.summary == "2 talk b'what was said' b'what was answered' 1 1 ['e1', 'e2', 'ev-1']"
    assert told.use.resumed == 1


@pytest.mark.requirement("HAPI-163")
async def test_what_a_process_cost_that_died_before_it_stored_a_step_is_counted(tmp_path: Path):
    async with engine(interpreter(tmp_path, "ready")) as there:
        await until(there, "ready")
        told = await asked_for(holmes(there, steps=MemorySteps()), "dies-before-its-first-step", within=20)

    assert told.opinion.summary == "at the second try"
    assert (told.use.requests, told.use.cost_usd, told.use.resumed) == (2, 0.5, 1)


async def test_a_run_that_kills_each_of_its_processes_ends_with_the_reason_after_three(tmp_path: Path):
    steps = MemorySteps()
    async with engine(interpreter(tmp_path, "ready")) as there:
        await until(there, "ready")
        with pytest.raises(ModelFailed, match="engine-failed: the run's process was ended by SIGKILL"):
            await asked(holmes(there, steps=steps), "tells-no-step-twice")

        assert there.running == 0
    assert len(steps.calls) == 3


@pytest.mark.requirement("HAPI-163")
async def test_the_seconds_that_a_run_had_at_a_lost_worker_count_for_its_budget(tmp_path: Path):
    before = Course({"": "openai/m"}, time.monotonic(), Redactor(bytes(16)), before=59.5)
    steps = MemorySteps(kept=LastStep(2, "talk", b"what was said", None, before.packed()))
    limits = Limits(Limit(seconds=60.0), Limit())
    async with engine(interpreter(tmp_path, "ready")) as there:
        await until(there, "ready")
        with pytest.raises(ModelFailed) as failed:
            await asked_for(holmes(there, steps=steps, limits=lambda: limits), "hangs", within=10)

    assert (failed.value.word, failed.value.detail) == ("budget-run-seconds", "no conclusion within 60 s")


@pytest.mark.parametrize("trouble", ["away", "too-large"])
async def test_a_run_whose_steps_cannot_be_stored_goes_on_all_the_same(
    tmp_path: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
):
    steps = MemorySteps(refuses=trouble == "away")
    if trouble == "too-large":
        monkeypatch.setattr(run_course, "COURSE_AT_MOST", 10)
    async with engine(interpreter(tmp_path, "ready")) as there:
        await until(there, "ready")
        with pytest.raises(ModelFailed, match="model-timeout"):
            await asked_for(holmes(there, steps=steps), "goes-on", within=2)

    assert steps.kept is None


async def asked_for(where: Holmes, what: str, *, within: float) -> Told:
    async def report(progress: int, stage: str, happening: Happening | None = None, /) -> None:
        assert progress < 100

    interim = conclude(found(), CHECKOUT, claimed(), "model-still-running")
    return await where.ask(run(what), interim, within=timedelta(seconds=within), report_progress=report)


async def test_a_run_that_has_lost_its_say_stops_at_its_next_step(tmp_path: Path):
    steps = MemorySteps(says=False)
    async with engine(interpreter(tmp_path, "ready")) as there:
        await until(there, "ready")
        with pytest.raises(ModelFailed, match="no say any more"):
            await asked_for(holmes(there, steps=steps), "goes-on", within=20)

        assert there.running == 0


async def test_a_zygote_that_is_stuck_is_ended_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(adapter, "DEATH_WITHIN", 0.5)
    async with engine(interpreter(tmp_path, "ready")) as there:
        await until(there, "ready")
        task = asyncio.create_task(asked(holmes(there), "hangs"))
        stuck, children = await begun(there)
        os.kill(stuck, signal.SIGSTOP)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await gone([stuck])
        assert (await asked(holmes(there), "concludes")).use.requests == 1
        await gone(children)


async def test_a_stop_leaves_no_process_behind(tmp_path: Path):
    async with engine(interpreter(tmp_path, "ready")) as there:
        await until(there, "ready")
        task = asyncio.create_task(asked(holmes(there), "hangs"))
        pid, children = await begun(there)
    with pytest.raises(ModelFailed):
        await task

    await gone([pid, *children])
    assert there.state.word == "stopped"


async def test_a_run_waits_for_an_engine_that_is_starting_but_not_for_ever(tmp_path: Path):
    slow = tmp_path / "python-slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    async with engine(slow) as there:
        began = time.monotonic()
        with pytest.raises(ModelFailed, match="engine-unavailable: starting: not ready within 1 s"):
            await asked(holmes(there), "concludes", within=1)

    assert time.monotonic() - began < 10


@pytest.mark.requirement("HAPI-170", "HAPI-075")
async def test_without_a_token_of_its_own_a_run_is_not_begun(tmp_path: Path):
    def none(run: Claimed, left: timedelta) -> str:
        raise NoSigningKey

    async with engine(interpreter(tmp_path, "ready")) as there:
        with pytest.raises(ModelFailed, match="engine-unavailable: no key in the keys file can sign"):
            await asked(holmes(there, mint=none), "concludes")


async def test_a_request_too_large_for_a_frame_is_a_reason_and_no_crash(tmp_path: Path):
    async with engine(interpreter(tmp_path, "ready")) as there:
        big = claimed(
            request=request(alert_name="concludes", annotations={str(n): "x" * 99_999 for n in range(50)})
        )
        interim = conclude(found(), CHECKOUT, claimed(), "model-still-running")

        async def report(progress: int, stage: str, happened: Happening | None = None, /) -> None:
            raise AssertionError(stage)

        with pytest.raises(ModelFailed, match="model-context-exceeded"):
            await holmes(there).ask(big, interim, within=timedelta(seconds=20), report_progress=report)


@pytest.mark.requirement("HAPI-179")
async def test_a_run_whose_cluster_was_taken_out_of_the_configuration_is_put_to_no_model():
    clusters = Clusters("http://context", {"eu": "http://context-eu"})
    where, us = holmes(cast(Zygote, None), clusters=clusters), {"cluster": "us"}
    gone = claimed(request=request(alert_name="concludes", labels=us))

    async def report(progress: int, stage: str, happened: Happening | None = None, /) -> None:
        raise AssertionError("nothing happens")

    with pytest.raises(ModelFailed) as failed:
        await where.ask(
            gone,
            conclude(found(), CHECKOUT, gone, "x"),
            within=timedelta(seconds=9),
            report_progress=report,
        )

    assert failed.value.word == "unknown-cluster"
