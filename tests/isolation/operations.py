"""What callers ask: every route and every tool, half for what is theirs and half for what is not."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlencode

from tests.isolation.archive import ALERT, EVERY_TENANT, fingerprint
from tests.isolation.ask import Fields
from tests.support.canaries import CLUSTER, NAMESPACES, NOBODY, POD, Owner

CONTEXT = "/api/v1/context"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. What they may see is worked out here anew, not asked of the product."""

    name: str
    tenant: str
    namespaces: tuple[str, ...]

    def may_see(self, owner: Owner) -> bool:
        if owner.namespace == NOBODY or owner.tenant not in ("", self.tenant):
            return False
        if owner.namespace == CLUSTER:
            return "*" in self.namespaces
        return any(fnmatchcase(owner.namespace, glob) for glob in self.namespaces)


CALLERS = (
    Caller("ann", "acme", ("orders",)),
    Caller("bob", "acme", ("stock", "mail")),
    Caller("cleo", "acme", ("orders", "stock")),
    Caller("dan", "acme", ("bills",)),
    Caller("eve", "acme", ("o*", "?ail")),
    Caller("fay", "umbra", ("bills",)),
    Caller("gil", "umbra", ("bills", "upkeep")),
    Caller("hal", "umbra", ("upkeep",)),
    Caller("ida", "umbra", ("ma*",)),
    Caller("jan", "umbra", ()),
    Caller("kim", "default", ("*",)),
)
"""Two tenants with namespaces of their own, with the same ones, with one within the other's, and with none."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One request. `route`: under which name it is counted."""

    route: str
    caller: Caller
    method: str
    target: str
    fields: Fields = ()
    body: bytes = b""


Make = Callable[["Chooser"], tuple[str, str, dict[str, Any] | None]]


class Chooser:
    """Draws operations; the same number draws the same ones, as long as the answers name the same facts."""

    def __init__(self, seed: int, known: Sequence[str]) -> None:
        """`known`: ids of facts that somebody was told; it grows while the campaign runs."""
        self.dice, self.known = random.Random(seed), known
        self.caller = CALLERS[0]

    def one(self) -> Operation:
        self.caller = self.dice.choice(CALLERS)
        route = self.dice.choices(list(ROUTES), [weight for weight, _ in ROUTES.values()])[0]
        method, target, body = ROUTES[route][1](self)
        fields: list[tuple[bytes, bytes]] = []
        if body is not None:
            fields.append((b"content-type", b"application/json"))
        if route.startswith("tool "):
            fields += [
                (b"accept", b"application/json, text/event-stream"),
                (b"mcp-protocol-version", self.dice.choice([b"2025-06-18", b"2025-03-26"])),
            ]
        elif self.dice.random() < 0.05:
            fields.append((b"accept", b"application/yaml"))
        elif self.dice.random() < 0.1:
            fields.append((b"accept-encoding", b"gzip"))
        return Operation(
            route,
            self.caller,
            method,
            target,
            tuple(fields),
            json.dumps(body).encode() if body is not None else b"",
        )

    @property
    def place(self) -> str:
        """A namespace: one's own in half of all cases, where there is one."""
        own = [name for name in NAMESPACES if self.caller.may_see(Owner(name))]
        if own and self.dice.random() < 0.5:
            return self.dice.choice(own)
        return self.dice.choice((*NAMESPACES, "nowhere"))

    @property
    def thing(self) -> tuple[str, str, str]:
        """Namespace, kind and name of something."""
        if self.dice.random() < 0.05:
            return (CLUSTER, *self.dice.choice([("Node", "node-1"), ("PersistentVolume", "pv-1"), ("Namespace", self.place)]))  # fmt: skip
        kind, name = self.dice.choice(
            [("Deployment", "web"), ("Deployment.apps", "web"), ("Pod", POD), ("ConfigMap", "web-conf"), ("Service", "web"), ("Secret", "web-key"), ("Deployment", "gone")]
        )  # fmt: skip
        return self.place, kind, name

    @property
    def path(self) -> str:
        return "/".join(self.thing)

    @property
    def spelled(self) -> str:
        """The same as tools and streams take it."""
        namespace, kind, name = self.thing
        return f"{kind}/{namespace}/{name}"

    @property
    def fact(self) -> str:
        """An id that somebody was told; seldom one that nobody was."""
        if self.known and self.dice.random() < 0.95:
            return self.dice.choice(self.known)
        return f"ev-{self.dice.getrandbits(64):016x}"

    @property
    def labels(self) -> dict[str, str]:
        more = self.dice.choice([{"deployment": "web"}, {"pod": POD}, {}, {"node": "node-1"}])
        return {"alertname": ALERT, "namespace": self.place, **more}

    @property
    def incident(self) -> dict[str, Any]:
        """A target, or an alert."""
        if self.dice.random() < 0.5:
            return {"alert": {"labels": self.labels}}
        namespace, kind, name = self.thing
        word, _, group = kind.partition(".")
        place = {} if namespace == CLUSTER else {"namespace": namespace}
        return {
            "target": {"api_version": f"{group}/v1" if group else "v1", "kind": word, "name": name, **place}
        }

    @property
    def resource(self) -> str:
        return self.dice.choice(
            [
                "pods",
                "events",
                "configmaps",
                "secrets",
                "deploy",
                "web",
                "web-conf",
                "nodes",
                "namespaces",
                "svc",
                "sa",
            ]
        )

    @property
    def alert(self) -> str:
        return ALERT if self.dice.random() < 0.8 else "Other"

    def maybe(self, **given: object) -> str:
        """A query of some of these."""
        chosen = {name: value for name, value in given.items() if self.dice.random() < 0.4}
        return f"?{urlencode(chosen)}" if chosen else ""


def _get(path: str, query: str = "") -> tuple[str, str, None]:
    return "GET", f"{path}{query}", None


def _tool(name: str, **arguments: object) -> tuple[str, str, dict[str, Any]]:
    call = {"name": name, "arguments": arguments}
    return "POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}


ROUTES: dict[str, tuple[int, Make]] = {
    "causes": (10, lambda c: _get(f"{CONTEXT}/causes/{c.path}", c.maybe(onset="2026-11-18T09:00:00Z"))),
    "findings": (8, lambda c: _get(f"{CONTEXT}/findings/{c.path}")),
    "evidence": (8, lambda c: _get(f"{CONTEXT}/evidence/{c.path}", c.maybe(limit=c.dice.choice([1, 20, 200]), kind=c.dice.choice(["event", "log", "metric", "object", "change"]), **({"cursor": c.fact} if c.dice.random() < 0.1 else {})))),
    "one fact": (12, lambda c: _get(f"{CONTEXT}/evidence/{c.fact}")),
    "logs": (8, lambda c: _get(f"{CONTEXT}/logs/{c.place}/{POD}", c.maybe(previous="true", tail=3, clustered="true", contains="zq", container="web"))),
    "objects": (8, lambda c: _get(f"{CONTEXT}/kubernetes/{c.place}/{c.resource}", c.maybe(labels="app=web"))),
    "cluster objects": (2, lambda c: _get(f"{CONTEXT}/kubernetes/{CLUSTER}/{c.resource}")),
    "bundle": (8, lambda c: ("POST", f"{CONTEXT}/bundle", {**c.incident, "max_tokens": c.dice.choice([1000, 4000, 16000])})),
    "stream": (5, lambda c: _get(f"{CONTEXT}/bundle/stream", f"?target={c.spelled.replace('.apps', '')}")),
    "topology": (5, lambda c: _get(f"{CONTEXT}/topology/{c.path}", c.maybe(depth=5))),
    "snapshots": (1, lambda c: ("POST", f"{CONTEXT}/snapshots", c.incident)),
    "resolve": (3, lambda c: ("POST", f"{CONTEXT}/resolve", {"labels": c.labels})),
    "metrics": (5, lambda c: _get(f"{CONTEXT}/metrics/{c.place}/{c.dice.choice(['pods', POD, 'web', 'deploy'])}", "?timeRange=1h")),
    "action history": (4, lambda c: _get(f"{CONTEXT}/action-history/{c.alert}", c.maybe(namespace=c.place))),
    "alerts history": (2, lambda c: _get("/api/v1/alerts/history", f"?alert={c.alert}&namespace={c.place}")),
    "patterns": (3, lambda c: _get(f"{CONTEXT}/patterns/web-conf", f"?alertType={c.alert}{c.maybe(namespace=c.place).replace('?', '&')}")),
    "patterns by body": (2, lambda c: ("POST", "/api/v1/patterns/analyze", {"alert": c.alert, "namespace": c.place, "signature": "web-conf"})),
    "alert": (3, lambda c: _get(f"{CONTEXT}/alert/{c.dice.choice(['critical', 'info', 'warning'])}/{c.alert}", f"?namespace={c.place}")),
    "investigation": (2, lambda c: _get(f"{CONTEXT}/investigation/basic_investigation", f"?namespace={c.place}")),
    "namespace": (2, lambda c: _get(f"/api/v1/namespace/{c.place}/{c.dice.choice(['resources', 'context'])}")),
    "what there is": (2, lambda c: _get(c.dice.choice([f"{CONTEXT}/discover", f"{CONTEXT}/health", "/api/v1/toolsets", "/api/v1/service-discovery", "/api/v1/toolset.yaml", "/health", "/api/v1/toolsets/stats"]))),
    "nowhere": (2, lambda c: _get(c.dice.choice([f"{CONTEXT}/causes/{c.place}/Pod", f"/api/v1/{c.place}", f"{CONTEXT}/logs/{c.place}/{POD}/web", f"{CONTEXT}/causes/{c.place}/Pod/-"]))),
    "tool find_causes": (3, lambda c: _tool("find_causes", target=c.spelled)),
    "tool get_evidence": (3, lambda c: _tool("get_evidence", target=c.spelled)),
    "tool get_evidence of an id": (3, lambda c: _tool("get_evidence", id=c.fact)),
    "tool get_logs": (3, lambda c: _tool("get_logs", namespace=c.place, pod=POD, previous=c.dice.random() < 0.5)),
    "tool get_topology": (2, lambda c: _tool("get_topology", target=c.spelled)),
    "tool list_objects": (3, lambda c: _tool("list_objects", namespace=c.dice.choice([c.place, CLUSTER]), resource=c.resource)),
    "tool get_bundle": (3, lambda c: _tool("get_bundle", target=c.spelled)),
    "tool resolve_alert": (2, lambda c: _tool("resolve_alert", labels=c.labels)),
    "tool get_context": (3, lambda c: _tool("get_context", labels=c.labels) if c.dice.random() < 0.5 else _tool("get_context", alert_fingerprint=fingerprint(c.dice.choice(EVERY_TENANT), c.place))),
}  # fmt: skip
"""By name: how often, and what is sent."""

SILENT = frozenset(
    {"topology", "tool get_topology", "resolve", "tool resolve_alert", "what there is", "nowhere"}
)
"""Those whose answers hold no word even for whoever may see everything: names and places are the same everywhere."""
