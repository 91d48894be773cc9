from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from cli.serve_recording.answers import Desk
from cli.serve_recording.app import LARGEST_BODY, LONGEST_ADDRESS, App
from cli.serve_recording.index import index_of
from tests.support.kube import NOW, pod, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-SEC-006")

DESK = Desk(index_of(snapshot(pod("a"), pod("b"))), "127.0.0.1:1")


class Caller:
    """One request, and what came back of it."""

    def __init__(
        self,
        path: str = "/api/v1/pods",
        query: str = "",
        method: str = "GET",
        *,
        host: str | None = "127.0.0.1:8099",
        body: Sequence[bytes] = (b"",),
        desk: Any = DESK,
    ) -> None:
        headers = [
            (b"accept", b"application/json"),
            *([(b"host", host.encode())] if host is not None else []),
        ]
        self.scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": headers,
        }  # fmt: skip
        self.stopping, self.gone = asyncio.Event(), asyncio.Event()
        self.app = App(desk, self.stopping, NOW)
        self._body = list(body)
        self.sent: list[Any] = []
        self.first = asyncio.Event()

    async def __call__(self) -> Caller:
        await self.app(self.scope, self._receive, self._send)
        return self

    async def _receive(self) -> dict[str, Any]:
        if self._body:
            return {"type": "http.request", "body": self._body.pop(0), "more_body": bool(self._body)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)
        self.first.set()

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.sent[1:])

    @property
    def ended(self) -> bool:
        return bool(self.sent) and self.sent[-1].get("more_body") is False


async def test_an_answer_is_sent_whole_and_not_to_be_kept():
    caller = await Caller("/api/v1/namespaces/shop/pods/a")()

    assert caller.status == 200
    assert json.loads(caller.body)["metadata"]["name"] == "a"
    assert caller.headers[b"content-type"] == b"application/json"
    assert caller.headers[b"content-length"] == str(len(caller.body)).encode()
    assert caller.headers[b"cache-control"] == b"no-cache, private"
    assert caller.headers[b"date"] == b"Wed, 18 Nov 2026 09:30:00 GMT"
    assert caller.ended


async def test_a_refusal_is_a_status():
    caller = await Caller(method="DELETE")()

    assert (caller.status, json.loads(caller.body)["kind"], caller.headers[b"allow"]) == (
        405,
        "Status",
        b"GET, HEAD",
    )


async def test_head_gets_the_head_alone():
    caller = await Caller(method="HEAD")()

    assert (caller.status, caller.body) == (200, b"")
    assert caller.ended


@pytest.mark.parametrize("host", ["evil.example.com", "rebound.example.com:8099", None, "\xff"])
async def test_a_name_that_somebody_points_here_is_not_answered_to(host: str | None):
    assert (await Caller(host=host)()).status == 403


@pytest.mark.parametrize("host", ["localhost:8099", "127.0.0.1", "[::1]:8099"])
async def test_this_machines_own_names_are(host: str):
    assert (await Caller(host=host)()).status == 200


async def test_what_is_too_large_is_refused():
    review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

    assert (await Caller(query="a" * LONGEST_ADDRESS)()).status == 414
    assert (await Caller(review, method="POST", body=[b"x" * LARGEST_BODY, b"x"])()).status == 413


async def test_a_body_may_come_in_parts():
    review = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    caller = await Caller(
        review, method="POST", body=[b'{"spec":{"resource', b'Attributes":{"verb":"get"}}}']
    )()

    assert caller.status == 201
    assert json.loads(caller.body)["status"]["allowed"] is True


@pytest.mark.parametrize("ended_by", ["stopping", "gone"])
async def test_a_watch_is_held_until_serving_or_its_caller_ends(ended_by: str):
    caller = Caller(query="watch=true")
    watching = asyncio.create_task(caller())
    await caller.first.wait()
    done, _ = await asyncio.wait({watching}, timeout=0.05)

    assert not done
    assert len(caller.body.splitlines()) == 2
    getattr(caller, ended_by).set()
    await asyncio.wait_for(watching, 5)
    assert caller.ended


async def test_a_watch_ends_at_its_time_without_an_error():
    caller = await asyncio.wait_for(Caller(query="watch=true&timeoutSeconds=1&resourceVersion=1000")(), 5)

    assert (caller.status, caller.body, caller.ended) == (200, b"", True)


async def test_a_fault_of_ours_is_told_as_one_and_shown_on_the_terminal():
    class Broken:
        def answer(self, request: object) -> None:
            raise ZeroDivisionError

    caller = Caller(desk=Broken())

    with pytest.raises(ZeroDivisionError):
        await caller()
    assert (caller.status, json.loads(caller.body)["reason"]) == (500, "InternalError")
