"""Whether anybody is led to one port of a Service: from outside, by a route, by the API server, by a setting, by a log.

Decides by what names the port, by its number or by its name. A setting that gives no port means the usual one of HTTP, or
the Service's first. Whether anything answers there is not asked.

Rests on: https://kubernetes.io/docs/concepts/services-networking/service/#multi-port-services,
https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#service-reference (443 by default).
"""

from __future__ import annotations

from collections.abc import Iterator

from services.context_api.domain.edges import ROUTES, backends
from services.context_api.domain.kube import at, entries, mapping, number, text
from services.context_api.domain.names import Host
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import Body, KubeObject

_FROM_OUTSIDE = frozenset({"NodePort", "LoadBalancer"})
_HOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
_USUAL = frozenset({80, 443})
_SECURE = 443


def is_led_to(scene: Scene, service: KubeObject, port: Body) -> bool:
    """Whether any door, route, hook, setting or complaint names that entry of the Service's `spec.ports`."""
    if text(service.spec.get("type")) in _FROM_OUTSIDE or service.spec.get("externalIPs"):
        return True
    known = {text(port.get(field)) for field in ("name", "port", "targetPort")} - {""}
    if not known.isdisjoint(_routed(scene, service)):
        return True
    asked = number(port.get("port"))
    first = entries(service.spec.get("ports"))[0] is port
    return any(
        host.port == asked or (host.port is None and (first or asked in _USUAL))
        for host in _named(scene, service)
    )


def _routed(scene: Scene, service: KubeObject) -> Iterator[str]:
    """Ports of it that routes and the API server send requests to, by number or name."""
    for kind in ROUTES:
        for route in scene.snapshot.of_kind(kind):
            for backend in backends(route):
                if (backend.namespace, backend.service) == (service.namespace, service.name):
                    yield str(backend.port)
    called = [
        mapping(at(hook, "clientConfig", "service"))
        for kind in _HOOKS
        for obj in scene.snapshot.of_kind(kind)
        for hook in entries(obj.body.get("webhooks"))
    ]
    called += [mapping(obj.spec.get("service")) for obj in scene.snapshot.of_kind("APIService")]
    for one in called:
        if (text(one.get("namespace")), text(one.get("name"))) == (service.namespace, service.name):
            yield str(number(one.get("port"), _SECURE))


def _named(scene: Scene, service: KubeObject) -> Iterator[Host]:
    """The Service as settings name it, and as logs complain about it."""
    for top in {id(top): top for top in map(scene.graph.top, scene.graph.workloads)}.values():
        yield from (named.host for named in scene.deps.configured(top) if named.found is service)
        for said in scene.deps.spoken(top):
            if said.found is service and said.host is not None:
                yield said.host
