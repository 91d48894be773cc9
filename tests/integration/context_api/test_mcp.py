"""MCP as its official client speaks it, over a socket, behind the same Edge as every other route."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from libs.auth import Authenticator
from libs.auth.permissions import Role
from libs.contracts.alerts import AlertPage
from libs.contracts.bundle import Recalled
from libs.metrics import Metrics
from services.context_api.adapters import mcp_server
from services.context_api.domain.tools import TOOLS
from services.context_api.main import create_app
from services.context_api.settings import Settings
from services.context_api.steps.toolbox import Toolbox
from tests.integration.context_api.test_service import ALERT, INCIDENT, RING, token
from tests.integration.context_api.test_tools import NASTY
from tests.support.served import served
from tests.unit.services.context_api.domain.test_history import episode, incident

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-016", "API-BR-CAPI-018")

CONTEXT = "/api/v1/context"
CHECKOUT = "Deployment.apps/shop/checkout"
VERSIONS = ("legacy", "auto")
"""The handshake of 2025, and what the client finds out by itself (2026-07-28)."""


@dataclass(frozen=True)
class Place:
    url: str
    metrics: Metrics

    @asynccontextmanager
    async def speaking(self, held: str | None = None, mode: Any = "auto") -> AsyncIterator[Client]:
        """The official client, with a token that reads everything unless another is given."""
        headers = {"Authorization": f"Bearer {held if held is not None else token('*')}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http), mode=mode) as client,
        ):
            yield client

    def http(self, held: str | None = None) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {held if held is not None else token('*')}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60)


@asynccontextmanager
async def place(recording: Path | None = INCIDENT, **settings: object) -> AsyncIterator[Place]:
    metrics = Metrics("context-api")
    given = {
        "recorded_cluster": recording,
        "alerts_url": "http://127.0.0.1:9",
        "rate_limit_requests": 1_000_000,
    }
    app = create_app(
        Settings.model_validate({**given, **settings}), metrics=metrics, authenticator=Authenticator(RING)
    )
    async with app.router.lifespan_context(app), served(app) as url:
        yield Place(url, metrics)


@pytest.fixture
async def there() -> AsyncIterator[Place]:
    async with place() as made:
        yield made


def text(result: CallToolResult) -> str:
    (block,) = result.content
    assert block.type == "text"
    return block.text


@pytest.mark.parametrize("mode", VERSIONS)
async def test_the_tools_are_listed_with_their_words_and_as_read_only(there: Place, mode: str):
    async with there.speaking(mode=mode) as client:
        listed = (await client.list_tools()).tools

    assert [one.name for one in listed] == list(TOOLS)
    for one in listed:
        assert one.description == TOOLS[one.name].words
        assert one.input_schema["additionalProperties"] is False
        assert one.annotations is not None
        assert (one.annotations.read_only_hint, one.annotations.open_world_hint) == (True, False)


@pytest.mark.parametrize("mode", VERSIONS)
async def test_each_tool_answers_with_the_bytes_of_its_route(there: Place, mode: str):
    about = "shop/Deployment.apps/checkout"
    labels = {"labels": ALERT["labels"]}
    async with there.speaking(mode=mode) as client, there.http() as http:
        causes = await http.get(f"{CONTEXT}/causes/{about}")
        fact = causes.json()["ranked"][0]["evidence_ids"][0]
        pairs: list[tuple[str, dict[str, Any], httpx.Response]] = [
            ("find_causes", {"target": CHECKOUT}, causes),
            ("get_evidence", {"id": fact}, await http.get(f"{CONTEXT}/evidence/{fact}")),
            (
                "get_evidence",
                {"target": CHECKOUT, "kind": "event"},
                await http.get(f"{CONTEXT}/evidence/{about}", params={"kind": "event", "limit": 20}),
            ),
            (
                "get_logs",
                {"namespace": "data", "pod": "orders-db-0", "previous": True},
                await http.get(
                    f"{CONTEXT}/logs/data/orders-db-0",
                    params={"tail": 60, "clustered": True, "previous": True},
                ),
            ),
            (
                "list_objects",
                {"namespace": "shop", "resource": "pods"},
                await http.get(f"{CONTEXT}/kubernetes/shop/pods"),
            ),
            (
                "get_topology",
                {"target": CHECKOUT, "depth": 2},
                await http.get(f"{CONTEXT}/topology/{about}", params={"depth": 2}),
            ),
            ("resolve_alert", labels, await http.post(f"{CONTEXT}/resolve", json=labels)),
            (
                "get_bundle",
                {**labels, "max_tokens": 2000},
                await http.post(f"{CONTEXT}/bundle", json={"alert": labels, "max_tokens": 2000}),
            ),
        ]

        for name, arguments, expected in pairs:
            result = await client.call_tool(name, arguments)

            assert expected.status_code == 200, (name, expected.text)
            assert not result.is_error, (name, text(result))
            if name == "resolve_alert":  # which pydantic writes for FastAPI in its own way
                assert json.loads(text(result)) == expected.json()
            else:
                assert text(result) == expected.text, name
            assert result.structured_content == expected.json(), name


async def test_an_alerts_context_comes_without_an_archive_and_says_so(there: Place):
    async with there.speaking() as client:
        result = await client.call_tool("get_context", {"labels": ALERT["labels"]})
        unknown = await client.call_tool("get_context", {"alert_fingerprint": "0123456789abcdef"})

    made = result.structured_content
    assert made["similar"] == []
    assert "alerts" in made["missing"][0]
    assert made["bundle"]["causes"][0]["about"] == "ConfigMap/data/orders-db-config"
    assert unknown.is_error
    assert text(unknown).startswith("no-archive: the alerts service")


class Archive:
    """The alerts service as far as it is asked here: one alert, which ended yesterday and fires again."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        labels = {**ALERT["labels"], "pod": "checkout-of-yesterday"}
        before = episode(1, days=1).model_copy(update={"labels": labels, "target": None})
        now = episode(2, days=0, lasted=None).model_copy(
            update={"labels": ALERT["labels"], "target": None, "fingerprint": "f00d"}
        )
        self.now, self.both = AlertPage(items=[now]), AlertPage(items=[now, before])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = scope["query_string"].decode()
        self.asked.append((scope["path"], query))
        if scope["path"].startswith("/api/v1/incidents/"):
            body: BaseModel = incident(int(scope["path"][-1]), "ConfigChangedBeforeOnset")
        else:
            body = self.now if "fingerprint=f00d" in query else self.both
        await Response(body.model_dump_json(), media_type="application/json")(scope, receive, send)


@pytest.mark.requirement("HAPI-BR-CONTEXT-006")
async def test_an_alert_is_told_with_what_it_was_before():
    archive = Archive()
    async with served(archive) as alerts, place(alerts_url=alerts) as there, there.speaking() as client:
        result = await client.call_tool(
            "get_context", {"alert_fingerprint": "f00d", "context_types": ["kubernetes", "logs"]}
        )
        strict = await client.call_tool(
            "get_context", {"alert_fingerprint": "f00d", "similarity_threshold": 1}
        )
        unknown = await client.call_tool("get_context", {"alert_fingerprint": "beef"})

    made = Recalled.model_validate_json(text(result))
    assert [(one.id, one.cause) for one in made.similar] == [
        ("e1", "ConfigChangedBeforeOnset of ConfigMap/shop/api-conf")
    ]
    assert 0.7 <= made.similar[0].similarity < 1
    assert made.similar[0].why == "differs in the object"
    assert made.compared == 1
    assert made.missing == []
    assert made.bundle is not None
    assert {item.source for item in made.bundle.items} == {"kubernetes", "logs"}
    assert strict.structured_content["similar"] == []
    assert text(unknown).startswith("unknown-alert: ")
    assert ("/api/v1/alerts", "fingerprint=f00d&limit=1") in archive.asked


async def test_a_client_that_hangs_up_disturbs_nobody(there: Place, monkeypatch: pytest.MonkeyPatch):
    begun, call = asyncio.Event(), Toolbox.call

    async def slow(self: Toolbox, *given: Any) -> bytes:
        begun.set()
        await asyncio.sleep(0.3)
        return await call(self, *given)

    monkeypatch.setattr(Toolbox, "call", slow)
    with capture_logs() as lines:
        async with there.http() as http:
            gone = asyncio.create_task(http.post("/mcp", json=CALL, headers=SPOKEN))
            await begun.wait()
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
        async with there.http() as http:
            answers = [await http.post("/mcp", json=CALL, headers=SPOKEN) for _ in range(2)]

    assert [one.json()["result"].get("isError", False) for one in answers] == [False, False]
    assert [line for line in lines if line["log_level"] in ("error", "critical")] == []


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("find_causes", {}, "invalid-arguments: target: required, and missing"),
        ("find_causes", {"target": CHECKOUT, "why": 1}, "it has: target, onset"),
        ("find_causes", {"target": "Pod/shop/nobody"}, "unknown-object: the evidence holds no Pod/shop/nobody"),
        ("get_evidence", {"id": "ev-0000000000000000"}, "unknown-evidence: "),
        ("get_evidence", {"target": CHECKOUT, "cursor": "ev-0000000000000000"}, "invalid-input: query.cursor"),
        ("get_logs", {"namespace": "data", "pod": "orders-db-0", "container": "sidecar"}, "no-log: "),
        ("list_objects", {"namespace": "shop", "resource": "pods", "labels": "a=b=c"}, "invalid-input: query.labels"),
        ("get_bundle", {"labels": {"alertname": "Watchdog"}}, "names-no-object: "),
        ("get_logs", {"namespace": "shop", "pod": "x" * 100_000}, "invalid-arguments: pod: "),
        ("kubectl_delete", {}, "unknown-tool: there is no tool 'kubectl_delete'; there are: find_causes"),
    ],
)  # fmt: skip
async def test_what_cannot_be_answered_is_a_tools_error_in_the_problems_words(
    there: Place, name: str, arguments: dict[str, Any], said: str
):
    async with there.speaking() as client:
        result = await client.call_tool(name, arguments)

    assert result.is_error
    assert said in text(result)
    assert result.structured_content is None


@pytest.mark.requirement("HAPI-178")
async def test_a_caller_is_told_of_the_namespaces_it_may_read_and_no_others(there: Place):
    async with there.speaking(token("shop")) as client:
        refused = [
            await client.call_tool("find_causes", {"target": "StatefulSet/data/orders-db"}),
            await client.call_tool("get_logs", {"namespace": "data", "pod": "orders-db-0"}),
            await client.call_tool("list_objects", {"namespace": "data", "resource": "pods"}),
            await client.call_tool("get_bundle", {"target": "StatefulSet/data/orders-db"}),
        ]
        narrow = await client.call_tool("find_causes", {"target": CHECKOUT})

    assert all(text(one).startswith("namespace-not-readable: ") for one in refused)
    assert not narrow.is_error
    assert "/data/" not in text(narrow)


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
CALL = {
    "jsonrpc": "2.0",
    "id": 2,
    "method": "tools/call",
    "params": {"name": "find_causes", "arguments": {"target": CHECKOUT}},
}
SPOKEN = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"}


@pytest.mark.parametrize("held", ["nonsense", "a.b.c"])
async def test_who_is_not_recognised_gets_401_and_the_client_says_so(there: Place, held: str):
    async with there.http(held) as http:
        answers = [await http.post("/mcp", json=body, headers=SPOKEN) for body in (INITIALIZE, CALL)]
    with pytest.raises(Exception) as refused:
        async with there.speaking(held) as client:
            await client.list_tools()

    assert [(one.status_code, one.json()["code"]) for one in answers] == [(401, "not-authenticated")] * 2
    assert all("www-authenticate" in one.headers for one in answers)
    assert "Server returned an error response" in everything_in(refused.value)


def everything_in(error: BaseException) -> str:
    """The words of an error and of those it groups."""
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return " ".join([repr(error), *map(everything_in, inner)])


async def test_without_a_credential_nothing_is_answered(there: Place):
    async with httpx.AsyncClient(base_url=there.url) as http:
        answers = [
            await http.post("/mcp", json=CALL, headers=SPOKEN),
            await http.get("/api/v1/toolset.yaml"),
        ]

    assert [one.status_code for one in answers] == [401, 401]


async def test_who_may_not_view_context_gets_403(there: Place):
    async with there.http(token("*", role=Role.ingest)) as http:
        answers = [
            await http.post("/mcp", json=CALL, headers=SPOKEN),
            await http.get("/api/v1/toolset.yaml"),
        ]

    assert [(one.status_code, one.json()["code"]) for one in answers] == [(403, "not-allowed")] * 2


@pytest.mark.requirement("API-BR-CAPI-019")
async def test_calls_count_against_the_callers_rate():
    async with place(rate_limit_requests=2) as there, there.http() as http:
        statuses = [(await http.post("/mcp", json=INITIALIZE, headers=SPOKEN)).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]


async def test_a_host_that_is_not_ours_is_refused(there: Place):
    async with there.http() as http:
        answer = await http.post("/mcp", json=CALL, headers={**SPOKEN, "Host": "rebinding.example"})

    assert (answer.status_code, answer.json()["code"]) == (400, "host-not-allowed")


@pytest.mark.requirement("API-BR-CAPI-020", "API-BR-SEC-012")
async def test_calls_are_counted_and_logged_like_every_other_request(there: Place):
    async with there.http() as http:
        with capture_logs() as lines:
            await http.post("/mcp", json=CALL, headers=SPOKEN)
            await http.post("/mcp", json={**CALL, "params": {"name": "rm -rf /"}}, headers=SPOKEN)

    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["route"], line["status"], line["caller"]) for line in requests] == [
        ("/mcp", 200, "somebody")
    ] * 2
    assert {type(line["status"]) for line in requests} == {int}
    assert [(line["tool"], line["outcome"]) for line in lines if line["event"] == "tool"] == [
        ("find_causes", "answered"),
        ("unknown", "refused"),
    ]
    count = there.metrics.registry.get_sample_value
    assert count("context_api_tool_calls_total", {"tool": "find_causes", "outcome": "answered"}) == 1
    assert count("context_api_tool_calls_total", {"tool": "unknown", "outcome": "refused"}) == 1
    assert count("http_requests_total", {"method": "POST", "route": "/mcp", "status_class": "2xx"}) == 2


async def test_a_fault_of_ours_is_told_without_its_text(there: Place, monkeypatch: pytest.MonkeyPatch):
    async def broken(*_: object) -> bytes:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(Toolbox, "call", broken)
    async with there.speaking() as client:
        result = await client.call_tool("find_causes", {"target": CHECKOUT})

    assert result.is_error
    assert text(result).startswith("internal-error: our fault; it is logged under the request id")
    assert "hunter2" not in text(result)


async def test_a_server_that_could_not_begin_begins_at_the_next_request(
    there: Place, monkeypatch: pytest.MonkeyPatch
):
    made = mcp_server._made

    def broken(version: str) -> NoReturn:
        raise ImportError("half installed")

    async with there.http() as http:
        monkeypatch.setattr(mcp_server, "_made", broken)
        first = await http.post("/mcp", json=CALL, headers=SPOKEN)
        monkeypatch.setattr(mcp_server, "_made", made)
        second = await http.post("/mcp", json=CALL, headers=SPOKEN)

    assert (first.status_code, first.json()["code"]) == (500, "internal-error")
    assert "half installed" not in first.text
    assert second.status_code == 200


async def test_an_older_client_is_not_sent_the_answer_twice(there: Place):
    async with there.http() as http:
        older = await http.post("/mcp", json=CALL, headers={**SPOKEN, "MCP-Protocol-Version": "2025-03-26"})
        newer = await http.post("/mcp", json=CALL, headers=SPOKEN)

    assert "structuredContent" not in older.json()["result"]
    assert newer.json()["result"]["structuredContent"] == json.loads(
        older.json()["result"]["content"][0]["text"]
    )


async def test_nothing_is_remembered_so_any_replica_may_answer(there: Place):
    async with place() as replica, there.http() as here, replica.http() as elsewhere:
        first = await here.post("/mcp", json=INITIALIZE, headers=SPOKEN)
        second = await elsewhere.post("/mcp", json=CALL, headers=SPOKEN)

    assert first.status_code == second.status_code == 200
    assert "mcp-session-id" not in first.headers
    assert second.json()["result"].get("isError") in (None, False)


@pytest.mark.requirement("API-BR-CAPI-013")
async def test_many_clients_at_once_each_get_their_own_answer(there: Place):
    namespaces = ["shop", "data", "*"]

    async def one(number: int) -> tuple[str, CallToolResult]:
        may = namespaces[number % 3]
        async with there.speaking(token(may), mode=VERSIONS[number % 2]) as client:
            return may, await client.call_tool("list_objects", {"namespace": "data", "resource": "pods"})

    results = await asyncio.gather(*(one(number) for number in range(12)))

    for may, result in results:
        assert result.is_error is (may == "shop"), text(result)
        assert ("orders-db-0" in text(result)) is (may != "shop")


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_there_is_no_stream_and_no_session_to_end(there: Place, method: str):
    async with there.http() as http:
        answer = await http.request(method, "/mcp", headers=SPOKEN)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


BODIES: list[Any] = [
    {}, [], [CALL, CALL], None, 7, "tools/call", {"jsonrpc": "1.0", "id": 1, "method": "ping"}, {**CALL, "id": None},
    {**CALL, "id": {}}, {**CALL, "id": 1.5}, {**CALL, "method": 7}, {**CALL, "method": "../x"}, {**CALL, "params": []},
    {**CALL, "params": {}}, {**CALL, "params": {"name": 7}}, {**CALL, "params": {"name": "find_causes", "arguments": []}},
    {**CALL, "params": {"name": "find_causes", "arguments": "x"}}, {**CALL, "method": "resources/read"},
    {**CALL, "method": "initialize"}, {"jsonrpc": "2.0", "id": 1, "result": {}}, {"jsonrpc": "2.0", "method": "notifications/x"},
    {**CALL, "params": {**CALL["params"], "_meta": {"progressToken": {}}}}, {**CALL, "extra": "x" * 1000},  # type: ignore[dict-item]
]  # fmt: skip
"""What is no message, or one that nobody here answers."""


@pytest.mark.requirement("API-BR-SEC-006")
@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28", "1999-01-01", "nonsense"])
async def test_no_message_ends_in_a_fault_of_ours(there: Place, version: str):
    async with there.http() as http:
        answers = [
            await http.post("/mcp", json=body, headers={**SPOKEN, "MCP-Protocol-Version": version})
            for body in BODIES
        ]
        raw = [
            await http.post("/mcp", content=content, headers={**SPOKEN, "Content-Type": kind})
            for content, kind in (
                (b"", "application/json"),
                (b"{", "application/json"),
                (b"\xff\xfe", "application/json"),
                (b'{"jsonrpc":"2.0","id":1,"method":"a\\u0000"}', "application/json"),
                (b"[" * 500, "application/json"),
                (b"x" * 2_000_000, "application/json"),
                (b"jsonrpc: '2.0'", "application/yaml"),
                (b"{}", "text/plain"),
            )
        ]
        deaf = await http.post("/mcp", json=CALL, headers={"Accept": "text/html"})

    assert all(answer.status_code < 500 for answer in [*answers, *raw, deaf]), [
        (body, answer.status_code, answer.text[:200])
        for body, answer in zip(BODIES, answers, strict=True)
        if answer.status_code >= 500
    ]
    assert all(400 <= answer.status_code < 500 for answer in raw)


@pytest.mark.requirement("API-BR-SEC-006")
@pytest.mark.parametrize("given", [None, {}, [], 1.5, True, {"$ne": 1}])
async def test_a_request_whose_id_is_none_is_refused_and_not_taken_for_a_notification(
    there: Place, given: object
):
    async with there.http() as http:
        answer = await http.post("/mcp", json={**CALL, "id": given}, headers=SPOKEN)

    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == -32600
    assert "id" in answer.json()["error"]["message"]


@pytest.mark.requirement("API-BR-SEC-006", "API-BR-SEC-014")
async def test_whatever_stands_in_an_argument_is_a_name_that_is_not_there(there: Place):
    places: list[tuple[str, dict[str, Any]]] = [
        ("find_causes", {"target": "{}"}),
        ("find_causes", {"target": "Pod/shop/{}"}),
        ("find_causes", {"target": CHECKOUT, "onset": "{}"}),
        ("get_evidence", {"id": "{}"}),
        ("get_evidence", {"target": CHECKOUT, "cursor": "{}"}),
        ("get_logs", {"namespace": "{}", "pod": "x"}),
        ("get_logs", {"namespace": "data", "pod": "{}"}),
        ("get_logs", {"namespace": "data", "pod": "orders-db-0", "container": "{}"}),
        ("list_objects", {"namespace": "{}", "resource": "pods"}),
        ("list_objects", {"namespace": "data", "resource": "{}"}),
        ("get_topology", {"target": "Node/{}/x"}),
        ("get_context", {"alert_fingerprint": "{}"}),
        ("get_bundle", {"target": "{}/shop/checkout"}),
        ("{}", {}),
    ]
    async with there.http() as http:
        for nasty in NASTY:
            for name, arguments in places:
                given = {
                    key: value.replace("{}", nasty) if isinstance(value, str) else value
                    for key, value in arguments.items()
                }
                body = {**CALL, "params": {"name": name.replace("{}", nasty), "arguments": given}}

                answer = await http.post("/mcp", json=body, headers=SPOKEN)

                if "\u0000" in nasty:
                    assert answer.status_code == 400
                    continue
                assert answer.status_code == 200, (name, given, answer.text[:300])
                result = answer.json()["result"]
                if not result.get(
                    "isError"
                ):  # as over HTTP: a namespace without objects, an object nobody recorded
                    assert nothing_in(name, result["structuredContent"]), (name, given)
                    continue
                assert result["isError"] is True, (name, given)
                assert "internal-error" not in result["content"][0]["text"]
                assert "root:" not in answer.text


def nothing_in(tool: str, answer: dict[str, Any]) -> bool:
    match tool:
        case "list_objects":
            return bool(answer["context"]["total"] == 0)
        case "get_bundle":
            return bool(answer["causes"] == [] and answer["no_cause"] == "insufficient-evidence")
    return False
