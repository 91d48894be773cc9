"""Ingresses, routes and gateway routes that lead nowhere: a Service that is not there, a port it does not serve.

Sees backends and ports of Ingress, Route, HTTPRoute and VirtualService beside the Services there are, TLS secrets
that do not exist, classes nobody serves (or none named where none is the default: latent), gateways and gateway classes
that do not exist. What is wrong behind an existing Service is told about that; refusals by a gateway's listeners stand
in conditions (`unhealthy_condition`). Cannot see the proxy's own state.

Rests on: https://kubernetes.io/docs/concepts/services-networking/ingress/ (class, default class, tls),
https://gateway-api.sigs.k8s.io/api-types/httproute/ (parentRefs); docs.openshift.com, "Routes"; istio.io, "Virtual Service".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.edges import Backend, backends
from services.context_api.domain.kube import at, entries, listing, number, text
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of

NAME = "traffic_route"
_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
KINDS = (
    "Ingress",
    "Route",
    "HTTPRoute",
    "GRPCRoute",
    "TCPRoute",
    "TLSRoute",
    "VirtualService",
    "IngressRoute",
)


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per route and thing that is wrong with it."""
    for route in scene.graph.of_kind(*KINDS):
        if route.metadata.get("deletionTimestamp"):
            continue
        for backend in {(b.namespace, b.service, b.port): b for b in backends(route)}.values():
            yield from _backend(scene, route, backend)
        yield from _certificates(scene, route)
        yield from _class(scene, route)
        yield from _gateways(scene, route)
    for gateway in scene.graph.of_kind("Gateway"):
        yield from _gateway_class(scene, gateway)


def _backend(scene: Scene, route: KubeObject, backend: Backend) -> Iterator[Observation]:
    service = scene.graph.get("Service", backend.namespace, backend.service)
    if service is None:
        if not scene.graph.services_in(backend.namespace):
            return  # the namespace's Services were not recorded
        near = scene.graph.names.similar(backend.namespace or "", backend.service)
        hint = f"; there is {name_of(near)}" if near is not None else ""
        yield _observation(
            route,
            "BackendServiceNotFound",
            f"{name_of(route)} sends traffic to Service {backend.namespace}/{backend.service}, which does not exist{hint}",
            0.9,
        )
        return
    ports = entries(service.spec.get("ports"))
    served = {number(p.get("port")) for p in ports} | {text(p.get("name")) for p in ports} - {""}
    if route.kind == "Route":
        served |= {number(p.get("targetPort")) for p in ports} | {text(p.get("targetPort")) for p in ports}
    if backend.port and ports and backend.port not in served:
        shown = listing(
            [
                f"{text(p.get('name')) + ':' if text(p.get('name')) else ''}{number(p.get('port'))}"
                for p in ports
            ],
            5,
        )
        yield _observation(
            route,
            "BackendPortNotFound",
            f"{name_of(route)} sends traffic to port {backend.port} of Service {service.namespace}/{service.name}, which serves {shown}",
            0.88,
            explains=(Explains(service, 0.8, f"{route.kind} {route.name} leads past its ports"),),
        )
    elif scene.graph.endpoints(service).ready == 0:
        yield _observation(
            route,
            "BackendWithoutEndpoints",
            f"{name_of(route)} sends traffic to Service {service.namespace}/{service.name}, which has no ready endpoint",
            0.4,
            (Blame(service, 0.95, f"{route.kind} {route.name} sends traffic to it"),),
        )


def _certificates(scene: Scene, route: KubeObject) -> Iterator[Observation]:
    recorded = any(True for _ in scene.snapshot.of_kind("Secret", route.namespace))
    for tls in entries(route.spec.get("tls")):
        name = text(tls.get("secretName"))
        if name and recorded and scene.graph.get("Secret", route.namespace, name) is None:
            yield _observation(
                route,
                "TlsSecretNotFound",
                f"{name_of(route)} serves the certificate of Secret {name}, which does not exist",
                0.8,
            )


def _class(scene: Scene, route: KubeObject) -> Iterator[Observation]:
    name = text(route.spec.get("ingressClassName"))
    classes = [c.name for c in scene.graph.of_kind("IngressClass")]
    if route.kind == "Ingress" and name and classes and name not in classes:
        yield _observation(
            route,
            "IngressClassNotFound",
            f"{name_of(route)} asks for IngressClass `{name}`; there are {listing(sorted(classes))}",
            0.88,
        )
    elif route.kind == "Ingress" and not name and classes and _unclaimed(scene, route):
        words = f"{name_of(route)} names no IngressClass and none is the default ({listing(sorted(classes))}): no controller has taken it"
        yield replace(_observation(route, "IngressClassUnset", words, 0.7), latent=True)


def _unclaimed(scene: Scene, route: KubeObject) -> bool:
    """Whether neither a default class, nor the annotation of old, nor an address says who serves it."""
    default = any(c.annotations.get(_DEFAULT) == "true" for c in scene.graph.of_kind("IngressClass"))
    served = entries(at(route.status, "loadBalancer", "ingress"))
    return not default and not served and "kubernetes.io/ingress.class" not in route.annotations


def _gateways(scene: Scene, route: KubeObject) -> Iterator[Observation]:
    """Parents a gateway route names that are not there."""
    known = [name_of(g) for g in scene.graph.of_kind("Gateway")]
    for parent in entries(route.spec.get("parentRefs")):
        name, space = text(parent.get("name")), text(parent.get("namespace")) or route.namespace
        if not known or text(parent.get("kind") or "Gateway") != "Gateway" or not name:
            continue
        if scene.graph.get("Gateway", space, name) is None:
            words = f"{name_of(route)} belongs to Gateway {space}/{name}, which does not exist; there are {listing(known)}"
            yield _observation(route, "GatewayNotFound", words, 0.88)


def _gateway_class(scene: Scene, gateway: KubeObject) -> Iterator[Observation]:
    name = text(gateway.spec.get("gatewayClassName"))
    known = sorted(c.name for c in scene.graph.of_kind("GatewayClass"))
    if name and known and name not in known and not gateway.metadata.get("deletionTimestamp"):
        words = f"{name_of(gateway)} asks for GatewayClass `{name}`; there are {listing(known)}"
        yield _observation(gateway, "GatewayClassNotFound", words, 0.88)


def _observation(
    route: KubeObject,
    reason: str,
    words: str,
    certainty: float,
    blames: tuple[Blame, ...] = (),
    explains: tuple[Explains, ...] = (),
) -> Observation:
    return Observation(
        about=route,
        reason=reason,
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.symptom if blames else Depth.mechanism,
        certainty=certainty,
        facts=(evidence.field(route, "spec", dict(route.spec), words),),
        basis=("the route's spec beside the Services there are",),
        remediation=remedies.edit(route, f"Correct where {name_of(route)} leads."),
        blames=blames,
        explains=explains,
        # Nothing behind it may be meant (scaled to zero); the blamed Service says whether it is a fault.
        latent=bool(blames),
    )
