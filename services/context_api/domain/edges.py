"""What an object needs in order to work: the edges along which a fault travels to an alert.

Decides which kinds of relation carry a fault, and how well (`TABLE`). Edges are followed from the
alerting object outwards and computed when asked; nothing here looks at whether something is broken.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from services.context_api.domain.dependencies import Dependencies
from services.context_api.domain.doors import doors
from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import (
    WORKLOADS,
    at,
    entries,
    flat,
    is_custom,
    mapping,
    number,
    selects,
    strings,
    text,
)
from services.context_api.domain.platforms import Platforms
from services.context_api.domain.snapshot import Body, KubeObject
from services.context_api.domain.uses import CLAIM, used_by, uses

TABLE: dict[str, float] = {
    "owner": 1.0,
    "selects": 0.95,
    "backend": 0.95,
    "door": 0.95,
    "scales": 0.9,
    "protects": 0.9,
    "config": 0.8,
    "secret": 0.8,
    "volume": 0.85,
    "account": 0.6,
    "class": 0.8,
    "node": 0.6,
    "heard": 0.9,
    "named": 0.7,
    "contains": 0.9,
    "owned": 0.9,
    "refers": 0.85,
    "applies": 0.85,
    "made": 0.75,
    "shared": 0.6,
    "led": 0.6,
    "carried": 0.6,
}
"""How well a fault at the far end explains a fault here, by relation alone; `docs/triage.md` says why."""

ROUTES = (
    "Ingress",
    "Route",
    "HTTPRoute",
    "GRPCRoute",
    "TCPRoute",
    "TLSRoute",
    "VirtualService",
    "IngressRoute",
)
"""Kinds that lead traffic to Services."""


@dataclass(frozen=True, slots=True)
class Edge:
    """`to` is needed by the object that was asked about."""

    to: KubeObject
    relation: str
    how: str

    @property
    def strength(self) -> float:
        return TABLE[self.relation]


class Needs:
    """Edges per object, computed once when asked."""

    def __init__(self, graph: Graph, deps: Dependencies, platforms: Platforms | None = None) -> None:
        self._graph, self._deps = graph, deps
        self._platforms = platforms or Platforms(graph)
        self._known: dict[int, list[Edge]] = {}

    def of(self, obj: KubeObject) -> list[Edge]:
        """What `obj` needs, each object once, by its strongest relation."""
        if id(obj) not in self._known:
            self._known[id(obj)] = _strongest(obj, self._edges(obj))
        return self._known[id(obj)]

    def whole(self, obj: KubeObject) -> list[Edge]:
        """The same, and what else runs on a node or lies in a namespace: of interest only to who asks about it."""
        match obj.kind:
            case "Node":
                return _strongest(obj, itertools.chain(self._on_node(obj), self.of(obj)))
            case "Namespace":
                return _strongest(obj, itertools.chain(self._inside(obj), self.of(obj)))
        return self.of(obj)

    def scalers(self, workload: KubeObject) -> list[KubeObject]:
        """Custom resources that say they scale this workload (`spec.scaleTargetRef`), of whatever kind."""
        return self._scalers.get((workload.kind, workload.namespace, workload.name), [])

    @cached_property
    def _scalers(self) -> dict[tuple[str, str | None, str], list[KubeObject]]:
        index: dict[tuple[str, str | None, str], list[KubeObject]] = {}
        for obj in self._graph.snapshot.objects:
            target = mapping(obj.spec.get("scaleTargetRef")) if is_custom(obj) else {}
            if target:
                key = (text(target.get("kind")) or "Deployment", obj.namespace, text(target.get("name")))
                index.setdefault(key, []).append(obj)
        return index

    def _edges(self, obj: KubeObject) -> Iterator[Edge]:
        top = self._graph.top(obj)
        if top is not obj:
            yield Edge(top, "owner", f"{top.kind} {top.name} owns {obj.kind} {obj.name}")
        match obj.kind:
            case "Service":
                yield from (
                    Edge(w, "selects", f"Service {obj.name} selects its pods")
                    for w in self._graph.behind(obj)
                )
                yield from (
                    Edge(route, "led", f"{route.kind} {route.name} leads to it")
                    for route in self._routes.get((obj.namespace, obj.name), [])
                )
            case kind if kind in ROUTES:
                yield from self._backends(obj)
                yield from self._doors(obj)
            case "Gateway":
                yield from self._doors(obj)
            case "HorizontalPodAutoscaler" | "ScaledObject" | "VerticalPodAutoscaler":
                yield from self._scaled(obj)
            case "PodDisruptionBudget":
                yield from self._protected(obj)
            case "PersistentVolumeClaim":
                yield from self._volume(obj)
            case _:
                pass
        yield from self._of_platforms(obj)
        if top is not obj and obj.kind == "Pod":
            yield from self._places(obj)  # what its template needs, its owner needs
            return
        workloads = self._graph.workloads_of(obj)
        for workload in workloads:
            if workload is not obj and obj.kind not in WORKLOADS:
                yield Edge(workload, "owned", f"{obj.kind} {obj.name} owns it")
            yield from self._of_workload(workload)
        if workloads and obj.kind != "Pod":
            for service in self._graph.services_in(obj.namespace):
                if service.spec.get("selector") and obj in self._deps.behind(service):
                    yield Edge(service, "led", f"Service {service.name} leads to its pods")
        if workloads:
            yield from self._dependencies(obj)
            yield from self._places(obj)

    def _of_platforms(self, obj: KubeObject) -> Iterator[Edge]:
        for link in self._platforms.needs(obj):
            yield Edge(link.to, "refers", f"{obj.kind} {obj.name} names it ({link.where})")
        for link in self._platforms.makes(obj):
            yield Edge(link.to, "applies", f"{obj.kind} {obj.name} writes it ({link.where})")
        for maker in self._platforms.makers(obj):
            yield Edge(maker, "made", f"{maker.kind} {maker.name} writes {obj.kind} {obj.name}")
        if obj.kind in WORKLOADS:
            for stream in self._platforms.streams(obj):
                yield Edge(stream, "refers", f"{obj.kind} {obj.name} runs its newest image")

    def _of_workload(self, workload: KubeObject) -> Iterator[Edge]:
        relations = {
            "ConfigMap": "config",
            "Secret": "secret",
            CLAIM: "volume",
            "ServiceAccount": "account",
        }
        for use, found in used_by(self._graph, workload, *relations):
            yield Edge(found, relations[use.kind], f"{workload.kind} {workload.name} uses it ({use.where})")

    def _dependencies(self, top: KubeObject) -> Iterator[Edge]:
        for said in self._deps.spoken(top):
            if said.found is not None and said.host is not None:
                yield Edge(
                    said.found, "heard", f"the log of {top.kind} {top.name} complains about {said.host.name}"
                )
        for mention in self._deps.configured(top):
            if mention.found is not None:
                yield Edge(mention.found, "named", f"{mention.where} names {mention.host.name}")

        if self._deps.astray(top):
            for carrier in self._deps.carriers:
                yield Edge(
                    carrier, "carried", f"it carries the calls of {top.kind} {top.name} that go astray"
                )

    def _places(self, top: KubeObject) -> Iterator[Edge]:
        for pod in self._graph.pods_of(top):
            node = self._graph.get("Node", None, text(pod.spec.get("nodeName")))
            if node is not None:
                yield Edge(node, "node", f"pod {pod.name} runs on it")
            for use, claim in used_by(self._graph, pod, CLAIM):
                yield Edge(claim, "volume", f"pod {pod.name} uses it ({use.where})")

    @cached_property
    def _routes(self) -> dict[tuple[str | None, str], list[KubeObject]]:
        """Routes by the Services they send traffic to."""
        index: dict[tuple[str | None, str], list[KubeObject]] = {}
        for kind in ROUTES:
            for route in self._graph.snapshot.of_kind(kind):
                for backend in backends(route):
                    index.setdefault((backend.namespace, backend.service), []).append(route)
        return index

    def _backends(self, obj: KubeObject) -> Iterator[Edge]:
        for backend in backends(obj):
            service = self._graph.get("Service", backend.namespace, backend.service)
            if service is not None:
                yield Edge(service, "backend", f"{obj.kind} {obj.name} sends traffic to it")
        for tls in entries(obj.spec.get("tls")):
            secret = self._graph.get("Secret", obj.namespace, text(tls.get("secretName")))
            if secret is not None:
                yield Edge(secret, "secret", f"{obj.kind} {obj.name} serves its certificate")

    def _doors(self, obj: KubeObject) -> Iterator[Edge]:
        for door in doors(self._graph, obj):
            yield Edge(door, "door", f"{obj.kind} {obj.name} is reached through it")

    def _scaled(self, obj: KubeObject) -> Iterator[Edge]:
        reference = mapping(obj.spec.get("scaleTargetRef")) or mapping(obj.spec.get("targetRef"))
        target = self._graph.get(
            text(reference.get("kind")) or "Deployment", obj.namespace, text(reference.get("name"))
        )
        if target is not None:
            yield Edge(self._graph.top(target), "scales", f"{obj.kind} {obj.name} scales it")

    def _protected(self, obj: KubeObject) -> Iterator[Edge]:
        seen: set[int] = set()
        for pod in self._graph.pods_in(obj.namespace):
            if selects(obj.spec.get("selector"), flat(pod.labels)):
                top = self._graph.top(pod)
                if id(top) not in seen:
                    seen.add(id(top))
                    yield Edge(top, "protects", f"PodDisruptionBudget {obj.name} selects its pods")

    def _volume(self, obj: KubeObject) -> Iterator[Edge]:
        volume = self._graph.get("PersistentVolume", None, text(obj.spec.get("volumeName")))
        if volume is not None:
            yield Edge(volume, "volume", f"claim {obj.name} is bound to it")
        # Of a claim for one node, others that mount it (a backup) read what its owner writes.
        many = {"ReadWriteMany", "ReadOnlyMany"} & set(strings(obj.spec.get("accessModes")))
        for pod in self._graph.pods_in(obj.namespace) if many else ():
            if uses(pod, CLAIM, obj.name):
                yield Edge(self._graph.top(pod), "shared", f"its pod {pod.name} mounts claim {obj.name} too")
        source = self._platforms.source_of(obj)
        if source is not None:
            yield Edge(source, "refers", f"claim {obj.name} is filled from it")
        storage = self._graph.get("StorageClass", None, text(obj.spec.get("storageClassName")))
        if storage is not None:
            yield Edge(storage, "class", f"claim {obj.name} asks for it")

    def _on_node(self, obj: KubeObject) -> Iterator[Edge]:
        for pod in self._graph.pods_on(obj.name):
            yield Edge(self._graph.top(pod), "contains", f"its pod {pod.name} runs on node {obj.name}")

    def _inside(self, obj: KubeObject) -> Iterator[Edge]:
        for other in self._graph.snapshot.objects:
            if other.namespace == obj.name:
                yield Edge(other, "contains", f"it lies in namespace {obj.name}")


def _strongest(obj: KubeObject, edges: Iterable[Edge]) -> list[Edge]:
    best: dict[int, Edge] = {}
    for edge in edges:
        held = best.get(id(edge.to))
        if edge.to is not obj and (held is None or held.strength < edge.strength):
            best[id(edge.to)] = edge
    return list(best.values())


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a route sends traffic."""

    namespace: str | None
    service: str
    port: int | str
    """By number or name; 0 when the route names none."""


def backends(obj: KubeObject) -> Iterator[Backend]:
    """The Services an Ingress, Route, HTTPRoute or VirtualService sends traffic to."""
    for raw in _raw_backends(obj.spec):
        service = mapping(raw.get("service"))
        destination = mapping(raw.get("destination"))
        host = text(destination.get("host"))
        if host:
            labels = host.split(".")
            yield Backend(
                labels[1] if len(labels) > 1 else obj.namespace,
                labels[0],
                number(at(destination, "port", "number")),
            )
            continue
        name = text(service.get("name")) or text(raw.get("serviceName")) or text(raw.get("name"))
        if name and text(raw.get("kind") or "Service") == "Service":
            port = (
                at(service, "port", "number")
                or at(service, "port", "name")
                or raw.get("servicePort")
                or raw.get("port")
            )
            if obj.kind == "Route":
                port = at(obj.spec, "port", "targetPort")
            yield Backend(
                text(raw.get("namespace")) or obj.namespace, name, port if isinstance(port, int | str) else 0
            )


def _raw_backends(spec: Body) -> Iterator[Body]:
    for field in ("defaultBackend", "backend", "to"):
        if mapping(spec.get(field)):
            yield mapping(spec[field])
    yield from entries(spec.get("alternateBackends"))
    for rule in entries(spec.get("rules")):
        for path in entries(mapping(rule.get("http")).get("paths")):
            yield mapping(path.get("backend"))
        yield from _served(entries(rule.get("backendRefs")))
    for protocol in ("http", "tcp", "tls"):
        for rule in entries(spec.get(protocol)):
            yield from _served(entries(rule.get("route")))
    for route in entries(spec.get("routes")):
        yield from _served(entries(route.get("services")))


def _served(backends: list[Body]) -> list[Body]:
    """Those that get traffic: one of weight 0 gets none beside others (a canary at rest).

    Where all have weight 0 none is left out: then it is the weights that are wrong.
    """
    weighed = [one for one in backends if one.get("weight") != 0]
    return weighed or backends
