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
    watchable: bool = True
    """Whether it offers to watch."""
    version: int = 1000
    """The newest; each change makes it one more."""
    kept_since: int = 0
    """Changes up to this version are no longer kept: who watches from before gets a 410."""
    most_at_once: int = 0
    _at_once: int = 0
    _history: list[tuple[int, str, bytes]] = field(default_factory=list)
    """Version, kind, line."""
    _watches: dict[str, list[asyncio.Queue[bytes | None]]] = field(default_factory=dict)
    """Kind to the watches that are open; None ends one."""

    # --- what happens in the cluster ---------------------------------------------------------------------------

    def change(self, word: str, doc: Doc, *, quietly: bool = False) -> None:
        """`ADDED`, `MODIFIED` or `DELETED`, told to whoever watches; `quietly`: kept, and told to nobody yet."""
        self.version += 1
        doc = {**doc, "metadata": {**doc["metadata"], "resourceVersion": str(self.version)}}
        named = (doc["kind"], doc["metadata"].get("namespace"), doc["metadata"]["name"])
        self.documents = [d for d in self.documents if _name(d) != named]
        if word != "DELETED":
            self.documents.append(doc)
        line = _line(word, doc)
        self._history.append((self.version, doc["kind"], line))
        if not quietly:
            self.say(doc["kind"], line)

    def bookmark(self, kind: str, version: int | None = None) -> None:
        told = {
            "kind": kind,
            "apiVersion": "v1",
            "metadata": {"resourceVersion": str(version or self.version)},
        }
        self.say(kind, _line("BOOKMARK", told))

    def say(self, kind: str, line: bytes | None) -> None:
        """A line to everybody who watches a kind; None ends their watches."""
        for queue in self._watches.get(kind, []):
            queue.put_nowait(line)

    def end_watches(self) -> None:
        for kind in list(self._watches):
            self.say(kind, None)

    def watching(self, kind: str) -> int:
        """How many watch it now."""
        return len(self._watches.get(kind, []))

    def compact(self) -> None:
        """Forget all changes so far."""
        self.kept_since, self._history = self.version, []

    async def _watch(self, kind: str, namespace: str | None, request: web.Request) -> web.StreamResponse:
        known = int(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if known < self.kept_since:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            await response.write(_line("ERROR", gone))
            return response
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        for version, of, line in self._history:
            if of == kind and version > known:
                queue.put_nowait(line)
        self._watches.setdefault(kind, []).append(queue)
        try:
            while (said := await queue.get()) is not None:
                if namespace is None or f'"namespace": "{namespace}"'.encode() in said or b"BOOKMARK" in said:
                    await response.write(said)
        finally:
            self._watches[kind].remove(queue)
        return response

    # --- what it is asked --------------------------------------------------------------------------------------

    def asked_for(self, path: str) -> list[str]:
        """Its lists, without watches."""
        return [one for one in self.asked if one.partition("?")[0] == path and "watch=" not in one]

    def watches_of(self, path: str) -> list[str]:
        return [one for one in self.asked if one.partition("?")[0] == path and "watch=" in one]

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
        if request.query.get("watch"):
            return await self._watch(*_listed(request.path), request)
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
        for group, _, _ in KINDS.values():
            if path == (f"apis/{group}/v1" if group else "api/v1"):
                return _json({"kind": "APIResourceList", "resources": list(self._resources(group))})
        kind, namespace = _listed(request.path)
        if not kind:
            return refused(404, "the server could not find the requested resource")
        return self._list(kind, namespace, request)

    def _list(self, kind: str, namespace: str | None, request: web.Request) -> web.StreamResponse:
        found = [
            {key: value for key, value in doc.items() if key not in ("kind", "apiVersion")}
            for doc in self.documents
            if doc["kind"] == kind and namespace in (None, doc["metadata"].get("namespace"))
        ]
        start, limit = int(request.query.get("continue", "0")), int(request.query.get("limit", "500"))
        more = {"continue": str(start + limit)} if start + limit < len(found) else {}
        more["resourceVersion"] = str(self.version)
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
        verbs = ["get", "list", "watch"] if self.watchable else ["get", "list"]
        for kind, (of, plural, namespaced) in KINDS.items():
            if of == group:
                yield {"name": plural, "kind": kind, "namespaced": namespaced, "verbs": verbs}
                yield {"name": f"{plural}/status", "kind": kind, "namespaced": namespaced, "verbs": ["get"]}


def _listed(path: str) -> tuple[str, str | None]:
    """The kind that a path lists, and of which namespace; empty for a path that lists none."""
    for kind, (group, plural, _) in KINDS.items():
        root = f"/apis/{group}/v1/" if group else "/api/v1/"
        if path.startswith(root) and path.endswith(f"/{plural}"):
            inside = path.removeprefix(root).removesuffix(f"/{plural}").partition("/")[2]
            if inside:
                return kind, inside
        if path == f"{root}{plural}":
            return kind, None
    return "", None


def _name(doc: Doc) -> tuple[str, str | None, str]:
    return doc["kind"], doc["metadata"].get("namespace"), doc["metadata"]["name"]


def _line(word: str, doc: Doc) -> bytes:
    return json.dumps({"type": word, "object": doc}).encode() + b"\n"


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


def kubeconfig(
    path: Path, url: str, *, token: str = "t0ken", context: str = "test", authority: Path | None = None
) -> Path:
    """A kubeconfig as a person has it."""
    cluster = {"server": url} | ({"certificate-authority": str(authority)} if authority else {})
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": context,
                "clusters": [{"name": f"{context}-cluster", "cluster": cluster}],
                "users": [{"name": f"{context}-user", "user": {"token": token}}],
                "contexts": [
                    {"name": context, "context": {"cluster": f"{context}-cluster", "user": f"{context}-user"}}
                ],
            }
        )
    )
    return path
