"""A WebSocket is let in as a request is, and a browser's page only where it is ours or allowed."""

from __future__ import annotations

from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import pytest

from libs.auth import Authenticator
from libs.auth.errors import NotAuthenticated
from libs.auth.guards import SCOPE_KEY
from libs.ratelimit import Limit, MemoryRateLimiter
from libs.web.sockets import (
    DOOR,
    BadHandshake,
    Door,
    SocketAnswer,
    TooFast,
    credentials,
    origin_allowed,
    refuse,
    spoken,
)
from tests.support import keyrings
from tests.support.web_client import OPERATOR, VIEWER, Called, authenticator, calling

pytestmark = pytest.mark.requirement("API-BR-SEC-006", "HAPI-097", "HAPI-100", "HAPI-102")

Message = MutableMapping[str, Any]
HOST = (b"host", b"localhost")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        (b"http://here:8090", True),
        (b"https://HERE:8090", True),
        (b"https://console.example", True),
        (b"http://here", False),
        (b"http://console.example", False),
        (b"https://here:8090.example", False),
        (b"ws://here:8090", False),
        (b"here:8090", False),
        (b"null", False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_a_page_is_ours_or_allowed(origin: bytes | None, allowed: bool):
    assert origin_allowed(origin, b"here:8090", {"https://console.example"}) is allowed


def test_without_a_host_no_page_is_ours():
    assert not origin_allowed(b"http://", None, ())


def test_a_credential_among_the_subprotocols_stands_where_an_authorization_would():
    found = credentials([HOST, (b"sec-websocket-protocol", b"kubernaut.chat.v1, bearer.abc")])

    assert found[b"authorization"] == b"Bearer abc"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer a"), (b"sec-websocket-protocol", b"bearer.b")],
        [(b"x-api-key", b"a"), (b"sec-websocket-protocol", b"bearer.b")],
        [(b"sec-websocket-protocol", b"bearer.a, bearer.b")],
        [(b"sec-websocket-protocol", b"bearer.a"), (b"sec-websocket-protocol", b"bearer.b")],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")],
        [(b"origin", b"http://a"), (b"origin", b"http://b")],
    ],
)
def test_two_credentials_or_origins_are_refused(headers: list[tuple[bytes, bytes]]):
    with pytest.raises(BadHandshake):
        credentials(headers)


def test_only_what_we_speak_is_answered():
    assert spoken(["bearer.a", "v1"], "v1") == "v1"
    assert spoken(["bearer.a"], "v1") is None


async def test_a_door_lets_in_who_is_known_and_counts_it():
    door = Door(
        authenticator(),
        {b"authorization": f"Bearer {OPERATOR}".encode()},
        "127.0.0.1",
        MemoryRateLimiter(),
        Limit(2, timedelta(minutes=1)),
    )

    assert (await door.knock()).name == "operator"
    await door.knock()
    with pytest.raises(TooFast):
        await door.knock()


async def test_a_door_closes_when_the_credential_has_ended():
    ours: Authenticator = authenticator()
    door = Door(ours, {b"authorization": f"Bearer {OPERATOR}".encode()}, None, None, None)
    await door.knock()
    ours.use(keyrings.ring(api_keys=[]))

    with pytest.raises(NotAuthenticated):
        await door.knock()


class Socket:
    """One handshake at the application, without a server."""

    def __init__(self, service: Called, path: str, headers: list[tuple[bytes, bytes]], **more: Any) -> None:
        self._service = service
        self.sent: list[Message] = []
        self.scope: dict[str, Any] = {
            "type": "websocket",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "subprotocols": [],
            "extensions": {"websocket.http.response": {}},
            "app": service.app,
            **more,
        }

    async def run(self) -> None:
        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            self.sent.append(message)

        await self._service.app(self.scope, receive, send)


@pytest.mark.requirement("HAPI-066")
@pytest.mark.parametrize("path", ["/api/v1/notes", "/health", "/docs", "/docs/assets/x", "/nowhere"])
async def test_no_address_takes_a_socket_without_a_credential(path: str):
    async with calling() as service:
        socket = Socket(service, path, [HOST])
        await socket.run()

    assert [one["type"] for one in socket.sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    headers = dict(socket.sent[0]["headers"])
    assert socket.sent[0]["status"] == 401
    assert headers[b"www-authenticate"].startswith(b"Bearer")
    assert headers[b"x-request-id"]
    assert b"not-authenticated" in socket.sent[1]["body"]
    assert SCOPE_KEY not in socket.scope


async def test_who_is_known_reaches_the_application_with_a_door():
    async with calling() as service:
        socket = Socket(service, "/nowhere", [HOST, (b"authorization", f"Bearer {VIEWER}".encode())])
        await socket.run()

    assert socket.scope[SCOPE_KEY].tenant == "other"
    assert isinstance(socket.scope[DOOR], Door)
    assert socket.sent[-1]["type"] == "websocket.close"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([(b"host", b"rebound.example")], b"host-not-allowed"),
        ([HOST, (b"origin", b"https://evil.example")], b"origin-not-allowed"),
        ([HOST, (b"sec-websocket-protocol", b"bearer.a, bearer.b")], b"bad-handshake"),
    ],
)
async def test_what_is_refused_is_refused_before_anybody_is_asked_who_they_are(
    headers: list[tuple[bytes, bytes]], code: bytes
):
    async with calling() as service:
        socket = Socket(service, "/nowhere", headers)
        await socket.run()

    assert code in socket.sent[1]["body"]


async def test_before_the_service_has_started_nobody_is_let_in():
    async with calling() as service:
        service.app.state.edge.authenticator = None
        socket = Socket(service, "/nowhere", [HOST])
        await socket.run()

    assert socket.sent[0]["status"] == 503


async def test_a_server_that_cannot_answer_a_handshake_refuses_it_all_the_same():
    async with calling() as service:
        socket = Socket(service, "/nowhere", [HOST], extensions={})
        await socket.run()

    assert [(one["type"], one["code"]) for one in socket.sent] == [("websocket.close", 1008)]


async def test_handshakes_are_counted_as_the_requests_they_are():
    async with calling() as service:
        await Socket(service, "/nowhere", [HOST]).run()

    refused = service.count("http_authentication_failures_total", reason="no-credentials")
    assert refused == 1.0


async def test_an_answer_remembers_how_the_handshake_went():
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    accepted, closed, refused = (SocketAnswer(send, [], "r1") for _ in range(3))
    await accepted.send({"type": "websocket.accept"})
    await accepted.send({"type": "websocket.close", "code": 1000})
    await closed.send({"type": "websocket.close", "code": 1000})
    await refuse({"extensions": {"websocket.http.response": {}}}, refused.send, 429, b"a/b", b"x", ())

    assert (accepted.status, closed.status, refused.status) == (101, 403, 429)
    assert sent[0]["headers"] == [(b"x-request-id", b"r1")]
