"""A secret in a question, in evidence, in a tool's answer or in a model's own words reaches neither the model nor the
asker, nor what is kept of the chat, nor the logs.

The real HolmesGPT against a scripted model that repeats everything it reads; each secret is made for its test.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from libs.contracts.evidence import LogAnswer, LogLine
from libs.metrics import Metrics
from libs.redaction.redactor import LONGEST
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import context_api
from tests.fakes.model import calls, model
from tests.support.engine import Engine, engine
from tests.support.holmesgpt import place, serving
from tests.support.investigations import NOW, cause, evidence, found
from tests.support.on_a_socket import on_a_socket
from tests.support.postgres import FreshDatabase, MakeDatabase
from tests.support.rows import told_by

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-006", "HAPI-072", "HAPI-075", "HAPI-110"),
    pytest.mark.xdist_group("holmes-engine"),
]

CHAT = "/api/v1/chat"
ABOUT = "why does Deployment.apps/shop/checkout fail?"
ID = "ev-00000000000000e1"
FORMS = (
    "password={}",
    "postgres://app:{}@orders-db:5432/shop",
    "Authorization: Bearer {}1",
    '{{"apiKey": "{}"}}',
    "ghp_{}",
)
PLACES = ("question", "cause", "evidence", "log", "argument", "answer", "refusal")


@dataclass
class Secrets:
    """One for each place and form: a place that is not looked at gives itself away."""

    made: dict[str, list[str]] = field(
        default_factory=lambda: {place: [secrets.token_hex(14) for _ in FORMS] for place in PLACES}
    )

    def written(self, place: str) -> str:
        return " ".join(form.format(one) for form, one in zip(FORMS, self.made[place], strict=True))

    def told(self, **where: str) -> list[str]:
        """Which of them stand where; in base64 too."""
        return [
            f"the secret of the {place} as {form!r} in {name}"
            for name, text in where.items()
            for place, several in self.made.items()
            for form, one in zip(FORMS, several, strict=True)
            if one in text or base64.b64encode(one.encode()).decode() in text
        ]


@dataclass
class Scene:
    engine: Engine
    database: FreshDatabase
    log: Path
    known: Secrets = field(default_factory=Secrets)

    def set(self) -> None:
        """Secrets in everything the tools tell, and a model that repeats what it has read, and adds its own."""
        context, fake = self.engine.context, self.engine.model
        context.causes = found(
            cause(text=f"It was edited. {self.known.written('cause')}", evidence_ids=[ID]),
            evidence=[evidence(ID, summary=f"edited {self.known.written('evidence')}")],
        )
        context.logs = LogAnswer(
            namespace="shop",
            pod="checkout-1",
            container="app",
            previous=False,
            lines=[LogLine(text=self.known.written("log"))],
            matching=1,
            recorded=["app"],
            evidence_id="ev-00000000000000f0",
            snapshot_at=NOW,
        )
        fake.turn = self.turn

    def turn(self, body: dict[str, Any]) -> dict[str, Any] | None:
        messages = body["messages"]
        if len(messages) == 1:
            return None
        if messages[-1]["role"] != "tool":
            asks: list[tuple[str, object]] = [
                ("get_causes", {"target": "Deployment.apps/shop/checkout"}),
                ("get_logs", {"namespace": "shop", "pod": "checkout-1"}),
                ("get_causes", {"target": f"Pod/shop/{self.known.written('argument')}"[:400]}),
            ]
            return calls(asks)
        read = json.dumps(messages, ensure_ascii=False)
        return {
            "role": "assistant",
            "content": f"[{ID}] {self.known.written('answer')} {read}"[:6_000],
        }

    async def judge(self, metrics: Metrics, caplog: pytest.LogCaptureFixture, **answers: str) -> list[str]:
        """What was told of secrets, wherever it was."""
        rows = await asyncio.to_thread(told_by, self.database, SCHEMA)
        asked = json.dumps(self.engine.model.requests, ensure_ascii=False)
        log = self.log.read_text(errors="replace") + caplog.text
        assert "chat_turn.message: " in rows
        assert asked.count("[SECRET-") > 4
        found = self.known.told(
            **answers,
            **{"the model's requests": asked, "the database": rows, "the logs": log},
            **{"the metrics": metrics.exposition().decode()},
        )
        # What it has made up itself the model is shown again, as all that it has said before.
        own = re.compile("the secret of the argument .* in the model's requests")
        return [one for one in found if not own.fullmatch(one)]


@pytest.fixture(scope="module")
def shared(module_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("chat-secrets")
    database = module_database(SCHEMA, migrated=True)
    with (
        context_api() as context,
        model() as fake,
        (folder / "worker.log").open("wb") as log,
        engine(place(database, context.url, folder), context, fake, log=log) as running,
    ):
        yield Scene(running, database, folder / "worker.log")


@pytest.fixture
def scene(shared: Scene, caplog: pytest.LogCaptureFixture) -> Iterator[Scene]:
    caplog.set_level(logging.DEBUG)
    shared.engine.model.reset()
    shared.engine.context.mood, shared.engine.context.says = "answers", None
    own = Scene(shared.engine, shared.database, shared.log)
    own.set()
    yield own
    shared.engine.model.let_go()


@asynccontextmanager
async def asking(scene: Scene, metrics: Metrics | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Once the engine has answered: the first questions wait for its start."""
    there = scene.engine
    async with serving(there.settings(), there.place.api_key, metrics) as api, asyncio.timeout(120):
        while (await ask(api, ABOUT)).json()["metadata"]["engine"] != "holmesgpt":
            pass
        there.model.requests.clear()
        yield api


async def ask(api: httpx.AsyncClient, message: str, **fields: Any) -> httpx.Response:
    return await api.post(CHAT, json={"message": message, **fields})


async def test_a_secret_of_a_question_of_evidence_and_of_an_answer_is_told_to_nobody(
    scene: Scene, caplog: pytest.LogCaptureFixture
):
    metrics = Metrics("holmesgpt-api")
    question = f"{ABOUT} {scene.known.written('question')}"
    async with asking(scene, metrics) as api:
        first = await ask(api, question)
        session = first.json()["session_id"]
        second = await ask(api, "and since when?", session_id=session)
        kept = await api.get(f"{CHAT}/{session}")
        faults = await scene.judge(metrics, caplog, rest=first.text, later=second.text, history=kept.text)

    assert {one.json()["metadata"]["engine"] for one in (first, second)} == {"holmesgpt"}
    assert [turn["message"].startswith(ABOUT) for turn in kept.json()["turns"]] == [False, True]
    assert kept.json()["turns"][1]["message"].count("[SECRET-") == len(FORMS)
    assert "[SECRET-" in first.json()["response"]
    assert faults == []


@pytest.mark.requirement("HAPI-009")
async def test_neither_a_stream_nor_a_socket_tells_a_secret(scene: Scene, caplog: pytest.LogCaptureFixture):
    metrics = Metrics("holmesgpt-api")
    question = f"{ABOUT} {scene.known.written('question')}"
    async with asking(scene, metrics) as api:
        streamed = (await ask(api, question, stream=True)).text
    headers = {"Authorization": f"Bearer {scene.engine.place.api_key}"}
    async with (
        on_a_socket(scene.engine.settings()) as here,
        connect(here.chat, additional_headers=headers, proxy=None) as socket,
        asyncio.timeout(60),
    ):
        await socket.send(json.dumps({"message": question}))
        frames = [str(await socket.recv())]
        while "response" not in json.loads(frames[-1]):
            frames.append(str(await socket.recv()))
    faults = await scene.judge(metrics, caplog, stream=streamed, frames="\n".join(frames))

    assert [streamed.count(f"event: {kind}") for kind in ("step", "tool", "answer")] == [2, 3, 1]
    assert [json.loads(one).get("kind") for one in frames] == ["step", "tool", "tool", "tool", "step", None]
    assert "[SECRET-" in streamed
    assert faults == []


async def test_what_a_models_server_says_of_its_refusal_tells_no_secret(
    scene: Scene, caplog: pytest.LogCaptureFixture
):
    metrics = Metrics("holmesgpt-api")
    async with asking(scene, metrics) as api:
        await ask(api, ABOUT)
        scene.engine.model.turn, scene.engine.model.mood = None, "broken"
        scene.engine.model.says = f"cannot reach {scene.known.written('refusal')}"
        answered = await ask(api, ABOUT)
        async with asyncio.timeout(20):  # it is told by whoever looks, once the worker has written it down
            while (health := await api.get("/health")).json()["checks"]["llm"]["status"] == "healthy":
                await asyncio.sleep(0.1)
        models = await api.get("/api/v1/models")
        faults = await scene.judge(
            metrics, caplog, rest=answered.text, health=health.text, models=models.text
        )

    assert answered.json()["metadata"]["degraded_reason"] == "model-error"
    assert "cannot reach" in answered.text
    assert faults == []


@pytest.mark.requirement("HAPI-103")
async def test_what_is_too_large_to_be_cleared_is_shown_to_no_model_and_told_to_nobody(
    scene: Scene, caplog: pytest.LogCaptureFixture
):
    metrics = Metrics("holmesgpt-api")
    async with asking(scene, metrics) as api:
        logs = scene.engine.context.logs
        assert logs is not None
        large = LogLine(text=f"{scene.known.written('log')} {'x' * LONGEST}")
        scene.engine.context.logs = logs.model_copy(update={"lines": [large]})
        unread = await ask(api, ABOUT)
        tools = unread.json()["metadata"]["model"]["tools"]
        scene.engine.model.turn = lambda body: {
            "role": "assistant",
            "content": f"{scene.known.written('answer')} {'x' * LONGEST}",
        }
        untold = await ask(api, ABOUT)
        faults = await scene.judge(metrics, caplog, unread=unread.text, untold=untold.text)

    assert unread.json()["metadata"]["engine"] == "holmesgpt"
    (refused,) = [one for one in tools if one["tool"] == "get_logs"]
    assert (refused["ok"], "could not be cleared of secrets" in refused["detail"]) == (False, True)
    assert untold.json()["metadata"]["engine"] == "triage"
    assert untold.json()["metadata"]["degraded_reason"] == "redaction-failed"
    assert faults == []
