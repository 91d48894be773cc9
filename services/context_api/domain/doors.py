"""Who carries the traffic of a route: the controller's Service and workload through which requests come in.

Decides by what the objects themselves publish: a controller writes the addresses of its own Service into the status of
each Ingress and Gateway it serves. Where there are none (a controller on the nodes' own ports), a workload whose arguments
name the route's class, or that class's controller, counts. Whether it is well is not asked here.

Rests on: https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-class,
https://kubernetes.github.io/ingress-nginx/user-guide/cli-arguments/ (--publish-service, --controller-class),
https://gateway-api.sigs.k8s.io/reference/api-types/gateway/ (status.addresses).
"""

from __future__ import annotations

from collections.abc import Iterator

from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import at, containers, entries, is_native, pod_spec, strings, text
from services.context_api.domain.snapshot import KubeObject

_FLAGS = (
    "--ingress-class",
    "--ingress.class",
    "--controller-class",
    "--providers.kubernetesingress.ingressclass",
)
_CLASS = "kubernetes.io/ingress.class"


def doors(graph: Graph, route: KubeObject) -> Iterator[KubeObject]:
    """The Services at the route's own addresses and the workloads behind them; else workloads that serve its class."""
    published = addresses(route)
    services = [
        s for s in graph.of_kind("Service") if is_native(s) and s is not route and published & addresses(s)
    ]
    for service in services:
        yield service
        yield from graph.behind(service)
    if not services and route.kind == "Ingress":
        yield from _of_class(graph, route)


def addresses(obj: KubeObject) -> set[str]:
    """What a status says that it is reached at from outside."""
    balanced = entries(at(obj.status, "loadBalancer", "ingress"))
    found = {text(one.get(field)) for one in balanced for field in ("ip", "hostname")}
    return (found | {text(one.get("value")) for one in entries(obj.status.get("addresses"))}) - {""}


def _of_class(graph: Graph, route: KubeObject) -> Iterator[KubeObject]:
    called = text(route.spec.get("ingressClassName")) or text(route.annotations.get(_CLASS))
    kind = graph.get("IngressClass", None, called) if called else None
    wanted = {called, text(kind.spec.get("controller")) if kind is not None else ""} - {""}
    for workload in graph.workloads if wanted else ():
        for container in containers(pod_spec(workload)):
            given = dict(word.partition("=")[::2] for word in strings(container.get("args")) if "=" in word)
            if any(given.get(flag) in wanted for flag in _FLAGS):
                yield graph.top(workload)
