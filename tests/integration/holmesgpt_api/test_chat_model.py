"""The real HolmesGPT in a chat, against a scripted model: what it says is checked, and whatever it does, the asker is answered."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from libs.contracts.causes import CausesAnswer
from libs.contracts.chat import ChatAnswer, ChatHistory
from services.holmesgpt_api.adapters.going_on import DEATHS
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import context_api
from tests.fakes.model import Mood, model
from tests.support.engine import Engine, engine
from tests.support.holmesgpt import place, serving
from tests.support.investigations import cause, evidence, found
from tests.support.on_a_socket import OnASocket, on_a_socket
from tests.support.postgres import MakeDatabase

pytestmark = [
    pytest.mark.needs("holmes-engine"),
    pytest.mark.requirement("HAPI-006", "HAPI-008"),
    pytest.mark.xdist_group("holmes-engine"),
]

CHAT = "/api/v1/chat"
ABOUT = "why does Deployment.apps/shop/checkout fail?"
ID = "ev-00000000000000e1"
Event = tuple[str, dict[str, Any]]


def answer() -> CausesAnswer:
    return found(cause(evidence_ids=[ID]), evidence=[evidence(ID)])


@pytest.fixture(scope="module")
def shared(module_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with context_api() as context, model() as fake:
        here = place(
            module_database(SCHEMA, migrated=True), context.url, tmp_path_factory.mktemp("holmes-chat")
        )
        with engine(here, context, fake) as running:
            yield running


@pytest.fixture
def there(shared: Engine) -> Iterator[Engine]:
    shared.model.reset()
    shared.context.causes, shared.context.about = answer(), None
    shared.context.mood = "answers"
    shared.context.calls.clear()
    shared.context.credentials.clear()
    yield shared
    shared.model.let_go()


async def ask(api: httpx.AsyncClient, message: str, **fields: Any) -> httpx.Response:
    return await api.post(CHAT, json={"message": message, **fields})


async def streamed(api: httpx.AsyncClient, message: str, **fields: Any) -> list[Event]:
    events: list[Event] = []
    body = {"message": message, "stream": True, **fields}
    async with api.stream("POST", CHAT, json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((kind, json.loads(line.removeprefix("data: "))))
    return events


async def test_a_model_answers_in_prose_and_cites_what_its_tools_have_shown_it(there: Engine):
    there.model.says = "As [ev-00000000000000e1] shows. Run `kubectl delete namespace data` now."
    async with serving(there.settings(), there.place.api_key) as api:
        # The first one waits for the engine, which takes long to start.
        await warm(api)
        there.model.requests.clear()
        body = ChatAnswer.model_validate((await ask(api, ABOUT)).json())

    assert (body.metadata["engine"], body.metadata["degraded_reason"]) == ("holmesgpt", None)
    assert f"[{ID}]" in body.response
    assert "delete namespace" not in body.response
    assert body.metadata["evidence_ids"] == [ID]
    assert body.metadata["unsupported"] is False
    assert body.metadata["tokens_used"] == 2 * 1050
    assert (body.context_used or {})["tools"] == ["get_causes"]
    assert "What should I do next?" in body.suggestions


async def warm(api: httpx.AsyncClient, within: float = 90) -> None:
    """Until the engine has answered once."""
    async with asyncio.timeout(within):
        while (await ask(api, ABOUT)).json()["metadata"]["engine"] != "holmesgpt":
            pass


async def test_the_tools_ask_with_the_askers_name_tenant_and_namespaces(there: Engine):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
        there.context.credentials.clear()
        await ask(api, "what about the rest of it, in general?")

    claims = [
        json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in (str(one).split(".")[1] for one in there.context.credentials if one)
    ]
    runs = [one for one in claims if "run" in one]
    assert runs
    assert all(one["run"].startswith("chat-") and one["roles"] == ["run"] for one in runs)
    assert {(one["tenant"], tuple(one["namespaces"])) for one in runs} == {("default", ("*",))}


@pytest.mark.requirement("HAPI-007")
async def test_the_model_reads_what_was_said_before(there: Engine):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
        first = (await ask(api, "Is it the database?")).json()
        second = (await ask(api, "And since when?", session_id=first["session_id"])).json()

    assert "Asked: Is it the database? | And since when?" in second["response"]


async def test_what_triage_cannot_answer_the_model_may(there: Engine):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
        body = (await ask(api, "Compare both rollouts of blueberry, please")).json()

    assert body["metadata"]["engine"] == "holmesgpt"
    assert body["metadata"]["topic"] is None


async def test_evidence_that_does_not_exist_is_taken_out_and_told(there: Engine):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
        there.model.mood = "invents"
        body = (await ask(api, ABOUT)).json()

    assert "ev-0000000000000000" not in body["response"]
    assert "(no such evidence)" in body["response"]
    assert body["metadata"]["unsupported"] is True
    assert "do not exist" in body["metadata"]["degraded_detail"]


@pytest.mark.requirement("HAPI-029", "HAPI-030")
@pytest.mark.parametrize(
    ("mood", "word"),
    [
        ("unauthorized", "model-unauthorized"),
        ("broken", "model-error"),
        ("garbage", "model-garbage"),
        ("loops", "model-max-steps"),
        ("too-long", "model-context-exceeded"),
        ("breaks-off", "model-unreachable"),
    ],
)
async def test_where_the_model_fails_triage_answers_and_says_why(there: Engine, mood: Mood, word: str):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
        there.model.mood = mood
        answered = (await ask(api, ABOUT)).json()
        refused = await ask(api, "Compare both rollouts of blueberry, please")

    assert (answered["metadata"]["engine"], answered["metadata"]["degraded_reason"]) == ("triage", word)
    assert "orders-db-config" in answered["response"]
    assert (refused.status_code, refused.json()["code"]) == (503, "no-model")
    assert word in refused.json()["detail"]
    assert "What should I do next?" in refused.json()["detail"]


@pytest.mark.requirement("HAPI-029", "HAPI-043")
async def test_an_answer_that_was_cut_off_says_so(there: Engine):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
        whole = (await ask(api, ABOUT)).json()
        there.model.mood = "cut-off"
        half = (await ask(api, ABOUT)).json()

    assert half["metadata"]["engine"] == "holmesgpt"
    assert "cut off" in half["metadata"]["degraded_detail"]
    assert half["response"] == f"Asked: {ABOUT}"[: len(half["response"])]
    assert whole["metadata"]["degraded_detail"] is None


@pytest.mark.requirement("HAPI-130", "HAPI-128")
async def test_a_model_that_hangs_costs_no_more_than_the_wait(there: Engine):
    async with serving(there.settings(sync_answer_timeout=5), there.place.api_key) as api:
        await warm(api)
        there.model.mood = "hangs"
        began = time.monotonic()
        body = (await ask(api, ABOUT)).json()
        took = time.monotonic() - began
        session = ChatHistory.model_validate((await api.get(f"{CHAT}/{body['session_id']}")).json())

    assert (body["metadata"]["engine"], body["metadata"]["degraded_reason"]) == ("triage", "model-timeout")
    assert took < 6.5
    assert [turn.status for turn in session.turns] == ["answered"]
    there.model.let_go()
    there.wait_for_children(0)


@pytest.mark.requirement("HAPI-138")
async def test_the_questions_of_one_caller_are_answered_by_one_process_after_another(there: Engine):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
        await asyncio.to_thread(there.wait_for_children, 0)
        before = set(there.children("idle"))
        for _ in range(4):
            assert (await ask(api, ABOUT)).json()["metadata"]["engine"] == "holmesgpt"
        await asyncio.to_thread(there.wait_for_children, 0)
        after = set(there.children("idle"))

    assert before
    assert len(after - before) <= 1, "one may have been made for whoever comes first"


async def test_a_second_question_of_a_session_waits_its_turn_by_being_refused(there: Engine):
    async with serving(there.settings(sync_answer_timeout=5), there.place.api_key) as api:
        await warm(api)
        session = (await ask(api, ABOUT)).json()["session_id"]
        there.model.mood = "hangs"
        there.model.requests.clear()
        first = asyncio.create_task(ask(api, "why?", session_id=session))
        await asyncio.to_thread(there.model.wait_for, 1)
        second = await ask(api, "and now?", session_id=session)
        there.model.let_go()
        there.model.mood = "concludes"
        answered = await first
        third = await ask(api, "and now?", session_id=session)

    assert (second.status_code, second.json()["code"]) == (409, "still-answering")
    assert second.headers["retry-after"] == "2"
    assert (answered.status_code, third.status_code) == (200, 200)


@pytest.mark.requirement("HAPI-134")
async def test_one_caller_has_so_many_questions_at_once(there: Engine):
    settings = there.settings(sync_answer_timeout=5, chat_questions=2)
    async with serving(settings, there.place.api_key) as api:
        await warm(api)
        there.model.mood = "hangs"
        there.model.requests.clear()
        two = [asyncio.create_task(ask(api, ABOUT)) for _ in range(2)]
        await asyncio.to_thread(there.model.wait_for, 2)
        third = await ask(api, ABOUT)
        there.model.let_go()
        answers = await asyncio.gather(*two)

    assert (third.status_code, third.json()["code"]) == (429, "too-many-questions")
    assert [one.status_code for one in answers] == [200, 200]


@pytest.mark.requirement("HAPI-009", "HAPI-129")
async def test_a_stream_tells_which_tool_was_asked_and_ends_with_the_answer(there: Engine):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
        events = await streamed(api, ABOUT)

    assert [kind for kind, _ in events] == ["step", "tool", "step", "answer"]
    assert [data["number"] for _, data in events[:-1]] == [1, 2, 3]
    assert events[1][1]["tool"] == "get_causes"
    assert events[1][1]["arguments"] == {"target": "Deployment.apps/shop/checkout"}
    assert ChatAnswer.model_validate(events[-1][1]).metadata["engine"] == "holmesgpt"


async def test_a_stream_of_a_question_nobody_can_answer_ends_with_a_problem(there: Engine):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
        there.model.mood = "unauthorized"
        events = await streamed(api, "Compare both rollouts of blueberry, please")

    assert events[-1][0] == "problem"
    assert events[-1][1]["code"] == "no-model"


@pytest.mark.requirement("HAPI-040", "HAPI-029")
async def test_a_question_goes_on_where_its_process_was_killed_and_asks_nothing_twice_that_was_answered(
    there: Engine,
):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
        there.model.requests.clear()
        # Three tools were asked, and the answer is on its way.
        there.model.mood, there.model.holds_at = "digs", 4
        asked = asyncio.create_task(ask(api, ABOUT))
        await asyncio.to_thread(there.model.wait_for, 4)
        for child in await asyncio.to_thread(there.wait_for_children, 1):
            os.kill(child, signal.SIGKILL)
        body = (await asked).json()

    assert (body["metadata"]["engine"], body["metadata"]["degraded_reason"]) == ("holmesgpt", None)
    assert body["metadata"]["evidence_ids"] == [ID]
    assert there.model.requests[3]["messages"] == there.model.requests[4]["messages"]
    assert len(there.model.requests) == 5
    assert body["metadata"]["tokens_used"] == 4 * 1050, "the one that nobody heard is not known"
    assert (body["context_used"] or {})["tools"] == ["get_causes"]


@pytest.mark.requirement("HAPI-040")
async def test_a_question_that_kills_its_processes_ends_in_triages_answer(there: Engine):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
        there.model.mood = "hangs"
        there.model.requests.clear()
        asked = asyncio.create_task(ask(api, ABOUT))
        for number in range(1, DEATHS + 1):
            await asyncio.to_thread(there.model.wait_for, number)
            for child in await asyncio.to_thread(there.wait_for_children, 1):
                os.kill(child, signal.SIGKILL)
        body = (await asked).json()

    assert (body["metadata"]["engine"], body["metadata"]["degraded_reason"]) == ("triage", "engine-failed")
    assert "SIGKILL" in body["metadata"]["degraded_detail"]


async def test_a_deleted_session_ends_its_question(there: Engine):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
        session = (await ask(api, ABOUT)).json()["session_id"]
        there.model.mood = "hangs"
        there.model.requests.clear()
        asked = asyncio.create_task(ask(api, "why?", session_id=session))
        await asyncio.to_thread(there.model.wait_for, 1)
        gone = await api.delete(f"{CHAT}/{session}")
        answer = await asked

    assert gone.status_code == 204
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-session")


async def test_a_socket_hears_the_same_events_and_the_same_answer(there: Engine):
    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
    headers = {"Authorization": f"Bearer {there.place.api_key}"}
    async with (
        on_a_socket(there.settings()) as here,
        connect(here.chat, additional_headers=headers, proxy=None) as socket,
        asyncio.timeout(30),
    ):
        await socket.send(json.dumps({"message": ABOUT}))
        seen = [json.loads(await socket.recv()) for _ in range(4)]

    assert [one.get("kind") for one in seen] == ["step", "tool", "step", None]
    assert ChatAnswer.model_validate(seen[-1]).metadata["engine"] == "holmesgpt"


@pytest.mark.requirement("HAPI-131", "HAPI-133")
async def test_many_sockets_ask_a_slow_model_at_once_and_each_is_answered(there: Engine):
    """Scripted at 200 ms an answer, two answers and a tool each, and twenty places."""

    async def chat(here: OnASocket) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {there.place.api_key}"}
        async with connect(here.chat, additional_headers=headers, proxy=None, open_timeout=60) as socket:
            await socket.send(json.dumps({"message": ABOUT}))
            while True:
                body: dict[str, Any] = json.loads(await socket.recv())
                if "kind" not in body:
                    return body

    async with serving(there.settings(), there.place.api_key) as api:
        await warm(api)
    there.model.delay = 0.2
    settings = there.settings(chat_questions=100, chat_timeout=180)
    async with on_a_socket(settings) as here, asyncio.timeout(200):
        answers = await asyncio.gather(*(chat(here) for _ in range(100)))

    assert [one for one in answers if "response" not in one] == []
    assert len({one["session_id"] for one in answers}) == 100
    engines = [one["metadata"]["engine"] for one in answers]
    assert engines.count("holmesgpt") == 100, {one["metadata"]["degraded_reason"] for one in answers}


@pytest.mark.requirement("HAPI-040", "HAPI-029")
async def test_a_killed_workers_question_is_gone_on_with_by_another(
    fresh_database: MakeDatabase, tmp_path: Path
):
    with context_api() as context, model() as fake:
        context.causes = answer()
        here = place(fresh_database(SCHEMA, migrated=True), context.url, tmp_path).missing_workers_soon()
        with engine(here, context, fake) as first:
            settings = first.settings(chat_timeout=180)
            async with serving(settings, here.api_key) as api:
                await warm(api)
                fake.requests.clear()
                fake.mood, fake.holds_at = "digs", 3
                asked = asyncio.create_task(streamed(api, ABOUT))
                await asyncio.to_thread(fake.wait_for, 3)
                first.worker.kill()
                await asyncio.to_thread(first.worker.wait)
                fake.let_go()
                with engine(here, context, fake):
                    async with asyncio.timeout(120):
                        events = await asked

    kinds = [kind for kind, _ in events]
    before, after = ["step", "tool", "step", "tool", "step"], ["step", "tool", "step", "answer"]
    assert kinds == [*before, "restarted", *after]
    assert events[-1][1]["metadata"]["engine"] == "holmesgpt"
    assert len(fake.requests) == 5, "the third one twice"
    assert fake.requests[2]["messages"] == fake.requests[3]["messages"]
