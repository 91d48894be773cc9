"""Which hosts and paths a route claims, and which route a URL reaches.

Decides what of the several kinds of routes (Ingress, OpenShift's Route, the Gateway API's) means a host and a path, whose
claim a controller has refused, and which claim a request meets: the most exact host, the longest path, of equal ones the
oldest. Whether anybody answers behind a route is not asked here.

Rests on: https://kubernetes.io/docs/concepts/services-networking/ingress/#multiple-matches,
https://gateway-api.sigs.k8s.io/reference/spec/#httprouterule (the oldest route wins),
https://github.com/openshift/router (HostAlreadyClaimed).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import (
    Condition,
    at,
    conditions,
    entries,
    mapping,
    reported,
    reported_by,
    strings,
    text,
)
from services.context_api.domain.snapshot import Body, KubeObject

KINDS = ("Ingress", "Route", "HTTPRoute", "GRPCRoute", "TLSRoute")
_ADMITS = frozenset({"Admitted", "Accepted"})

_MORE = ("headers", "queryParams", "method")

Claim = tuple[str, str]
"""(host, path); no path is `/`."""


def claims(route: KubeObject) -> list[Claim]:
    """The hosts and paths a route asks for; a route that names no host asks for none."""
    return list(dict.fromkeys((host.lower(), path or "/") for host, path in _claims(route) if host))


def hosts(route: KubeObject) -> frozenset[str]:
    return frozenset(host for host, _ in claims(route))


def refusal(route: KubeObject) -> Condition | None:
    """With which words a controller refuses it: a condition of every parent or router, none of which takes it."""
    said = [c for c in reported(route) if c.type in _ADMITS]
    return said[0] if said and all(c.status == "False" for c in said) else None


def standing(graph: Graph, route: KubeObject) -> list[Condition]:
    """What its status says, without what is left there by a router or for a Gateway that is no more: nobody takes that back.

    A Gateway is gone where others were recorded. A router may run without an IngressController of its name: it is gone only
    where one that has one takes the route.
    """
    said = conditions(route)
    taken = any(_takes(graph, entry, heard) for entry, heard in reported_by(route))
    for entry, heard in reported_by(route):
        said += heard if not _is_left(graph, route, entry, taken=taken) else []
    return said


def _takes(graph: Graph, entry: Body, heard: Sequence[Condition]) -> bool:
    """Whether a router that has an IngressController takes the route, as this entry says."""
    return _is_router(graph, text(entry.get("routerName"))) and any(
        c.type == "Admitted" and c.status == "True" for c in heard
    )


def _is_router(graph: Graph, name: str) -> bool:
    return any(obj.name == name for obj in graph.of_kind("IngressController"))


def _is_left(graph: Graph, route: KubeObject, entry: Body, *, taken: bool) -> bool:
    """Whether an entry of its status was written by a router, or for a Gateway, that is no more."""
    parent = mapping(entry.get("parentRef"))
    router, gateway = text(entry.get("routerName")), text(parent.get("name"))
    if router:
        return taken and not _is_router(graph, router)
    if text(parent.get("kind")) not in ("", "Gateway") or not gateway or not graph.of_kind("Gateway"):
        return False
    return graph.get("Gateway", text(parent.get("namespace")) or route.namespace, gateway) is None


def reached(graph: Graph, url: str) -> KubeObject | None:
    """The route that a request for this URL meets; a URL whose host no route claims meets none."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except ValueError:
        return None
    found = [
        (route, claimed, path)
        for route in graph.of_kind(*KINDS)
        for claimed, path in claims(route)
        if host and covers(claimed, host) and within(path, parts.path or "/")
    ]
    best = min(
        found,
        key=lambda f: (refusal(f[0]) is not None, f[1] != host, -len(f[2]), age(f[0])),
        default=None,
    )
    return best[0] if best is not None else None


def covers(name: str, host: str) -> bool:
    """Whether a host name, or one with a star for its first label, is that host."""
    return name == host or (name.startswith("*.") and host.partition(".")[2] == name[2:])


def within(prefix: str, path: str) -> bool:
    """Whether a path lies below a prefix, as routes compare them: by whole parts."""
    return f"{path.rstrip('/')}/".startswith(f"{prefix.rstrip('/')}/")


def age(route: KubeObject) -> tuple[datetime, str, str]:
    """The order in which controllers prefer equal claims: the oldest, then by name."""
    return route.created_at or datetime.max.replace(tzinfo=UTC), route.namespace or "", route.name


def _claims(route: KubeObject) -> Iterator[Claim]:
    if route.kind == "Ingress":
        for rule in entries(route.spec.get("rules")):
            paths = [text(p.get("path")) for p in entries(mapping(rule.get("http")).get("paths"))]
            yield from ((text(rule.get("host")), path) for path in paths or [""])
    elif route.kind == "Route":
        yield text(route.spec.get("host")), text(route.spec.get("path"))
    elif route.kind in KINDS:
        paths = _matched(entries(route.spec.get("rules")))
        yield from ((host, path) for host in strings(route.spec.get("hostnames")) for path in paths)


def _matched(rules: Sequence[Body]) -> list[str]:
    """Paths of a Gateway API route's rules; one without a match takes everything, one that asks for more than a path
    shares it with others."""
    matches = [match for rule in rules or [{}] for match in entries(rule.get("matches")) or [{}]]
    return [
        text(at(match, "path", "value")) for match in matches if not any(match.get(more) for more in _MORE)
    ]
