"""Chat by REST without a model: triage answers from its findings, and says when it cannot."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from libs.contracts.causes import NoCause
from libs.contracts.chat import ChatAnswer, ChatHistory
from tests.fakes.context_api import FakeContextApi
from tests.support.holmesgpt import Place, ended, serving, working
from tests.support.investigations import nothing

pytestmark = pytest.mark.requirement("HAPI-006", "HAPI-007", "HAPI-008")

CHAT, INVESTIGATE = "/api/v1/chat", "/api/v1/investigate"
ALERT = {"alert_name": "KubePodCrashLooping", "namespace": "shop", "labels": {"pod": "checkout-1"}}
ABOUT = "why does Deployment.apps/shop/checkout fail?"


async def ask(api: httpx.AsyncClient, message: str, **fields: Any) -> httpx.Response:
    return await api.post(CHAT, json={"message": message, **fields})


async def investigated(here: Place, api: httpx.AsyncClient) -> str:
    async with working(here.settings()):
        taken = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()
        await ended(api, taken["investigation_id"])
    return str(taken["investigation_id"])


async def test_questions_about_an_investigation_are_answered_from_its_findings(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        id_ = await investigated(here, api)
        first = ChatAnswer.model_validate((await ask(api, "Why does it fail?", investigation_id=id_)).json())
        again = {"session_id": first.session_id}
        next_ = (await ask(api, "and what should I do?", **again)).json()
        evidence = (await ask(api, "show me the evidence", **again)).json()
        status = (await ask(api, "how far is the investigation?", **again)).json()

    assert "orders-db-config" in first.response
    assert (first.metadata["engine"], first.metadata["degraded_reason"]) == ("triage", "no-model-configured")
    assert first.metadata["evidence_ids"]
    assert (first.context_used or {})["investigation_id"] == id_
    assert "What should I do next?" in first.suggestions
    assert "kubectl edit configmap orders-db-config" in next_["response"]
    assert "[e1]" in evidence["response"]
    assert f"{id_} is completed" in status["response"]
    assert {one["session_id"] for one in (next_, evidence, status)} == {first.session_id}
    assert [one["metadata"]["turn"] for one in (next_, evidence, status)] == [2, 3, 4]


@pytest.mark.requirement("HAPI-011", "HAPI-013")
async def test_an_object_named_in_the_question_is_looked_up_and_stays_the_subject(
    here: Place, context: FakeContextApi
):
    async with serving(here.settings(), here.api_key) as api:
        first = (await ask(api, ABOUT)).json()
        second = (await ask(api, "what changed?", session_id=first["session_id"])).json()

    assert "orders-db-config" in first["response"]
    assert second["metadata"]["topic"] == "changed"
    assert (
        context.asked("/api/v1/context/causes")
        == ["GET /api/v1/context/causes/shop/Deployment.apps/checkout?cluster=local"] * 2
    )


async def test_a_name_with_its_kind_and_namespace_is_resolved_as_an_alerts_labels(
    here: Place, context: FakeContextApi
):
    async with serving(here.settings(), here.api_key) as api:
        answer = await ask(api, "why is the pod checkout-1 failing?", namespace="shop")

    assert answer.status_code == 200
    assert len(context.asked("/api/v1/context/resolve")) == 1


async def test_a_question_repeated_with_its_key_gives_the_same_answer_and_another_one_is_refused(
    here: Place, context: FakeContextApi
):
    key = {"Idempotency-Key": "k1"}
    async with serving(here.settings(), here.api_key) as api:
        first = await api.post(CHAT, json={"message": ABOUT}, headers=key)
        context.mood = "unavailable"
        again = await api.post(CHAT, json={"message": ABOUT}, headers=key)
        streamed = await api.post(CHAT, json={"message": ABOUT, "stream": True}, headers=key)
        other = await api.post(CHAT, json={"message": "what changed?"}, headers=key)
        kept = await rows(api, "chat_turn")

    assert (first.status_code, again.status_code, streamed.status_code) == (200, 200, 200)
    assert again.json() == first.json()
    assert json.loads(streamed.text.partition("event: answer\ndata: ")[2]) == first.json()
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert kept == 1


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("write me a poem about pods", {}),
        ("restart the pod", {}),
        ("Why does it fail?", {}),
        ("why is checkout slow?", {"namespace": "shop"}),
    ],
)
async def test_what_nobody_can_answer_is_refused_with_what_can_be_asked(
    here: Place, message: str, fields: dict[str, str]
):
    async with serving(here.settings(), here.api_key) as api:
        answer = await ask(api, message, **fields)

    assert (answer.status_code, answer.json()["code"]) == (503, "no-model")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "What should I do next?" in answer.json()["detail"]
    assert "Kind/namespace/name" in answer.json()["detail"]


async def test_no_cause_is_told_as_none(here: Place, context: FakeContextApi):
    context.causes = nothing(NoCause.nothing_wrong)
    async with serving(here.settings(), here.api_key) as api:
        body = (await ask(api, ABOUT)).json()

    assert body["response"].startswith("Nothing is wrong with")
    assert body["metadata"]["evidence_ids"] == []


async def test_a_context_api_that_is_away_is_a_problem_and_no_answer(here: Place, context: FakeContextApi):
    context.mood = "unavailable"
    async with serving(here.settings(), here.api_key) as api:
        answer = await ask(api, ABOUT)

    assert (answer.status_code, answer.json()["code"]) == (503, "context-unavailable")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.requirement("HAPI-007", "HAPI-041")
async def test_history_is_read_page_by_page_and_deleted_with_its_session(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        session = (await ask(api, ABOUT)).json()["session_id"]
        for message in ("what changed?", "how sure are you?", "what else?  any other cause?"):
            await ask(api, message, session_id=session)
        page = ChatHistory.model_validate((await api.get(f"{CHAT}/{session}", params={"limit": 3})).json())
        rest = ChatHistory.model_validate(
            (await api.get(f"{CHAT}/{session}", params={"limit": 3, "cursor": page.next_cursor})).json()
        )
        wrong = await api.get(f"{CHAT}/{session}", params={"cursor": "x"})
        gone = await api.delete(f"{CHAT}/{session}")
        twice = await api.delete(f"{CHAT}/{session}")
        after = await ask(api, "why?", session_id=session)

    assert [turn.number for turn in page.turns] == [4, 3, 2]
    assert [turn.message for turn in rest.turns] == [ABOUT]
    assert rest.next_cursor is None
    assert all(turn.status == "answered" and turn.answer for turn in page.turns)
    assert wrong.json()["code"] == "bad-cursor"
    assert (gone.status_code, twice.status_code, after.status_code) == (204, 404, 404)


@pytest.mark.requirement("HAPI-010")
async def test_a_session_ends_when_nobody_uses_it_and_is_deleted(here: Place):
    settings = here.settings(chat_idle=1)
    async with serving(settings, here.api_key) as api:
        session = (await ask(api, ABOUT)).json()["session_id"]
        fresh = await api.get(f"{CHAT}/{session}")
        await asyncio.sleep(1.1)
        stale = await api.get(f"{CHAT}/{session}")
        asked = await ask(api, "why?", session_id=session)
        async with working(settings):
            async with asyncio.timeout(20):
                while await rows(api, "chat_session") or await rows(api, "chat_turn"):
                    await asyncio.sleep(0.05)

    assert fresh.json()["expires_at"] > fresh.json()["last_used_at"]
    assert (stale.status_code, asked.status_code) == (404, 404)
    assert stale.json()["code"] == "unknown-session"


@pytest.mark.requirement("HAPI-066", "HAPI-068", "HAPI-178", "HAPI-075")
async def test_another_callers_session_and_what_one_may_not_read_stay_hidden(here: Place):
    networks = {"127.0.0.1/32": {"principal": "shop-team", "roles": ["api_user"], "namespaces": ["shop"]}}
    async with serving(here.settings(trusted_networks=networks), here.api_key) as api:
        session = (await ask(api, ABOUT)).json()["session_id"]
        id_ = await investigated(here, api)
        async with httpx.AsyncClient(transport=api._transport, base_url="http://127.0.0.1") as team:
            read = await team.get(f"{CHAT}/{session}")
            asked = await ask(team, "why?", session_id=session)
            deleted = await team.delete(f"{CHAT}/{session}")
            bound = await ask(team, "why?", investigation_id=id_)
            elsewhere = await ask(team, "why?", namespace="data")
            named = await ask(team, "why does StatefulSet.apps/data/orders-db fail?")
            narrowed = await ask(team, ABOUT)
        mine = await api.get(f"{CHAT}/{session}")

    assert {(one.status_code, one.json()["code"]) for one in (read, asked, deleted)} == {
        (404, "unknown-session")
    }
    assert (bound.status_code, bound.json()["code"]) == (404, "unknown-investigation")
    assert [(one.status_code, one.json()["code"]) for one in (elsewhere, named)] == [
        (403, "namespace-not-readable")
    ] * 2
    assert narrowed.status_code == 200
    assert "orders-db" not in narrowed.text
    assert mine.status_code == 200


@pytest.mark.requirement("HAPI-068")
async def test_a_viewer_may_not_chat(here: Place):
    networks = {"127.0.0.1/32": {"principal": "watcher", "roles": ["viewer"]}}
    async with serving(here.settings(trusted_networks=networks)) as api:
        answer = await ask(api, ABOUT)

    assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed")


@pytest.mark.requirement("HAPI-066")
async def test_without_a_credential_nobody_is_answered(here: Place):
    async with serving(here.settings()) as api:
        answers = [await ask(api, ABOUT), await api.get(f"{CHAT}/x"), await api.delete(f"{CHAT}/x")]

    assert [one.status_code for one in answers] == [401, 401, 401]


async def test_a_session_is_about_one_investigation(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        first, second = await investigated(here, api), await investigated(here, api)
        session = (await ask(api, "why?", investigation_id=first)).json()["session_id"]
        answer = await ask(api, "why?", session_id=session, investigation_id=second)
        same = await ask(api, "why?", session_id=session, investigation_id=first)

    assert (answer.status_code, answer.json()["code"]) == (409, "other-investigation")
    assert same.status_code == 200


async def test_an_investigation_that_has_not_ended_is_said_to_be_under_way(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        id_ = (await api.post(f"{INVESTIGATE}/async", json=ALERT)).json()["investigation_id"]
        body = (await ask(api, "why?", investigation_id=id_)).json()

    assert f"{id_} is started" in body["response"]
    assert body["metadata"]["evidence_ids"] == []
    assert body["suggestions"] == ["What is the status?"]


@pytest.mark.requirement("HAPI-134")
async def test_one_caller_has_so_many_sessions(here: Place):
    async with serving(here.settings(chat_sessions=2), here.api_key) as api:
        first = (await ask(api, ABOUT)).json()["session_id"]
        await ask(api, ABOUT)
        third = await ask(api, ABOUT)
        more = await ask(api, "what changed?", session_id=first)

    assert (third.status_code, third.json()["code"]) == (429, "too-many-sessions")
    assert more.status_code == 200


@pytest.mark.requirement("HAPI-073", "HAPI-103", "HAPI-043")
@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ("{}", 422, "message"),
        ('{"message": "  "}', 422, "message"),
        ('{"message": "' + "x" * 4001 + '"}', 422, "message"),
        ('{"message": 7}', 422, "message"),
        ('{"message": "why?", "session_id": "a/b"}', 422, "session_id"),
        ('{"message": "why?", "namespace": "No"}', 422, "namespace"),
        ('{"message": "a\\u0000b"}', 400, "U+0000"),
        ("[]", 422, "body"),
        ('{"message": "why?", "session_id": "session-0"}', 404, "unknown-session"),
        ('{"message": "why?", "investigation_id": "inv-0"}', 404, "unknown-investigation"),
    ],
)
async def test_bad_input_is_refused_by_name_and_leaves_nothing(
    here: Place, body: str, status: int, named: str
):
    async with serving(here.settings(), here.api_key) as api:
        answer = await api.post(CHAT, content=body, headers={"Content-Type": "application/json"})
        left = await rows(api, "chat_session")

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert named in answer.text
    assert left == 0


@pytest.mark.requirement("HAPI-009", "HAPI-129")
async def test_a_stream_ends_with_the_same_answer(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        answer = await ask(api, ABOUT, stream=True)
        refused = await ask(api, "write me a poem", stream=True)

    kind, _, data = answer.text.strip().partition("\n")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert kind == "event: answer"
    assert "orders-db-config" in ChatAnswer.model_validate_json(data.removeprefix("data: ")).response
    assert (refused.status_code, refused.json()["code"]) == (503, "no-model")


@pytest.mark.requirement("HAPI-044")
async def test_yaml_is_understood_too(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        answer = await api.post(
            CHAT, content=f"message: {ABOUT}\n", headers={"Content-Type": "application/yaml"}
        )

    assert answer.status_code == 200


async def rows(api: httpx.AsyncClient, table: str) -> int:
    transport = api._transport
    assert isinstance(transport, httpx.ASGITransport)
    app: Any = transport.app
    async with app.state.ports.database.begin() as conn:
        return int((await conn.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())
