"""Requests turned away in front of a Service that is well: its route's own rules, in the words of who carries them out.

Sees, in logs of other workloads (an ingress controller, a gateway), recent error lines that name a route which leads to
the alert's object: by its UID, or by namespace and name together. Names the route, the line, and the route's annotations
and fields that share words with it (`limit-rps` and "limiting requests"), with who wrote them, however long ago.
Silent where it turned as many away well before the alert.
Cannot see edges outside the cluster, nor controllers that log no refusals.

Rests on: https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/,
https://nginx.org/en/docs/http/ngx_http_limit_req_module.html (logged as errors, by zone),
https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-controllers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import writer_of
from services.context_api.domain.edges import backends
from services.context_api.domain.kube import flat, listing, text
from services.context_api.domain.logs import LINES, cut, readable, time_of, weigh
from services.context_api.domain.observation import AGAINST, Depth, Explains, Observation
from services.context_api.domain.redact import redact, sensitive
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "turned_away"
RECENT = timedelta(minutes=15)
FEWEST = 3
"""Lines; one request may be turned away on any day."""

LONG, AS_MANY = 2 * RECENT, 0.5
"""For how long before the alert a log must tell, and which part of today's refusals then make them as ever."""

ROUTES = ("Ingress", "HTTPRoute", "GRPCRoute", "VirtualService", "Route", "IngressRoute")
_REFUSES = re.compile(
    r"\blimiting (?:requests|connections)|rate.?limit|forbidden|access denied|not allowed|\brejected|too large|\b(?:403|413|429)\b",
    re.IGNORECASE,
)
"""A refusal by rule; that nobody answers behind the route is no rule of its own."""

_NAMES = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?<![\w./-])[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.-]*[a-z0-9]"
)
_WORD = re.compile(r"[a-z]{4,}")
_SAYS_LITTLE = frozenset({"request", "requests", "client", "server", "host", "http", "error", "nginx", "kubernetes", "ingress", "upstream", "proxy", "from", "with"})  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Refusals:
    route: KubeObject
    service: KubeObject
    pod: KubeObject
    container: str
    line: str
    count: int


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per route that turns requests away, of those that the alert has to do with."""
    routes = _routes(scene)
    if not routes:
        return
    found: dict[int, list[_Refusals]] = {}
    for pod in scene.graph.pods:
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            lines: dict[int, list[str]] = {}
            for line in log.text[-LINES * 500 :].splitlines()[-LINES:] if not log.previous else ():
                if _REFUSES.search(line) and weigh(line):
                    for name in _NAMES.findall(line):
                        if name in routes:
                            lines.setdefault(id(routes[name][0]), []).append(line)
            began = next(
                (m for line in log.text.splitlines()[-LINES:] if (m := time_of(line)) is not None), scene.now
            )
            for route, service in {id(r): (r, s) for r, s in routes.values() if id(r) in lines}.values():
                said = [line for line in dict.fromkeys(lines[id(route)]) if _is_recent(scene, line)]
                if not said or _as_ever(scene, began, list(dict.fromkeys(lines[id(route)])), len(said)):
                    continue
                shown = redact(cut(readable(said[-1]), 300))
                one = _Refusals(route, service, pod, log.container, shown, len(said))
                if _concerns(scene, one):
                    found.setdefault(id(route), []).append(one)
    for refusals in found.values():
        if sum(one.count for one in refusals) >= FEWEST:
            yield _observation(scene, refusals)


def _routes(scene: Scene) -> dict[str, tuple[KubeObject, KubeObject]]:
    """Routes with the Service that they lead to, by UID and by namespace and name as controllers write them."""
    found: dict[str, tuple[KubeObject, KubeObject]] = {}
    for route in scene.graph.of_kind(*ROUTES):
        services = [scene.graph.get("Service", b.namespace, b.service) for b in backends(route)]
        service = next((s for s in services if s is not None), None)
        if service is not None:
            names = [f"{route.namespace}/{route.name}", text(route.metadata.get("uid"))]
            found.update({name: (route, service) for name in names if len(name) >= 8})
    return found


def _concerns(scene: Scene, one: _Refusals) -> bool:
    """Whether the alert is about what the route leads to, the route itself, or who carries it out."""
    target = scene.target
    if target is None:
        return True
    behind = scene.graph.behind(one.service)
    return target in (one.route, one.service) or scene.graph.top(target) in (
        *behind,
        scene.graph.top(one.pod),
    )


def _as_ever(scene: Scene, began: datetime, lines: Sequence[str], recent: int) -> bool:
    """Whether it turned as many away long before the alert: then that is how the route is meant, and no news."""
    until = (scene.onset or scene.now) - RECENT
    length = until - began
    before = sum(1 for line in lines if (moment := time_of(line)) is not None and moment < until)
    return length >= LONG and before / length.total_seconds() >= AS_MANY * recent / RECENT.total_seconds()


def _is_recent(scene: Scene, line: str) -> bool:
    moment = time_of(line)
    return moment is not None and timedelta(0) <= scene.now - moment <= RECENT


def _rules(route: KubeObject, line: str) -> list[tuple[str, str]]:
    """The route's annotations that share a word with the line: name and value."""
    said = {word[:5] for word in _WORD.findall(line.lower()) if word not in _SAYS_LITTLE}
    return [
        (key, value)
        for key, value in sorted(flat(route.annotations).items())
        if len(value) <= 120
        and not sensitive(key)
        and any(word[:5] in said for word in _WORD.findall(key.rpartition("/")[2]) if word not in _SAYS_LITTLE)
    ]  # fmt: skip


def _observation(scene: Scene, found: list[_Refusals]) -> Observation:
    first = max(found, key=lambda one: (one.count, one.pod.name))
    route, top = first.route, scene.graph.top(first.pod)
    rules = _rules(route, first.line)
    total = sum(one.count for one in found)
    words = (
        f"{name_of(top)} turns requests away before they reach {name_of(first.service)}, by the rules of {name_of(route)}: "
        f"`{first.line}` (×{total} within {RECENT.total_seconds() / 60:.0f} min)"
    )
    if rules:
        words += f". It says {listing([f'`{key}: {value}`{_written(route, key)}' for key, value in rules])}"
    return Observation(
        about=route,
        reason="RequestsTurnedAway",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.85 if rules else 0.6,
        facts=(
            evidence.log_line(first.pod, first.container, first.line, total),
            *(evidence.field(route, f"metadata.annotations.{k}", v, f"{name_of(route)}: {k}: {v}") for k, v in rules),
        ),
        basis=(
            "who carries the route out logs the refusals and names the route",
            "the route's own settings speak of the same" if rules else f"{AGAINST}none of the route's annotations speaks of it",
        ),
        remediation=remedies.edit(route, f"Check what {name_of(route)} allows against what its callers need."),
        explains=tuple(
            Explains(about, 0.9, f"requests are turned away by {name_of(route)}", deepest=Depth.process)
            for about in (first.service, *scene.graph.behind(first.service), top)
        ),
    )  # fmt: skip


def _written(route: KubeObject, key: str) -> str:
    edit = writer_of(route, f"metadata.annotations.{key}")
    if edit is None or (route.created_at is not None and edit.at <= route.created_at + timedelta(seconds=5)):
        return ""
    return f" (written at {clock(edit.at)} by {edit.by})"
