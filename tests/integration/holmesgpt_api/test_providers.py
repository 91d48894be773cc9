"""The real HolmesGPT with two scripted models: where the first does not answer the second does, and both are remembered."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.holmesgpt_api.adapters.engine_environment import environment
from services.holmesgpt_api.adapters.holmes import Holmes
from services.holmesgpt_api.adapters.model_access import litellm_name
from services.holmesgpt_api.adapters.zygote import Zygote
from services.holmesgpt_api.domain.clusters import Clusters
from services.holmesgpt_api.domain.configuration import Provider
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.model import ModelFailed, Told
from services.holmesgpt_api.domain.roster import Entry, Roster
from services.holmesgpt_api.domain.triage import conclude
from services.holmesgpt_api.engine.messages import ModelAccess, ModelAsked
from services.holmesgpt_api.wiring import ROOT
from tests.fakes import dialects
from tests.fakes.context_api import FakeContextApi, context_api
from tests.fakes.model import FakeModel, Mood, calls, model
from tests.fakes.purse import FakePurse
from tests.fakes.steps import MemorySteps
from tests.support.investigations import CHECKOUT, cause, claimed, evidence, found, request

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-027", "HAPI-160"),
    pytest.mark.xdist_group("holmes-engine"),
    pytest.mark.asyncio(loop_scope="module"),
]

ID = "ev-00000000000000e1"
ANSWER = found(cause(evidence_ids=[ID]), evidence=[evidence(ID)])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def zygote(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Zygote]:
    stop = asyncio.Event()
    home = tmp_path_factory.mktemp("home")
    made = Zygote(
        ROOT / ".venv-holmes/bin/python",
        environment=environment({"PATH": os.environ["PATH"]}, home=home, base_url=None),
        directory=ROOT,
        start_within=timedelta(seconds=120),
    )
    task = asyncio.create_task(made.run(stop))
    async with asyncio.timeout(120):
        while made.state.word != "ready":
            await asyncio.sleep(0.1)
    yield made
    stop.set()
    await task


@pytest.fixture(scope="module")
def context() -> Iterator[FakeContextApi]:
    with context_api(causes=ANSWER) as fake:
        yield fake


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[FakeModel, FakeModel]]:
    with model() as first, model() as second:
        yield first, second


@pytest.fixture
def both(servers: tuple[FakeModel, FakeModel]) -> Iterator[tuple[FakeModel, FakeModel]]:
    for one in servers:
        one.reset()
    yield servers
    for one in servers:
        one.let_go()


def access(name: str, url: str, **fields: Any) -> ModelAccess:
    values: dict[str, Any] = {
        "name": name,
        "model": f"openai/{name}",
        "api_base": url,
        "api_key": f"sk-{name}",
        "context_tokens": 32_000,
        "output_tokens": 1_000,
        "request_timeout_s": 3,
        "attempts": 3,
        "input_price": 2.0,
        "output_price": 8.0,
    }
    return ModelAccess(**(values | fields))


def roster(*models: ModelAccess, tools: bool | None = True) -> Roster:
    return Roster([Entry(one, "local_llm", rank, tools=tools) for rank, one in enumerate(models)])


class Scene:
    def __init__(self, zygote: Zygote, context: FakeContextApi, roster: Roster) -> None:
        self.roster, self.heard, self.steps = roster, list[ModelAsked](), MemorySteps()
        self.holmes = Holmes(
            zygote,
            roster,
            clusters=Clusters(context.url),
            mint=lambda run, left: "token",
            steps=self.steps,
            max_steps=4,
            tool_timeout=timedelta(seconds=5),
            start_within=timedelta(seconds=120),
            observe=self.heard.append,
            purse=FakePurse(),
        )

    async def ask(self, *, within: float = 60, toolsets: Sequence[str] = ()) -> Told:
        async def report(progress: int, stage: str, happening: Happening | None = None, /) -> None:
            assert stage

        run = claimed(request=request(target=CHECKOUT.model_dump(), toolsets=list(toolsets)))
        interim = conclude(ANSWER, CHECKOUT, run, "model-still-running")
        self.steps.kept = None  # as the database forgets them when a run has ended
        return await self.holmes.ask(run, interim, within=timedelta(seconds=within), report_progress=report)


@pytest.mark.requirement("HAPI-029")
@pytest.mark.parametrize(
    ("mood", "word", "alone"),
    [
        ("unauthorized", "model-unauthorized", True),
        ("unknown-here", "model-misconfigured", True),
        ("rate-limited", "model-rate-limited", True),
        ("broken", "model-error", False),
        ("hangs", "model-timeout", False),
        ("garbage", "model-garbage", False),
    ],
)
async def test_where_the_first_model_fails_the_second_answers_and_both_are_told(
    zygote: Zygote,
    context: FakeContextApi,
    both: tuple[FakeModel, FakeModel],
    mood: Mood,
    word: str,
    alone: bool,
):
    first, second = both
    first.mood = mood
    scene = Scene(zygote, context, roster(access("a", first.url), access("b", second.url)))

    began = time.monotonic()
    told = await scene.ask()
    took = time.monotonic() - began

    assert told.opinion.cause is not None
    assert (told.use.model, told.use.answered_by) == ("openai/b", ["b", "b", "b"])
    assert [(one.model, one.word) for one in told.use.refusals] == [("a", word)]
    assert (len(first.requests), len(second.requests)) == (1, 3)
    assert (first.keys, set(second.keys)) == (["Bearer sk-a"], {"Bearer sk-b"})
    assert told.use.cost_usd == pytest.approx((3000 * 2 + 150 * 8) / 1e6)
    states = {one.entry.name: one.state for one in scene.roster.standings()}
    assert states == {"a": "left-alone" if alone else "ready", "b": "ready"}
    assert took < 20


async def test_a_server_that_is_gone_is_stood_in_for(
    zygote: Zygote, context: FakeContextApi, both: tuple[FakeModel, FakeModel]
):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        scene = Scene(zygote, context, roster(access("a", url), access("b", both[1].url)))
        told = await scene.ask()

    assert [(one.model, one.word) for one in told.use.refusals] == [("a", "model-unreachable")]
    assert told.use.answered_by == ["b", "b", "b"]


@pytest.mark.requirement("HAPI-165")
async def test_the_next_run_does_not_begin_with_a_model_that_is_left_alone(
    zygote: Zygote, context: FakeContextApi, both: tuple[FakeModel, FakeModel]
):
    first, second = both
    first.mood = "unauthorized"
    scene = Scene(zygote, context, roster(access("a", first.url), access("b", second.url)))
    await scene.ask()
    first.requests.clear()

    told = await scene.ask()

    assert first.requests == []
    assert told.use.refusals == []
    assert told.use.answered_by == ["b", "b", "b"]


async def test_all_of_them_dead_is_told_by_the_last_ones_word_and_what_was_tried(
    zygote: Zygote, context: FakeContextApi, both: tuple[FakeModel, FakeModel]
):
    first, second = both
    first.mood, second.mood = "unauthorized", "broken"
    scene = Scene(zygote, context, roster(access("a", first.url), access("b", second.url)))

    with pytest.raises(ModelFailed) as failed:
        await scene.ask()

    assert failed.value.word == "model-error"
    assert failed.value.use is not None
    assert [one.model for one in failed.value.use.refusals] == ["a", "b", "b", "b"]
    assert "sk-secret123" not in str(failed.value.use)


@pytest.mark.requirement("HAPI-142", "HAPI-162", "HAPI-165")
async def test_a_probe_finds_out_who_calls_tools_and_only_those_are_given_any(
    zygote: Zygote, context: FakeContextApi, both: tuple[FakeModel, FakeModel]
):
    first, second = both
    first.mood = "wordy"
    models = access("a", first.url), access("b", second.url)
    scene = Scene(zygote, context, roster(*models, tools=None))
    assert scene.roster.due() == list(models)
    for one in models:
        await scene.holmes.probe(one, within=timedelta(seconds=20))
    assert {one.entry.name: one.tools for one in scene.roster.standings()} == {"a": False, "b": True}
    assert scene.roster.due() == []

    told = await scene.ask()

    assert told.use.answered_by == ["b", "b", "a"], "the document needs no tools"
    assert not any("tools" in one for one in first.requests[1:])


@pytest.mark.requirement("HAPI-162")
async def test_without_any_model_that_calls_tools_a_run_is_refused_saying_so(
    zygote: Zygote, context: FakeContextApi, both: tuple[FakeModel, FakeModel]
):
    scene = Scene(zygote, context, roster(access("a", both[0].url), tools=False))

    with pytest.raises(ModelFailed, match="no configured model calls tools: a") as failed:
        await scene.ask()

    assert failed.value.word == "model-without-tools"
    assert both[0].requests == []


async def test_a_small_fallback_is_not_asked_what_does_not_fit_it(
    zygote: Zygote, context: FakeContextApi, both: tuple[FakeModel, FakeModel]
):
    first, second = both
    first.mood = "broken"
    small = access("b", second.url, context_tokens=1_500, output_tokens=500)
    scene = Scene(zygote, context, roster(access("a", first.url), small))

    with pytest.raises(ModelFailed):
        await scene.ask()

    assert second.requests == []


@pytest.mark.requirement("HAPI-147")
async def test_a_name_no_provider_knows_is_told_as_such_and_the_next_model_answers(
    zygote: Zygote, context: FakeContextApi, both: tuple[FakeModel, FakeModel]
):
    unknown = access("a", both[0].url, model="no-such-provider/x")
    scene = Scene(zygote, context, roster(unknown, access("b", both[1].url)))

    told = await scene.ask()

    assert [(one.model, one.word) for one in told.use.refusals] == [("a", "model-misconfigured")]
    assert told.use.answered_by == ["b", "b", "b"]
    assert both[0].requests == []


@pytest.mark.requirement("HAPI-012", "HAPI-031")
async def test_a_requests_toolsets_choose_the_models_tools(
    zygote: Zygote, context: FakeContextApi, both: tuple[FakeModel, FakeModel]
):
    scene = Scene(zygote, context, roster(access("a", both[0].url)))

    told = await scene.ask(toolsets=["kubernetes/logs"])

    begun_with = [item.id for item in ANSWER.evidence]
    assert told.use.tools == [], "it asked for causes, and nobody answered"
    assert [item.id for item in told.evidence] == begun_with
    given = [
        [one["function"]["name"] for one in each["tools"]] for each in both[0].requests if "tools" in each
    ]
    assert given
    assert all(names == ["get_logs"] for names in given)


@pytest.mark.requirement("HAPI-159")
async def test_an_azure_deployment_is_asked_at_its_own_address(
    zygote: Zygote, context: FakeContextApi, both: tuple[FakeModel, FakeModel]
):
    base = both[0].url.removesuffix("/v1")
    azure = access("a", base, model=litellm_name("azure_openai", "house"), api_version="2024-10-21")
    scene = Scene(zygote, context, roster(azure))

    told = await scene.ask()

    assert told.use.answered_by == ["a", "a", "a"]
    assert set(both[0].paths) == {"/openai/deployments/house/chat/completions?api-version=2024-10-21"}


@pytest.mark.requirement("HAPI-157", "HAPI-158")
@pytest.mark.parametrize(("provider", "path"), [("anthropic", "/v1/messages"), ("ollama", "/api/chat")])
async def test_other_protocols_are_spoken_to_the_given_address_and_a_server_that_does_not_is_stood_in_for(
    zygote: Zygote,
    context: FakeContextApi,
    both: tuple[FakeModel, FakeModel],
    provider: Provider,
    path: str,
):
    base = both[0].url.removesuffix("/v1")
    both[0].mood = "broken"  # it speaks OpenAI's protocol alone
    other = access("a", base, model=litellm_name(provider, "m"))
    scene = Scene(zygote, context, roster(other, access("b", both[1].url)))

    told = await scene.ask()

    assert both[0].paths.count(path) == 1
    assert set(both[0].paths) <= {path, "/api/show"}, "of Ollama the library asks first what its model can"
    assert [(one.model, one.word) for one in told.use.refusals] == [("a", "model-error")]
    assert told.use.answered_by == ["b", "b", "b"]


@pytest.mark.requirement("HAPI-157", "HAPI-158", "HAPI-163")
@pytest.mark.parametrize(
    ("provider", "name", "path", "key"),
    [
        ("anthropic", "claude-sonnet-4-5", dialects.MESSAGES, "sk-a"),
        ("anthropic", "claude-3-5-haiku", dialects.MESSAGES, "sk-a"),
        ("ollama", "qwen3", dialects.CHAT, "Bearer sk-a"),
    ],
)
async def test_a_run_in_another_protocol_asks_tools_concludes_and_is_counted(
    zygote: Zygote,
    context: FakeContextApi,
    both: tuple[FakeModel, FakeModel],
    provider: Provider,
    name: str,
    path: str,
    key: str,
):
    base = both[0].url.removesuffix("/v1")
    scene = Scene(zygote, context, roster(access("a", base, model=litellm_name(provider, name))))

    told = await scene.ask()

    assert told.opinion.cause is not None
    assert told.opinion.cause.evidence_ids == [ID]
    assert [(one.tool, one.ok) for one in told.use.tools] == [("get_causes", True)]
    assert [item.id for item in told.evidence] == [ID]
    assert (told.use.model, told.use.answered_by) == (litellm_name(provider, name), ["a", "a", "a"])
    assert (told.use.requests, told.use.prompt_tokens, told.use.completion_tokens) == (3, 3000, 150)
    assert told.use.cost_usd == pytest.approx((3000 * 2 + 150 * 8) / 1e6)
    assert told.use.repaired is False
    asked = [
        (body, with_)
        for at, body, with_ in zip(both[0].paths, both[0].requests, both[0].keys, strict=True)
        if at == path
    ]
    assert [(body["model"], with_) for body, with_ in asked] == [(name, key)] * 3
    windows = {body.get("options", {}).get("num_ctx") for body, _ in asked}
    assert windows == ({32_000} if provider == "ollama" else {None})


BOTH_WAYS = """
import sys
from services.holmesgpt_api.engine.llm import Link, PROBE_TOOL, quieten
from services.holmesgpt_api.engine.messages import ModelAccess
quieten()
url, model = sys.argv[1:]
said = [{"role": "system", "content": "You are."}, {"role": "user", "content": "Why?", "token_count": 3},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {
            "name": "report", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "name": "report", "content": "it \u00fc \U0001f600"}]
link = Link(ModelAccess(model=f"openai/{model}", api_base=url, api_key="sk-x", context_tokens=32000, output_tokens=900,
                        request_timeout_s=5, attempts=1))
assert link.on_wire
for question in (
    {"messages": said, "tools": [PROBE_TOOL], "tool_choice": "auto", "response_format": None, "drop_params": True},
    {"messages": said[:2], "tools": None, "tool_choice": None, "response_format": {"type": "json_object"},
     "drop_params": True},
):
    answers = []
    for on_wire in (True, False):
        link.on_wire = on_wire
        answers.append(link.ask(question, patience=5))
    told = []
    for one in answers:
        choice = one.choices[0]
        asks = [(each.id, each.function.name, each.function.arguments) for each in choice.message.tool_calls or []]
        told.append((one.model, choice.finish_reason, choice.message.content, asks, one.usage.model_dump()))
    assert told[0] == told[1], told
    costs = [one._hidden_params["response_cost"] or 0.0 for one in answers]
    assert abs(costs[0] - costs[1]) < 1e-9, costs
"""


@pytest.mark.requirement("HAPI-156")
@pytest.mark.parametrize("name", ["scripted", "gpt-4o", "gpt-3.5-turbo", "o3-mini", "gpt-5-mini", "a/b-c"])
async def test_a_question_on_the_wire_is_the_one_the_library_would_have_put(
    both: tuple[FakeModel, FakeModel], tmp_path: Path, name: str
):
    both[0].mood = "at-once"
    asks = calls([("report", {"word": "x"})])
    both[0].turn = lambda body: asks if "tools" in body else None
    seen = environment({"PATH": os.environ["PATH"]}, home=tmp_path, base_url=None)
    program = [str(ROOT / ".venv-holmes/bin/python"), "-c", BOTH_WAYS, both[0].url, name]

    done = await asyncio.create_subprocess_exec(*program, cwd=ROOT, env=seen, stderr=asyncio.subprocess.PIPE)
    _, said = await done.communicate()

    assert done.returncode == 0, said.decode()[-3000:]
    ours, theirs = both[0].requests[::2], both[0].requests[1::2]
    assert len(ours) == len(theirs) == 2
    assert ours == theirs
    assert set(both[0].keys) == {"Bearer sk-x"}
    assert set(both[0].paths) == {"/v1/chat/completions"}
