"""An API server of a few kinds, with faults on order: what it was asked is written down, what it does is scripted.

Speaks HTTP on loopback, so that bounds and broken connections are real. It checks nothing; a real API server
stands in `tests/testbed`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support.kube import NOW

Doc = dict[str, Any]

KINDS: dict[str, tuple[str, str, bool]] = {
    "Pod": ("", "pods", True),
    "Secret": ("", "secrets", True),
    "ConfigMap": ("", "configmaps", True),
    "Event": ("", "events", True),
    "Namespace": ("", "namespaces", False),
    "Node": ("", "nodes", False),
    "PersistentVolume": ("", "persistentvolumes", False),
    "Deployment": ("apps", "deployments", True),
    "ReplicaSet": ("apps", "replicasets", True),
    "Widget": ("example.com", "widgets", True),
}
"""Kind to (group, plural, namespaced); every one in version v1."""


@dataclass(frozen=True)
class Fault:
    """One answer instead of the real one."""

    status: int = 200
    body: bytes | None = None
    """None with status 200: the real answer, only later."""
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    """Seconds before the answer."""
    cut: bool = False
    """Break the connection in the middle of the body."""


@dataclass
class FakeKubeApi:
    documents: list[Doc]
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """Path to the answers it gives first, in order; the last stays when `sticky` names the path."""
    sticky: set[str] = field(default_factory=set)
    logs: dict[str, bytes] = field(default_factory=dict)
    """`namespace/pod/container[/previous]` to its log."""
    aggregated: bool = True
    asked: list[str] = field(default_factory=list)
    """Path and query of every request."""
    tokens: list[str] = field(default_factory=list)
    url: str = ""
    most_at_once: int = 0
    _at_once: int = 0

    def asked_for(self, path: str) -> list[str]:
        return [one for one in self.asked if one.partition("?")[0] == path]

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        self.tokens.append(request.headers.get("Authorization", ""))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            return await self._answered(request)
        finally:
            self._at_once -= 1

    async def _answered(self, request: web.Request) -> web.StreamResponse:
        waiting = self.faults.get(request.path)
        if waiting:
            fault = waiting[0] if request.path in self.sticky and len(waiting) == 1 else waiting.pop(0)
            await asyncio.sleep(fault.wait)
            if fault.cut:
                return await _cut(request, fault)
            if fault.body is not None or fault.status != 200:
                return _answer(fault.body or b"", fault.status, fault.headers)
        if request.path.endswith("/log"):
            return self._log(request)
        return self._document(request)

    def _log(self, request: web.Request) -> web.StreamResponse:
        _, _, _, _, namespace, _, pod, _ = request.path.split("/")
        name = f"{namespace}/{pod}/{request.query['container']}"
        if request.query.get("previous"):
            name += "/previous"
        if name not in self.logs:
            return refused(400, f"no log of {name}")
        return web.Response(body=self.logs[name], content_type="text/plain")

    def _document(self, request: web.Request) -> web.StreamResponse:
        path = request.path.strip("/")
        if path == "version":
            return _json({"major": "1", "minor": "36"})
        if path in ("api", "apis"):
            return _json(self._discovery(path))
        for kind, (group, plural, _) in KINDS.items():
            root = f"apis/{group}/v1" if group else "api/v1"
            if path == root:
                return _json({"kind": "APIResourceList", "resources": list(self._resources(group))})
            if path.startswith(f"{root}/") and path.endswith(f"/{plural}"):
                inside = path.removeprefix(f"{root}/").removesuffix(f"/{plural}").partition("/")[2]
                if path == f"{root}/{plural}" or inside:
                    return self._list(kind, inside or None, request)
        return refused(404, "the server could not find the requested resource")

    def _list(self, kind: str, namespace: str | None, request: web.Request) -> web.StreamResponse:
        found = [
            {key: value for key, value in doc.items() if key not in ("kind", "apiVersion")}
            for doc in self.documents
            if doc["kind"] == kind and namespace in (None, doc["metadata"].get("namespace"))
        ]
        start, limit = int(request.query.get("continue", "0")), int(request.query.get("limit", "500"))
        more = {"continue": str(start + limit)} if start + limit < len(found) else {}
        return _json({"kind": f"{kind}List", "metadata": more, "items": found[start : start + limit]})

    def _discovery(self, path: str) -> Doc:
        groups = {group for group, _, _ in KINDS.values() if bool(group) == (path == "apis")}
        if self.aggregated:
            return {
                "kind": "APIGroupDiscoveryList",
                "items": [
                    {
                        "metadata": {"name": group} if group else {},
                        "versions": [
                            {
                                "version": "v1",
                                "freshness": "Current",
                                "resources": [
                                    {
                                        "resource": one["name"],
                                        "responseKind": {"kind": one["kind"]},
                                        "scope": "Namespaced" if one["namespaced"] else "Cluster",
                                        "verbs": one["verbs"],
                                    }
                                    for one in self._resources(group)
                                ],
                            }
                        ],
                    }
                    for group in sorted(groups)
                ],
            }
        if path == "api":
            return {"kind": "APIVersions", "versions": ["v1"]}
        return {
            "kind": "APIGroupList",
            "groups": [
                {"name": g, "versions": [{"version": "v1"}], "preferredVersion": {"version": "v1"}}
                for g in sorted(groups)
            ],
        }

    def _resources(self, group: str) -> Iterable[Doc]:
        for kind, (of, plural, namespaced) in KINDS.items():
            if of == group:
                yield {"name": plural, "kind": kind, "namespaced": namespaced, "verbs": ["get", "list"]}
                yield {"name": f"{plural}/status", "kind": kind, "namespaced": namespaced, "verbs": ["get"]}


def refused(status: int, message: str) -> web.Response:
    return _answer(refusal(status, message).body or b"", status, {})


def refusal(status: int, message: str, **headers: str) -> Fault:
    body = json.dumps({"kind": "Status", "status": "Failure", "message": message, "code": status}).encode()
    return Fault(status, body, headers)


def _json(document: Doc) -> web.Response:
    return _answer(json.dumps(document).encode(), 200, {})


def _answer(body: bytes, status: int, headers: dict[str, str]) -> web.Response:
    stamped = {"Date": format_datetime(NOW, usegmt=True), "Content-Type": "application/json", **headers}
    return web.Response(body=body, status=status, headers=stamped)


async def _cut(request: web.Request, fault: Fault) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(fault.body or b'{"kind":')
    assert request.transport is not None
    request.transport.abort()
    return response


@asynccontextmanager
async def serving(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A server on a free port of loopback; its URL."""

    async def answered(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answered)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def running(documents: Sequence[Doc], **settings: Any) -> AsyncIterator[FakeKubeApi]:
    fake = FakeKubeApi(list(documents), **settings)
    async with serving(fake) as url:
        fake.url = url
        yield fake


def kubeconfig(path: Path, url: str, *, token: str = "t0ken", context: str = "test") -> Path:
    """A kubeconfig as a person has it."""
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": context,
                "clusters": [{"name": f"{context}-cluster", "cluster": {"server": url}}],
                "users": [{"name": f"{context}-user", "user": {"token": token}}],
                "contexts": [
                    {"name": context, "context": {"cluster": f"{context}-cluster", "user": f"{context}-user"}}
                ],
            }
        )
    )
    return path
