"""Gateway API routes that no gateway takes, and gateways that cannot serve.

Sees a route's parents beside the Gateways there are: a Gateway that does not exist, a listener it does not have, a
namespace or a hostname the listener does not let in, a backend in another namespace without a ReferenceGrant (or with
one that was meant for it and names another namespace); and of a Gateway a class nobody serves and a certificate that
does not exist or that no grant lets it use. Backends and ports are judged by
`traffic_route`, the conditions that the implementation writes by `unhealthy_condition`. Where another gateway
takes the route, one that is gone is a leftover: latent.
Cannot see the proxy's own state, nor parents of other kinds than Gateway (a mesh's Services).

Rests on: gateway-api.sigs.k8s.io, "HTTPRoute", "Gateway" (listeners, allowedRoutes) and "ReferenceGrant".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import applied_changes, last_edit
from services.context_api.domain.edges import backends
from services.context_api.domain.kube import (
    at,
    entries,
    flat,
    listing,
    mapping,
    number,
    selects,
    strings,
    text,
)
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.platforms import walk
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import Body, KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "gateway_route"
GROUP = "gateway.networking.k8s.io"
ROUTES = ("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute")


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per route or gateway and thing that is wrong with it."""
    for kind in ROUTES:
        for route in scene.snapshot.of_kind(kind):
            if route.group == GROUP and not route.metadata.get("deletionTimestamp"):
                yield from _parents(scene, route)
                yield from _grants(scene, route, "rules[].backendRefs[]", "Service")
    for gateway in scene.snapshot.of_kind("Gateway"):
        if gateway.group == GROUP and not gateway.metadata.get("deletionTimestamp"):
            yield from _gateway(scene, gateway)
            yield from _grants(scene, gateway, "listeners[].tls.certificateRefs[]", "Secret")


def _parents(scene: Scene, route: KubeObject) -> Iterator[Observation]:
    """What keeps parents from taking the route; a gateway that is gone is latent where another one takes it."""
    found = list(_not_taken(scene, route))
    parents = [
        p for p in entries(route.spec.get("parentRefs")) if text(p.get("kind") or "Gateway") == "Gateway"
    ]
    for one in found:
        left_over = one.reason == "GatewayNotFound" and len(found) < len(parents)
        yield replace(one, latent=True) if left_over else one


def _not_taken(scene: Scene, route: KubeObject) -> Iterator[Observation]:
    gateways = [g for g in scene.snapshot.of_kind("Gateway") if g.group == GROUP]
    for parent in entries(route.spec.get("parentRefs")):
        if text(parent.get("kind") or "Gateway") != "Gateway":
            continue
        space, name = text(parent.get("namespace")) or route.namespace, text(parent.get("name"))
        gateway = next((g for g in gateways if g.namespace == space and g.name == name), None)
        if gateway is None:
            if gateways:
                known = listing([f"{g.namespace}/{g.name}" for g in gateways], 4)
                yield _observation(
                    route,
                    "GatewayNotFound",
                    f"{name_of(route)} wants to hang on Gateway {space}/{name}, which does not exist; there are {known}",
                    0.9,
                    _cut_off(scene, route),
                )
            continue
        refusal = _refusal(scene, route, gateway, parent)
        if refusal is not None:
            yield _refused(scene, route, gateway, *refusal)


def _refusal(scene: Scene, route: KubeObject, gateway: KubeObject, parent: Body) -> tuple[str, str] | None:
    """(reason, words) when none of the gateway's listeners takes the route."""
    listeners = entries(gateway.spec.get("listeners"))
    section, port = text(parent.get("sectionName")), number(parent.get("port"))
    fitting = [
        li
        for li in listeners
        if (not section or li.get("name") == section) and (not port or number(li.get("port")) == port)
    ]
    if not listeners:
        return None
    if not fitting:
        asked = f"listener `{section}`" if section else f"a listener on port {port}"
        has = listing([f"{text(li.get('name'))}:{number(li.get('port'))}" for li in listeners], 5)
        return "ListenerNotFound", f"asks for {asked} of {name_of(gateway)}, which has {has}"
    open_to = [li for li in fitting if _lets_in(scene, li, gateway, route)]
    if not open_to:
        rule = text(at(fitting[0], "allowedRoutes", "namespaces", "from")) or "Same"
        wanted = mapping(at(fitting[0], "allowedRoutes", "namespaces", "selector"))
        words = f"lies in namespace {route.namespace}, and {name_of(gateway)} takes routes only from "
        words += (
            f"namespaces with {flat(wanted.get('matchLabels'))}"
            if rule == "Selector"
            else f"its own namespace {gateway.namespace}"
        )
        return "RouteNamespaceNotAllowed", words
    hosts = strings(route.spec.get("hostnames"))
    if hosts and not any(hosts_meet(text(li.get("hostname")), h) for li in open_to for h in hosts):
        served = listing(sorted({text(li.get("hostname")) for li in open_to}), 4)
        return "HostnameNotServed", f"is for {listing(hosts, 4)}, and {name_of(gateway)} listens for {served}"
    return None


def _lets_in(scene: Scene, listener: Body, gateway: KubeObject, route: KubeObject) -> bool:
    rule = mapping(at(listener, "allowedRoutes", "namespaces"))
    match text(rule.get("from")) or "Same":
        case "All":
            return True
        case "Selector":
            place = scene.graph.get("Namespace", None, route.namespace or "")
            labels = {
                "kubernetes.io/metadata.name": route.namespace or "",
                **(flat(place.labels) if place else {}),
            }
            return selects(rule.get("selector"), labels)
        case "None":
            return False
        case _:
            return route.namespace == gateway.namespace


def hosts_meet(listened: str, wanted: str) -> bool:
    """Whether a hostname and a listener's overlap; `*.example.com` stands for any labels in front."""
    if not listened or listened == wanted:
        return True
    if listened.startswith("*."):
        return wanted.removeprefix("*").endswith(listened[1:])
    return wanted.startswith("*.") and listened.endswith(wanted[1:])


def _refused(scene: Scene, route: KubeObject, gateway: KubeObject, reason: str, words: str) -> Observation:
    """The route's fault, unless the gateway is what was changed last."""
    edit, mine = last_edit(gateway), last_edit(route)
    changed = edit is not None and any(p.startswith("spec") for p in edit.paths)
    since = mine.at if mine is not None else route.created_at
    culprit = gateway if changed and edit is not None and (since is None or edit.at > since) else route
    told = f"{name_of(route)} {words}, so no listener takes it"
    if culprit is gateway and edit is not None:
        told += f"; {name_of(gateway)} was edited at {clock(edit.at)} by {edit.by}"
    turned = (Explains(route, 0.92, f"{name_of(gateway)} does not take it"),) if culprit is gateway else ()
    return _observation(culprit, reason, told, 0.9, (*turned, *_cut_off(scene, route)))


def _cut_off(scene: Scene, route: KubeObject, *, only: KubeObject | None = None) -> tuple[Explains, ...]:
    """The Services that nobody reaches through the route, and what stands behind them: well, and idle."""
    services = [scene.graph.get("Service", b.namespace, b.service) for b in backends(route)]
    found = [s for s in services if s is not None and only in (None, s)]
    why = f"{route.kind} {route.name} should lead to it"
    idle = {id(top): top for s in found for top in scene.graph.behind(s)}
    return (
        *(Explains(s, 0.85, why) for s in found),
        *(Explains(top, 0.8, why, reasons=frozenset()) for top in idle.values()),
    )


def _grants(scene: Scene, user: KubeObject, path: str, kind: str) -> Iterator[Observation]:
    """Objects in other namespaces that no ReferenceGrant there lets a route or a gateway use.

    The fault is the grant's where one is meant for this use and names a namespace that does not exist, or was
    edited after the user was.
    """
    told: set[tuple[str, str]] = set()
    for reference in walk(user.spec, path):
        entry = mapping(reference)
        space, name = text(entry.get("namespace")), text(entry.get("name"))
        used = scene.graph.get(kind, space, name) if text(entry.get("kind") or kind) == kind else None
        if not space or space == user.namespace or used is None or (space, name) in told:
            continue
        told.add((space, name))
        here = [g for g in scene.snapshot.of_kind("ReferenceGrant", space) if _covers(g, kind, name)]
        meant = [(g, froms) for g in here if (froms := _froms(g, user))]
        if any(user.namespace in froms for _, froms in meant):
            continue
        lost = (Explains(used, 0.85, f"{name_of(user)} may not use it"),) if kind != "Service" else _cut_off(scene, user, only=used)  # fmt: skip
        words = f"{name_of(user)} uses {kind} {space}/{name} across namespaces, and no ReferenceGrant in namespace {space} lets {user.kind}s of namespace `{user.namespace}` do so"
        culprit = next(((g, froms) for g, froms in meant if _strayed(scene, g, froms, user)), None)
        if culprit is None:
            others = listing([f"{name_of(g)} lets in those of {listing(froms, 3)}" for g, froms in meant], 2)
            yield _observation(
                user, "ReferenceNotGranted", words + (f"; {others}" if others else ""), 0.85, lost
            )
            continue
        grant, froms = culprit
        absent = [f for f in froms if _absent(scene, f)]
        words += f": {name_of(grant)} lets in those of namespace {listing([f'`{f}`' for f in froms], 3)}"
        words += f", and there is no namespace `{absent[0]}`" if absent else ""
        refused = Explains(user, 0.92, f"{name_of(grant)} does not let it")
        yield _observation(grant, "ReferenceNotGranted", words, 0.92 if absent else 0.88, (refused, *lost))


def _covers(grant: KubeObject, kind: str, name: str) -> bool:
    return any(
        text(t.get("kind")) == kind and text(t.get("name")) in ("", name)
        for t in entries(grant.spec.get("to"))
    )


def _froms(grant: KubeObject, user: KubeObject) -> list[str]:
    """Namespaces from which a grant lets in objects of the user's kind."""
    return [text(f.get("namespace")) for f in entries(grant.spec.get("from")) if text(f.get("kind")) == user.kind]  # fmt: skip


def _absent(scene: Scene, namespace: str) -> bool:
    """Whether a namespace does not exist, in a recording that holds namespaces."""
    recorded = next(scene.snapshot.of_kind("Namespace"), None) is not None
    return recorded and scene.graph.get("Namespace", None, namespace) is None


def _strayed(scene: Scene, grant: KubeObject, froms: list[str], user: KubeObject) -> bool:
    """Whether a grant was to let the user in: it names nobody else, or was edited since, away from it where that is told."""
    if any(_absent(scene, f) for f in froms):
        return True
    edit, mine = last_edit(grant), last_edit(user)
    since = mine.at if mine is not None else user.created_at
    if edit is None or not any(p.startswith("spec") for p in edit.paths) or (since and edit.at <= since):
        return False
    known = applied_changes(grant, edit)
    return not known or any(user.namespace in change.before for change in known if user.namespace)


def _gateway(scene: Scene, gateway: KubeObject) -> Iterator[Observation]:
    wanted = text(gateway.spec.get("gatewayClassName"))
    classes = sorted(c.name for c in scene.snapshot.of_kind("GatewayClass"))
    if wanted and classes and wanted not in classes:
        yield _observation(
            gateway,
            "GatewayClassNotFound",
            f"{name_of(gateway)} asks for GatewayClass `{wanted}`; there are {listing(classes)}",
            0.9,
        )
    for reference in walk(gateway.spec, "listeners[].tls.certificateRefs[]"):
        space, name = (
            text(mapping(reference).get("namespace")) or gateway.namespace,
            text(mapping(reference).get("name")),
        )
        recorded = any(True for _ in scene.snapshot.of_kind("Secret", space))
        if (
            text(mapping(reference).get("kind") or "Secret") == "Secret"
            and recorded
            and scene.graph.get("Secret", space, name) is None
        ):
            yield _observation(
                gateway,
                "TlsSecretNotFound",
                f"{name_of(gateway)} serves the certificate of Secret {space}/{name}, which does not exist",
                0.85,
            )


def _observation(
    about: KubeObject, reason: str, words: str, certainty: float, explains: tuple[Explains, ...] = ()
) -> Observation:
    edit = last_edit(about)
    return Observation(
        about=about,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(evidence.field(about, "spec", dict(about.spec), words),),
        basis=("the route's and the gateway's spec beside each other",),
        onset=edit.at if edit is not None else about.created_at,
        remediation=remedies.edit(about, f"Let {name_of(about)} and what it names fit together."),
        explains=explains,
    )
