"""The real engine's children serve one run after another: of their own reach alone, and with nothing left of the run before."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from libs.contracts.chat import ChatEvent
from libs.contracts.target import Target
from services.holmesgpt_api.adapters import residents
from services.holmesgpt_api.adapters.engine_environment import environment
from services.holmesgpt_api.adapters.holmes_chat import HolmesTalker
from services.holmesgpt_api.adapters.residents import Child, Residents
from services.holmesgpt_api.adapters.zygote import Zygote
from services.holmesgpt_api.domain.chat.session import Owner, TakenTurn
from services.holmesgpt_api.domain.clusters import Clusters
from services.holmesgpt_api.domain.residence import Policy, Why
from services.holmesgpt_api.domain.roster import Entry, Roster
from services.holmesgpt_api.engine.messages import (
    Alert,
    Answered,
    Checkpoint,
    Concluded,
    ContextAccess,
    Exchange,
    Failed,
    HeadStart,
    Heard,
    ModelAccess,
    Recorded,
    RunRequest,
    TalkRequest,
)
from tests.fakes.context_api import FakeContextApi, context_api
from tests.fakes.model import FakeModel, model
from tests.fakes.purse import FakePurse
from tests.fakes.steps import MemorySteps
from tests.support.children import REPOSITORY
from tests.support.engine import children_of, is_alive, name_of
from tests.support.investigations import CONFIG, cause, evidence, found
from tests.support.watched_engine import ENGINE, interpreter
from tests.support.watched_engine import found as left

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-137", "HAPI-138"),
    pytest.mark.xdist_group("holmes-engine"),
]

MIB = 1024 * 1024
LOOK_TAKES = 120.0
"""Seconds at most that a child may take to look through a million objects."""

POLICY = Policy(
    idle=4,
    spare=0,
    most=8,
    age=timedelta(hours=1),
    runs=1000,
    memory=1 << 30,
    rest=timedelta(minutes=5),
    pressure=1.0,
)


@pytest.fixture(scope="module")
def context() -> Iterator[FakeContextApi]:
    fact = evidence("ev-00000000000000e1", summary="canary-summary")
    with context_api(
        causes=found(cause(text="canary-cause", evidence_ids=[fact.id]), evidence=[fact])
    ) as fake:
        yield fake


@pytest.fixture(scope="module")
def scripted() -> Iterator[FakeModel]:
    with model() as fake:
        fake.target = "Deployment.apps/shop/canary-target"
        yield fake


@asynccontextmanager
async def engine(
    python: Path, home: Path, policy: Policy = POLICY
) -> AsyncIterator[tuple[Zygote, list[Why]]]:
    stop, whys = asyncio.Event(), list[Why]()
    made = Zygote(
        python,
        environment=environment({"PATH": os.environ["PATH"]}, home=home, base_url=None),
        directory=REPOSITORY,
        start_within=timedelta(seconds=120),
        residents=Residents(policy, observe=whys.append),
    )
    task = asyncio.create_task(made.run(stop))
    try:
        yield made, whys
    finally:
        stop.set()
        await task


def access(scripted: FakeModel) -> ModelAccess:
    return ModelAccess(
        name="primary",
        model="openai/scripted",
        api_base=scripted.url,
        api_key="sk-of-the-canary-model",
        context_tokens=32_000,
        output_tokens=1_000,
        request_timeout_s=10,
        attempts=1,
    )


def reads(context: FakeContextApi, number: int) -> ContextAccess:
    return ContextAccess(url=context.url, token=f"canary-token-{number}", timeout_s=5)


def known() -> HeadStart:
    return HeadStart(
        target=Target(kind=CONFIG.kind, namespace=CONFIG.namespace, name="canary-config"),
        summary="canary-triage",
        causes=[cause(text="canary-of-triage", evidence_ids=["ev-00000000000000aa"])],
        evidence=[evidence("ev-00000000000000aa", summary="canary-head-start")],
        not_looked_at=[],
    )


def question(context: FakeContextApi, scripted: FakeModel, number: int, reach: str = "r") -> TalkRequest:
    return TalkRequest(
        run=f"canary-run-{number}",
        reach=reach,
        seconds=30,
        max_steps=4,
        question=f"Why does canary-question-{number} fail?",
        earlier=[Exchange(question="canary-before", answer="canary-answered")],
        head_start=known(),
        model=access(scripted),
        context=reads(context, number),
    )


def investigation(context: FakeContextApi, scripted: FakeModel, number: int) -> RunRequest:
    labels = {"pod": "canary-pod", "namespace": "shop"}
    return RunRequest(
        run=f"canary-run-{number}",
        reach="r",
        seconds=30,
        max_steps=4,
        alert=Alert(name="canary-alert", priority="high", namespace="shop", labels=labels),
        head_start=known(),
        model=access(scripted),
        context=reads(context, number),
    )


async def served(there: Zygote, request: TalkRequest | RunRequest) -> tuple[Child, Heard]:
    """The run's last word, and who served it."""
    async with there.child(request.run, patience=120, reach=request.reach) as child:
        await child.send(request)
        while True:
            match await child.receive():
                case Checkpoint(number=number):
                    await child.send(Recorded(number=number))
                case Answered() | Concluded() | Failed() as last:
                    break
    return child, last


@pytest.mark.requirement("HAPI-103")
async def test_nothing_of_a_run_can_be_reached_in_its_child_when_it_has_come_to_rest(
    context: FakeContextApi, scripted: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(residents, "REST_WITHIN", LOOK_TAKES)
    requests: list[TalkRequest | RunRequest] = [
        question(context, scripted, 1),
        investigation(context, scripted, 2),
        question(context, scripted, 3),
    ]
    async with engine(interpreter(tmp_path), tmp_path) as (there, _):
        served_by = [await served(there, one) for one in requests]

    assert [last.type for _, last in served_by] == ["answered", "concluded", "answered"], served_by
    lines = left(tmp_path)
    assert [one["runs"] for one in lines] == [1, 2, 3]
    assert len({one["pid"] for one in lines}) == 1
    assert {one["secrets"] for one in lines} == {2}
    assert [one["found"] for one in lines] == [[], [], []]
    assert {"Bearer canary-token-1", "Bearer canary-token-2"} <= set(context.credentials)


async def test_what_a_mistake_would_keep_is_found(
    context: FakeContextApi, scripted: FakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(residents, "REST_WITHIN", LOOK_TAKES)
    async with engine(interpreter(tmp_path, "keeps"), tmp_path) as (there, _):
        await served(there, question(context, scripted, 1))

    (line,) = left(tmp_path)
    assert any("canary-token-1" in one for one in line["found"])


async def test_children_serve_their_reach_until_something_ends_them(
    context: FakeContextApi, scripted: FakeModel, tmp_path: Path
):
    async with engine(ENGINE, tmp_path, replace(POLICY, runs=3)) as (there, whys):
        first, _ = await served(there, question(context, scripted, 1))
        again, _ = await served(there, question(context, scripted, 2))
        other, _ = await served(there, question(context, scripted, 3, reach="another"))
        third, _ = await served(there, question(context, scripted, 4))

        assert first is again is third
        assert other is not first
        assert whys == ["runs"]
        assert [one.reach for one in there.residents] == ["another"]
        assert there.running == 0
        assert 0 < other.own < 300 << 20


async def test_a_child_that_is_given_a_run_of_another_reach_does_not_begin_it(
    context: FakeContextApi, scripted: FakeModel, tmp_path: Path
):
    """The service would have to mix them up."""
    async with engine(ENGINE, tmp_path) as (there, whys):
        await served(there, question(context, scripted, 1))
        scripted.requests.clear()
        mixed_up = question(context, scripted, 2).model_copy(update={"reach": "another"})
        async with there.child("mixed-up", patience=10, reach="r") as child:
            await child.send(mixed_up)
            ended = await asyncio.wait_for(asyncio.shield(child.end), 10)

        assert ended.code == os.EX_DATAERR
        assert scripted.requests == []
        assert whys == ["killed"]


async def test_a_child_that_is_killed_while_it_waits_costs_nobody_a_question(
    context: FakeContextApi, scripted: FakeModel, tmp_path: Path
):
    async with engine(ENGINE, tmp_path) as (there, whys):
        talker = HolmesTalker(
            there,
            Roster([Entry(access(scripted), "local_llm", 0, tools=True)]),
            clusters=Clusters(context.url),
            mint=lambda taken, left: "canary-token",
            steps=MemorySteps(),
            max_steps=4,
            tool_timeout=timedelta(seconds=5),
            start_within=timedelta(seconds=120),
            purse=FakePurse(),
        )
        first = await talker.talk(asked("one"), within=timedelta(seconds=120), report=unseen)
        (pid,) = _children(there)
        name = name_of(pid)
        os.kill(pid, signal.SIGKILL)
        # In this same moment, before anybody can have heard of it.
        second = await talker.talk(asked("two"), within=timedelta(seconds=60), report=unseen)

        assert name == "holmes-idle"
        assert ("one" in first.text, "two" in second.text) == (True, True)
        assert whys == ["killed"]
        assert not is_alive(pid)


def asked(what: str) -> TakenTurn:
    return TakenTurn(
        id=f"chat-{what}",
        fence=1,
        owner=Owner("default", "ann"),
        reads=("shop",),
        message=f"Why does {what} fail?",
        namespace=None,
        interim=None,
        verdict=None,
        time_left=timedelta(seconds=60),
    )


async def unseen(event: ChatEvent) -> None:
    assert event.kind


async def test_one_waits_for_whoever_comes_first(
    context: FakeContextApi, scripted: FakeModel, tmp_path: Path
):
    async with engine(ENGINE, tmp_path, replace(POLICY, spare=1)) as (there, _):
        async with asyncio.timeout(120):
            while not there.residents.spares:
                await asyncio.sleep(0.05)
        (waiting,) = there.residents
        child, _ = await served(there, question(context, scripted, 1))

    assert child is waiting


@pytest.mark.requirement("HAPI-136")
async def test_a_child_does_not_grow_with_the_runs_it_serves(
    context: FakeContextApi, scripted: FakeModel, tmp_path: Path
):
    async with engine(ENGINE, tmp_path) as (there, _):
        sizes = []
        for number in range(60):
            child, last = await served(there, question(context, scripted, number))
            assert isinstance(last, Answered)
            sizes.append(child.own)

    assert child.runs == 60
    assert sizes[-1] - sizes[20] < 3 * MIB, [one // 1024 for one in sizes[::10]]


PROMPTS = """
import json
from holmes.config import Config
from holmes.core.conversations import build_chat_messages
from holmes.core.tool_calling_llm import ToolCallingLLM
from services.holmesgpt_api.engine import chat_prompt, prompt
from services.holmesgpt_api.engine.talking import OURS_ALONE, opening
from services.holmesgpt_api.engine.tools import executor
ai = ToolCallingLLM(executor(), 4, None, None)
said = []
for words in (chat_prompt.system(), prompt.system()):
    theirs = build_chat_messages("{asked} < why?", None, ai=ai, config=Config(), additional_system_prompt=words,
                                 prompt_component_overrides=OURS_ALONE)
    theirs[0]["content"] = theirs[0]["content"].strip()
    said.append(theirs == opening(words, "{asked} < why?"))
print(json.dumps(said))
"""


def test_a_question_opens_as_holmesgpt_would_open_it(tmp_path: Path):
    seen = environment({"PATH": os.environ["PATH"]}, home=tmp_path, base_url=None)
    done = subprocess.run(
        [str(ENGINE), "-c", PROMPTS], cwd=REPOSITORY, env=seen, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [True, True]


def _children(there: Zygote) -> list[int]:
    assert there.pid is not None
    return children_of(there.pid)
