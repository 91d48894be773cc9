"""Rules of an Istio mesh that send traffic nowhere: subsets, gateways, hosts.

Sees VirtualServices whose subset no DestinationRule defines or no pod carries, gateways that are not there or select
no pod, and DestinationRules for Services that do not exist. Rules that refuse are told by `mesh_policy`.
Cannot see EnvoyFilters, nor what the proxies were really sent.

Rests on: istio.io/latest/docs, "Virtual Service", "Destination Rule", "Gateway", "Traffic Management Problems" and the
analysis messages IST0101, IST0104 and IST0173.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from services.context_api.domain import evidence
from services.context_api.domain.analyzers.gateway_route import hosts_meet
from services.context_api.domain.changes import last_edit
from services.context_api.domain.kube import (
    at,
    entries,
    flat,
    listing,
    mapping,
    number,
    show_labels,
    strings,
    template_labels,
    text,
)
from services.context_api.domain.logs import quote
from services.context_api.domain.mesh import (
    NETWORKING,
    ROOT,
    Complaint,
    complaints_in,
    each_once,
    in_force,
    in_use,
    plain,
    rules_of,
    service_of,
    supported,
)
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.platforms import walk
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of

NAME = "mesh_route"


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per rule that leads nowhere."""
    if in_use(scene):
        yield from each_once(_broken(scene, list(complaints_in(scene, seen))))


def _broken(scene: Scene, complaints: Sequence[Complaint]) -> Iterator[Observation]:
    rules = rules_of(scene, NETWORKING, "DestinationRule")
    gateways = rules_of(scene, NETWORKING, "Gateway")
    for virtual in rules_of(scene, NETWORKING, "VirtualService"):
        yield from _subsets(scene, virtual, rules, complaints)
        yield from _gateways(virtual, gateways)
        yield from _hosts(virtual, gateways)
    for rule in rules:
        yield from _unknown_host(scene, rule)
    for gateway in gateways:
        yield from _gateway_pods(scene, gateway)


def _subsets(
    scene: Scene, virtual: KubeObject, rules: Sequence[KubeObject], complaints: Sequence[Complaint]
) -> Iterator[Observation]:
    for protocol in ("http", "tcp", "tls"):
        for route in walk(virtual.spec, f"{protocol}[].route[]"):
            destination = mapping(mapping(route).get("destination"))
            host, subset = text(destination.get("host")), text(destination.get("subset"))
            idle = "weight" in mapping(route) and not number(mapping(route).get("weight"))
            service = service_of(scene, host, virtual.namespace)
            if not subset or service is None or idle:
                continue
            mine = [r for r in rules if service_of(scene, text(r.spec.get("host")), r.namespace) is service]
            chosen = [
                (r, s) for r in mine for s in entries(r.spec.get("subsets")) if text(s.get("name")) == subset
            ]
            if not chosen:
                has = sorted({text(s.get("name")) for r in mine for s in entries(r.spec.get("subsets"))})
                words = f"{name_of(virtual)} sends traffic to subset `{subset}` of {name_of(service)}, which no DestinationRule defines"
                words += (
                    f"; {listing([name_of(r) for r in mine], 2)} define{'s' if len(mine) == 1 else ''} {listing(has, 6) or 'no subset'}"
                    if mine
                    else ""
                )
                yield _astray(scene, virtual, "SubsetNotDefined", words, 0.9, service, complaints)
                continue
            rule, entry = chosen[0]
            labels = {**flat(service.spec.get("selector")), **flat(entry.get("labels"))}
            if scene.graph.pods_with(service.namespace, labels) or not scene.graph.pods_in(service.namespace):
                continue
            yield _empty_subset(scene, virtual, rule, subset, flat(entry.get("labels")), service, complaints)


def _empty_subset(
    scene: Scene,
    virtual: KubeObject,
    rule: KubeObject,
    subset: str,
    labels: dict[str, str],
    service: KubeObject,
    complaints: Sequence[Complaint],
) -> Observation:
    """The rule's fault; the route's when it was edited after the rule and sends traffic to a version not there yet."""
    has = sorted(
        {
            show_labels({k: v for k, v in template_labels(w).items() if k in labels})
            for w in scene.graph.workloads_with(service.namespace, flat(service.spec.get("selector")))
        }
        - {""}
    )
    words = (
        f"Subset `{subset}` of {name_of(rule)} selects pods with `{show_labels(labels)}`, and no pod of {name_of(service)} carries that"
        + (f" (they carry {listing(has, 4)})" if has else "")
        + f"; {name_of(virtual)} sends traffic to it"
    )
    route, subsets = last_edit(virtual), last_edit(rule)
    moved = route is not None and (subsets is None or subsets.at < route.at)
    return _astray(
        scene, virtual if moved else rule, "SubsetWithoutPods", words, 0.9, service, complaints,
        [rule] if moved else [virtual],
    )  # fmt: skip


def _gateways(virtual: KubeObject, gateways: Sequence[KubeObject]) -> Iterator[Observation]:
    known = {f"{g.namespace}/{g.name}" for g in gateways}
    for wanted in strings(virtual.spec.get("gateways")):
        full = wanted if "/" in wanted else f"{virtual.namespace}/{wanted}"
        if wanted != "mesh" and full not in known and known:
            words = f"{name_of(virtual)} hangs on Gateway {full}, which does not exist; there are {listing(sorted(known), 4)}"
            yield plain(NAME, virtual, "GatewayNotFound", words, 0.9)


def _hosts(virtual: KubeObject, gateways: Sequence[KubeObject]) -> Iterator[Observation]:
    """A VirtualService on a gateway none of whose servers listens for its hosts."""
    wanted, hosts = strings(virtual.spec.get("gateways")), strings(virtual.spec.get("hosts"))
    full = {w if "/" in w else f"{virtual.namespace}/{w}" for w in wanted}
    mine = [g for g in gateways if f"{g.namespace}/{g.name}" in full]
    served = [h for g in mine for s in entries(g.spec.get("servers")) for h in strings(s.get("hosts"))]
    if not mine or "mesh" in wanted or not served or not hosts:
        return
    if not any(hosts_meet(_bare(s), h) for s in served for h in hosts):
        words = f"{name_of(virtual)} is for {listing(hosts, 4)}, and {listing([name_of(g) for g in mine], 2)} listens for {listing(sorted(set(served)), 4)}"
        yield plain(NAME, virtual, "HostnameNotServed", words, 0.88)


def _bare(host: str) -> str:
    """A gateway's host without the namespace in front; `*` takes every name."""
    name = host.rpartition("/")[2]
    return "" if name == "*" else name


def _unknown_host(scene: Scene, rule: KubeObject) -> Iterator[Observation]:
    host = text(rule.spec.get("host"))
    place = scene.graph.names.place(host, rule.namespace) if host and "*" not in host else None
    external = {h for e in rules_of(scene, NETWORKING, "ServiceEntry") for h in strings(e.spec.get("hosts"))}
    if place is None or host in external or not scene.graph.services_in(place[0]):
        return
    if scene.graph.names.service(*place) is None:
        near = scene.graph.names.similar(*place)
        hint = f"; there is {name_of(near)}" if near is not None else ""
        words = f"{name_of(rule)} is for host `{host}`, and there is no Service {place[0]}/{place[1]}{hint}: it applies to nothing"
        yield plain(NAME, rule, "DestinationHostNotFound", words, 0.75, latent=True)


def _gateway_pods(scene: Scene, gateway: KubeObject) -> Iterator[Observation]:
    """A Gateway that no proxy serves, or whose certificate is not where its proxies look."""
    labels = flat(gateway.spec.get("selector"))
    proxies = [p for p in scene.graph.pods if labels and labels.items() <= flat(p.labels).items()]
    if labels and not proxies and any(p.namespace == ROOT for p in scene.graph.pods):
        words = f"{name_of(gateway)} selects proxies with `{show_labels(labels)}`, and no pod carries that"
        yield plain(NAME, gateway, "GatewayWithoutPods", words, 0.88)
    for server in entries(gateway.spec.get("servers")):
        name = text(at(server, "tls", "credentialName"))
        homes = {p.namespace for p in proxies}
        recorded = {s.namespace for s in scene.graph.of_kind("Secret")}
        if (
            name
            and homes
            and homes <= recorded
            and not any(scene.graph.get("Secret", h, name) for h in homes)
        ):
            words = f"{name_of(gateway)} serves the certificate of Secret {name}, which does not exist in {listing(sorted(h or '' for h in homes))}, where its proxies run"
            yield plain(NAME, gateway, "TlsSecretNotFound", words, 0.88)


def _astray(
    scene: Scene,
    rule: KubeObject,
    reason: str,
    words: str,
    certainty: float,
    service: KubeObject,
    complaints: Sequence[Complaint],
    others: Sequence[KubeObject] = (),
) -> Observation:
    clients = {id(c.client): c.client for c in complaints if c.service is service}
    lines = [c.said for c in complaints if c.service is service][:1]
    words += f"; a client's log: `{quote(lines[0].line)}`" if lines else ""
    why = f"{rule.kind} {rule.name} sends its traffic nowhere"
    explains = [Explains(t, 0.93, why, deepest=Depth.process) for t in clients.values()]
    explains += [Explains(o, 0.9, why) for o in (service, *others)]
    facts = tuple(evidence.log_line(s.pod, s.container, s.line, s.count) for s in lines)
    return supported(plain(NAME, rule, reason, words + in_force(rule), certainty), tuple(explains), facts)
