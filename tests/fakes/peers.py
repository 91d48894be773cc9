"""The alerts service's peers as small ASGI apps that log every side effect, for tests to read.

Each keeps its promises (the same key and request give the same answer, another request with the key is
refused) and can be told to be down, slow or unwilling.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

Answer = tuple[int, Any]


@dataclass
class Call:
    """One request as it was received."""

    method: str
    path: str
    body: Any
    headers: dict[str, str]
    query: dict[str, str] = field(default_factory=dict)


@dataclass
class FakePeer:
    """One ASGI app: `answer` decides, everything is logged in `calls`."""

    calls: list[Call] = field(default_factory=list)
    down: bool = False
    """Answers 503 to everything, and does nothing."""
    locked_out: bool = False
    """Knows our credential no more."""
    delay_s: float = 0.0
    forgetful: bool = False
    """Does what is asked and then answers 503: the effect took place, the caller cannot know."""

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # its sender was killed in the middle of it: that is no request, to any server
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = dict(parse_qsl(scope["query_string"].decode()))
        call = Call(scope["method"], scope["path"], json.loads(body) if body else None, headers, query)
        self.calls.append(call)
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        status, document = self._answer(call)
        if self.forgetful and status < 300:
            status, document = 503, {}
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        await send({"type": "http.response.body", "body": json.dumps(document).encode()})

    def _answer(self, call: Call) -> Answer:
        if self.down:
            return 503, {}
        return problem(401, "not-authenticated") if self.locked_out else self.answer(call)

    @staticmethod
    async def _lifespan(
        receive: Callable[[], Awaitable[dict[str, Any]]], send: Callable[[dict[str, Any]], Awaitable[None]]
    ) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return

    def answer(self, call: Call) -> Answer:
        raise AssertionError(f"{type(self).__name__} was asked {call.method} {call.path}")

    def asked(self, path: str) -> list[Call]:
        return [call for call in self.calls if call.path.startswith(path)]


def problem(status: int, code: str) -> Answer:
    return status, {"title": code, "status": status, "code": code}


@dataclass
class FakeContext(FakePeer):
    """The Context API: pods belong to the Deployment named before their last dash."""

    namespace_labels: dict[str, dict[str, str]] = field(default_factory=dict)
    owner_labels: dict[str, str] = field(default_factory=dict)

    def answer(self, call: Call) -> Answer:
        assert (call.method, call.path) == ("POST", "/api/v1/context/resolve")
        labels = call.body["labels"]
        namespace = labels.get("namespace")
        pod, deployment = labels.get("pod"), labels.get("deployment")
        if not namespace or not (pod or deployment):
            return 200, {"target": None, "owner": None, "exists": False, "reason": "no-target-label"}
        owner = {
            "api_version": "apps/v1",
            "kind": "Deployment",
            "namespace": namespace,
            "name": deployment or pod.rpartition("-")[0],
        }
        target = {"kind": "Pod", "namespace": namespace, "name": pod} if pod else owner
        return 200, {
            "target": target,
            "owner": owner,
            "exists": True,
            "reason": "label:pod" if pod else "label:deployment",
            "namespace_labels": self.namespace_labels.get(namespace, {}),
            "owner_labels": self.owner_labels,
        }


@dataclass
class FakeHolmes(FakePeer):
    """The investigation service: an investigation ends after so many looks, with a cause or without."""

    looks: int = 1
    """How often it is looked at before it has ended."""
    cause: bool = True
    status: str = "completed"
    refuse: bool = False
    text: str = "postgres-config was edited just before"
    """What the cause says."""
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Investigations by Idempotency-Key: each is one effect."""
    seen: dict[str, int] = field(default_factory=dict)

    def answer(self, call: Call) -> Answer:
        if call.method == "POST" and call.path == "/api/v1/investigate/async":
            return self._start(call)
        if call.method == "GET" and call.path.startswith("/api/v1/investigate/"):
            return self._look(call.path.rpartition("/")[2])
        return super().answer(call)

    def _start(self, call: Call) -> Answer:
        if self.refuse:
            return problem(422, "invalid")
        key = call.headers["idempotency-key"]
        known = self.runs.setdefault(key, call.body)
        if known != call.body:
            return problem(422, "idempotency-key-reused")
        id_ = "inv-" + hashlib.sha256(key.encode()).hexdigest()[:12]
        return 202, {"investigation_id": id_, "status": "started", "message": "accepted"}

    def _look(self, id_: str) -> Answer:
        self.seen[id_] = self.seen.get(id_, 0) + 1
        ended = self.seen[id_] >= self.looks
        return 200, {
            "investigation_id": id_,
            "status": self.status if ended else "running",
            "progress": 100 if ended else 50,
            "alert_name": "x",
            "namespace": None,
            "priority": "P1",
            "engine": "triage" if ended else None,
            "degraded_reason": "no-model-configured" if ended else None,
            "summary": "the database's configuration was changed" if ended and self.cause else "",
            "error": "engine died" if ended and self.status == "failed" else None,
            "timestamp": datetime(2026, 11, 21, tzinfo=UTC).isoformat(),
            "results": self._results() if ended and self.status == "completed" else None,
        }

    def _results(self) -> dict[str, Any]:
        target = {"kind": "ConfigMap", "namespace": "data", "name": "postgres-config"}
        cause = {
            "target": target,
            "reason": "ConfigChangedBeforeOnset",
            "text": self.text,
            "severity": "critical",
            "confidence": {"value": 0.86, "basis": ["edited 40 s before"]},
            "evidence_ids": ["ev-1"],
        }
        return {
            "cause": cause if self.cause else None,
            "target": target if self.cause else None,
            "no_cause_reason": None if self.cause else "insufficient-evidence",
        }


@dataclass
class FakeNotifications(FakePeer):
    """The notifications service: each key is one message to people."""

    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    refuse: bool = False

    def answer(self, call: Call) -> Answer:
        assert (call.method, call.path) == ("POST", "/api/v1/notifications")
        if self.refuse:
            return problem(422, "invalid")
        key = call.headers["idempotency-key"]
        known = self.told.setdefault(key, call.body)
        if known != call.body:
            return problem(422, "idempotency-key-reused")
        return 202, {
            "id": "ntf-" + hashlib.sha256(key.encode()).hexdigest()[:12],
            "status": "pending",
            "subject": call.body["subject"],
            "body": call.body["body"],
            "priority": call.body["priority"],
            "created_at": datetime(2026, 11, 21, tzinfo=UTC).isoformat(),
            "deliveries": [],
        }

    @property
    def transitions(self) -> list[str]:
        return [message["transition"] for message in self.told.values()]
