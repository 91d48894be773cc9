"""Chat on WebSockets: who is let in, what is said, and how it ends."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from libs.auth import KeyRing
from libs.contracts.chat import ChatAnswer
from libs.metrics import Metrics
from libs.web.tls import CertificateFiles, ServingCertificate
from tests.fakes.context_api import FakeContextApi
from tests.support.certificates import certificate
from tests.support.holmesgpt import Place
from tests.support.on_a_socket import OnASocket, on_a_socket

pytestmark = pytest.mark.requirement("HAPI-006", "HAPI-008", "HAPI-009")

ABOUT = "why does Deployment.apps/shop/checkout fail?"


@asynccontextmanager
async def opened(here: Place, there: OnASocket, **more: Any) -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {here.api_key}", **more.pop("headers", {})}
    async with connect(there.chat, additional_headers=headers, proxy=None, **more) as socket:
        yield socket


async def said(socket: ClientConnection, message: object) -> dict[str, Any]:
    await socket.send(message if isinstance(message, str) else json.dumps(message))
    async with asyncio.timeout(20):
        body: dict[str, Any] = json.loads(await socket.recv())
    return body


async def refused(there: OnASocket, **more: Any) -> InvalidStatus:
    with pytest.raises(InvalidStatus) as refusal:
        async with connect(there.chat, proxy=None, **more):
            pass
    return refusal.value


@pytest.mark.requirement("HAPI-053")
async def test_a_question_is_answered_over_tls_as_well(here: Place, tmp_path: Path):
    made = certificate(tmp_path / "certificate")
    shown = ServingCertificate(CertificateFiles(made.chain, made.key), Metrics("holmesgpt_api"))
    async with (
        on_a_socket(here.settings(), shown) as there,
        opened(here, there, ssl=made.client_context()) as socket,
    ):
        answer = ChatAnswer.model_validate(await said(socket, {"message": ABOUT}))

    assert there.chat.startswith("wss:")
    assert "orders-db-config" in answer.response


async def test_one_question_after_another_stays_in_one_session(here: Place):
    async with on_a_socket(here.settings()) as there, opened(here, there) as socket:
        first = ChatAnswer.model_validate(await said(socket, {"message": ABOUT}))
        second = ChatAnswer.model_validate(await said(socket, {"message": "what changed?", "context": None}))

    assert "orders-db-config" in first.response
    assert second.session_id == first.session_id
    assert (second.metadata["turn"], second.metadata["topic"]) == (2, "changed")


async def test_a_frames_context_says_what_rest_says_beside_the_message(here: Place):
    async with on_a_socket(here.settings()) as there, opened(here, there) as socket:
        unbound = await said(
            socket,
            {
                "message": "why is the pod checkout-1 failing?",
                "context": {"namespace": "shop", "include_context": False},
            },
        )
        unknown = await said(socket, {"message": "why?", "context": {"investigation_id": "inv-0"}})

    assert unbound["context_used"] is None
    assert (unknown["status"], unknown["code"]) == (404, "unknown-investigation")


@pytest.mark.requirement("HAPI-073", "HAPI-103", "HAPI-043")
@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        ("{", 400, "malformed-json"),
        ("[]", 422, "invalid-input"),
        ('{"context": {}}', 422, "invalid-input"),
        ('{"message": ""}', 422, "invalid-input"),
        ('{"message": "a\\u0000b"}', 400, "malformed-json"),
        ('{"message": "why?", "context": {"session_id": "a/b"}}', 422, "invalid-input"),
        ('{"message": "why?", "context": {"session_id": "session-0"}}', 404, "unknown-session"),
        ('{"message": "write me a poem"}', 503, "no-model"),
        ('{"message": "why?", "message": "x"}', 400, "malformed-json"),
    ],
)
async def test_what_cannot_be_answered_is_a_problem_and_the_socket_goes_on(
    here: Place, message: str, status: int, code: str
):
    async with on_a_socket(here.settings()) as there, opened(here, there) as socket:
        problem = await said(socket, message)
        after = await said(socket, {"message": ABOUT})

    assert (problem["status"], problem["code"]) == (status, code)
    assert "response" in after


@pytest.mark.requirement("HAPI-066", "HAPI-097")
@pytest.mark.parametrize("path", ["/api/v1/chat/ws", "/api/v1/nowhere", "/health", "/docs", "/"])
async def test_without_a_credential_no_handshake_is_answered_wherever_it_goes(here: Place, path: str):
    async with on_a_socket(here.settings()) as there:
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(f"ws://127.0.0.1:{there.port}{path}", proxy=None):
                pass

    answer = refusal.value.response
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert json.loads(answer.body or b"")["code"] == "not-authenticated"


@pytest.mark.requirement("HAPI-066", "HAPI-097")
@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic eDp5"},
        {"X-API-Key": "kn_wrong"},
        {"Authorization": "Bearer a.b.c"},
    ],
)
async def test_a_wrong_credential_is_refused(here: Place, headers: dict[str, str]):
    async with on_a_socket(here.settings()) as there:
        refusal = await refused(there, additional_headers=headers)

    assert refusal.response.status_code == 401


@pytest.mark.requirement("HAPI-066", "HAPI-097")
async def test_a_credential_in_the_address_is_not_looked_at(here: Place):
    async with on_a_socket(here.settings()) as there:
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(f"{there.chat}?access_token={here.api_key}&token={here.api_key}", proxy=None):
                pass

    assert refusal.value.response.status_code == 401


@pytest.mark.requirement("HAPI-066", "HAPI-100")
async def test_a_browsers_credential_comes_as_a_subprotocol_that_is_not_spoken(here: Place):
    offered = [Subprotocol("kubernaut.chat.v1"), Subprotocol(f"bearer.{here.api_key}")]
    async with on_a_socket(here.settings()) as there:
        own = f"http://127.0.0.1:{there.port}"
        async with connect(there.chat, subprotocols=offered, origin=own, proxy=None) as socket:  # type: ignore[arg-type]
            answer = await said(socket, {"message": ABOUT})
            spoken = socket.subprotocol

    assert spoken == "kubernaut.chat.v1"
    assert "response" in answer


@pytest.mark.requirement("HAPI-100", "HAPI-102")
@pytest.mark.parametrize(
    ("origin", "let_in"),
    [
        (None, True),
        ("own", True),
        ("https://console.example", True),
        ("https://evil.example", False),
        ("https://console.example.evil.example", False),
        ("http://console.example", False),
        ("null", False),
        ("", False),
        ("file://", False),
        ("http://127.0.0.1", False),
        ("http://127.0.0.1:1", False),
        ("http://localhost", False),
        ("https://console.example/", False),
        ("https://CONSOLE.example.", False),
        ("chrome-extension://abc", False),
        ("https://console.example:8443", False),
        ("*", False),
        ("127.0.0.1", False),
        ("http://user@127.0.0.1", False),
        ("https://console.example, https://evil.example", False),
    ],
)
async def test_only_our_pages_and_allowed_ones_may_connect(here: Place, origin: str | None, let_in: bool):
    # Whoever comes from this machine needs no credential: a page in its browser must not come in with that.
    networks = {"127.0.0.0/8": {"principal": "kubernaut", "roles": ["api_user"]}}
    settings = here.settings(trusted_networks=networks, cors_origins=["https://console.example"])
    async with on_a_socket(settings) as there:
        sent = f"http://127.0.0.1:{there.port}" if origin == "own" else origin
        headers = {} if sent is None else {"Origin": sent}
        if let_in:
            async with connect(there.chat, additional_headers=headers, proxy=None) as socket:
                assert "response" in await said(socket, {"message": ABOUT})
        else:
            refusal = await refused(there, additional_headers=headers)
            assert refusal.response.status_code == 403
            assert json.loads(refusal.response.body or b"")["code"] == "origin-not-allowed"


@pytest.mark.requirement("HAPI-068")
async def test_who_may_not_chat_is_not_let_in(here: Place):
    networks = {"127.0.0.0/8": {"principal": "watcher", "roles": ["viewer"]}}
    async with on_a_socket(here.settings(trusted_networks=networks)) as there:
        refusal = await refused(there)

    assert refusal.response.status_code == 403
    assert json.loads(refusal.response.body or b"")["code"] == "not-allowed"


@pytest.mark.requirement("HAPI-097")
async def test_a_name_that_is_not_ours_is_not_answered_to(here: Place):
    headers = {"Authorization": f"Bearer {here.api_key}"}
    async with on_a_socket(here.settings()) as there:
        named = f"ws://rebound.example:{there.port}/api/v1/chat/ws"
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(
                named, host="127.0.0.1", port=there.port, additional_headers=headers, proxy=None
            ):
                pass

    assert json.loads(refusal.value.response.body or b"")["code"] == "host-not-allowed"


@pytest.mark.requirement("HAPI-097", "HAPI-107")
async def test_a_credential_that_has_ended_answers_no_further_question(here: Place):
    async with on_a_socket(here.settings()) as there, opened(here, there) as socket:
        first = await said(socket, {"message": ABOUT})
        _take_keys_away(Path(here.values["auth_keys_file"]))
        there.app.state.edge.authenticator.use(_keys(here))
        await socket.send(json.dumps({"message": "what changed?"}))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()

    assert "response" in first
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


def _take_keys_away(file: Path) -> None:
    document = yaml.safe_load(file.read_text("utf-8"))
    document["api_keys"] = []
    file.write_text(yaml.safe_dump(document), "utf-8")


def _keys(here: Place) -> KeyRing:
    return KeyRing.load(Path(here.values["auth_keys_file"]))


@pytest.mark.requirement("HAPI-104")
async def test_a_message_that_is_too_large_closes_the_socket(here: Place):
    async with on_a_socket(here.settings()) as there, opened(here, there) as socket:
        await socket.send("x" * (64 * 1024 + 1))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def test_what_is_not_text_closes_the_socket(here: Place):
    async with on_a_socket(here.settings()) as there, opened(here, there) as socket:
        await socket.send(b"\x00")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1003


@pytest.mark.requirement("HAPI-010")
async def test_a_socket_on_which_nothing_is_asked_is_closed(here: Place):
    async with on_a_socket(here.settings(chat_idle=1)) as there, opened(here, there) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(10):
                await socket.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4408


async def test_a_second_question_while_one_is_answered_is_refused_and_the_first_is_answered(
    here: Place, context: FakeContextApi
):
    context.mood = "hangs"
    async with on_a_socket(here.settings()) as there, opened(here, there) as socket:
        await socket.send(json.dumps({"message": ABOUT}))
        await asyncio.to_thread(context.wait_for_calls, 1, "/api/v1/context/causes")
        second = await said(socket, {"message": "what changed?"})
        context.let_go()
        first = json.loads(await socket.recv())
        third = await said(socket, {"message": "what changed?"})

    assert second["code"] == "still-answering"
    assert "response" in first
    assert third["metadata"]["turn"] == 2


@pytest.mark.requirement("HAPI-134")
async def test_one_caller_has_so_many_sockets_and_a_closed_one_makes_room(here: Place):
    async with on_a_socket(here.settings(chat_sockets=2)) as there:
        headers = {"Authorization": f"Bearer {here.api_key}"}
        async with opened(here, there):
            async with opened(here, there):
                refusal = await refused(there, additional_headers=headers)
            async with asyncio.timeout(10):
                while there.app.state.ports.sockets.open > 1:
                    await asyncio.sleep(0.01)
            async with opened(here, there) as third:
                answer = await said(third, {"message": ABOUT})

    assert refusal.response.status_code == 429
    assert json.loads(refusal.response.body or b"")["code"] == "too-many-sockets"
    assert "response" in answer


@pytest.mark.requirement("HAPI-131", "HAPI-038")
async def test_a_hundred_chats_at_once_are_each_answered_in_their_own_session(here: Place):
    async def chat(there: OnASocket) -> list[dict[str, Any]]:
        async with opened(here, there, open_timeout=60) as socket:
            first = await said(socket, {"message": ABOUT})
            await everybody.wait()
            return [
                first,
                *[await said(socket, {"message": one}) for one in ("what changed?", "how sure are you?")],
            ]

    everybody = asyncio.Barrier(100)
    async with on_a_socket(here.settings()) as there, asyncio.timeout(120):
        chats = await asyncio.gather(*(chat(there) for _ in range(100)))

    assert [one for answers in chats for one in answers if "response" not in one] == []
    assert len({answers[0]["session_id"] for answers in chats}) == 100
    assert all(len({one["session_id"] for one in answers}) == 1 for answers in chats)
    assert all([one["metadata"]["turn"] for one in answers] == [1, 2, 3] for answers in chats)


async def test_who_leaves_in_the_middle_leaves_nothing_open(here: Place, context: FakeContextApi):
    context.mood = "hangs"
    async with on_a_socket(here.settings()) as there:
        async with opened(here, there) as socket:
            await socket.send(json.dumps({"message": ABOUT}))
            await asyncio.to_thread(context.wait_for_calls, 1, "/api/v1/context/causes")
            socket.transport.abort()
        async with asyncio.timeout(10):
            while there.app.state.ports.sockets.open:
                await asyncio.sleep(0.01)
        context.let_go()


async def test_plain_http_at_the_sockets_address_is_no_way_in(here: Place):
    async with on_a_socket(here.settings()) as there:

        def get() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", there.port, timeout=10)
            try:
                connection.request("GET", "/api/v1/chat/ws")
                return connection.getresponse().status
            finally:
                connection.close()

        status = await asyncio.to_thread(get)

    assert status == 401
