"""Rules of an Istio mesh that send traffic nowhere or refuse it: subsets, gateways, policies, mutual TLS, injected faults.

Sees VirtualServices whose subset no DestinationRule defines or no pod carries, gateways that are not there or select
no pod, and DestinationRules for Services that do not exist. Where a workload's log complains about a Service, it
evaluates what stands between the two: an AuthorizationPolicy that denies (or allows others only), strict mutual TLS
towards a client without a sidecar, a DestinationRule that turns TLS off or on against that, an injected fault, a pool
that overflows. Judges refusals only where somebody complains: a policy that keeps strangers out does its work.
Cannot see JWT claims, EnvoyFilters, external authorizers, nor what the proxies were really sent.

Rests on: istio.io/latest/docs, "Virtual Service", "Destination Rule", "Authorization Policy", "PeerAuthentication",
"Traffic Management Problems" and the analysis messages IST0101, IST0104 and IST0173.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.analyzers.gateway_route import hosts_meet
from services.context_api.domain.changes import last_edit
from services.context_api.domain.dependencies import Spoken
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import (
    at,
    containers,
    entries,
    flat,
    listing,
    mapping,
    number,
    pod_spec,
    show_labels,
    strings,
    template_labels,
    text,
)
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.platforms import walk
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import Body, KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "mesh_rule"
ROOT = "istio-system"
"""The mesh's root namespace unless it was set to another; policies in it are for the whole mesh."""

_NETWORKING, _SECURITY = "networking.istio.io", "security.istio.io"
_DENIED = re.compile(r"RBAC: access denied|\b403\b|forbidden|permission denied", re.IGNORECASE)
_RESET = re.compile(
    r"reset|\bEOF\b|disconnect|upstream connect error|connection (?:closed|terminat)|WRONG_VERSION_NUMBER|TLS error|broken pipe",
    re.IGNORECASE,
)
_FAULT = re.compile(r"fault filter abort|\b5\d\d\b|time[d ]?-?out|deadline", re.IGNORECASE)
_OVERFLOW = re.compile(r"overflow|circuit break|\bUO\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Complaint:
    """Somebody's log line about a Service of the mesh."""

    client: KubeObject
    service: KubeObject
    said: Spoken


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per rule that leads nowhere, and per rule that refuses what somebody misses."""
    if not any(o.group in (_NETWORKING, _SECURITY) for o in scene.snapshot.objects):
        return
    complaints = list(_complaints(scene, seen))
    found: dict[tuple[int, str], Observation] = {}
    for one in (*_broken(scene, complaints), *_refusing(scene, complaints)):
        found.setdefault((id(one.about), one.reason), one)
    yield from found.values()


def _complaints(scene: Scene, seen: Sequence[Observation]) -> Iterator[_Complaint]:
    for client in concerned(scene, seen):
        for said in scene.deps.spoken(client):
            service = said.found
            if service is not None and service.kind == "Pod":
                labels = flat(service.labels)
                service = next(
                    (s for s in scene.graph.services_in(service.namespace) if (w := flat(s.spec.get("selector"))) and w.items() <= labels.items()),
                    None,
                )  # fmt: skip
            if service is not None:
                yield _Complaint(client, service, said)


def _of(scene: Scene, group: str, *kinds: str) -> list[KubeObject]:
    return [
        o
        for kind in kinds
        for o in scene.snapshot.of_kind(kind)
        if o.group == group and not o.metadata.get("deletionTimestamp")
    ]


def _service(scene: Scene, host: str, namespace: str | None) -> KubeObject | None:
    return scene.graph.names.find(host, namespace)


# -- rules that lead nowhere -------------------------------------------------------------------------


def _broken(scene: Scene, complaints: Sequence[_Complaint]) -> Iterator[Observation]:
    rules = _of(scene, _NETWORKING, "DestinationRule")
    gateways = _of(scene, _NETWORKING, "Gateway")
    for virtual in _of(scene, _NETWORKING, "VirtualService"):
        yield from _subsets(scene, virtual, rules, complaints)
        yield from _gateways(virtual, gateways)
        yield from _hosts(virtual, gateways)
    for rule in rules:
        yield from _unknown_host(scene, rule)
    for gateway in gateways:
        yield from _gateway_pods(scene, gateway)


def _subsets(
    scene: Scene, virtual: KubeObject, rules: Sequence[KubeObject], complaints: Sequence[_Complaint]
) -> Iterator[Observation]:
    for protocol in ("http", "tcp", "tls"):
        for route in walk(virtual.spec, f"{protocol}[].route[]"):
            destination = mapping(mapping(route).get("destination"))
            host, subset = text(destination.get("host")), text(destination.get("subset"))
            idle = "weight" in mapping(route) and not number(mapping(route).get("weight"))
            service = _service(scene, host, virtual.namespace)
            if not subset or service is None or idle:
                continue
            mine = [r for r in rules if _service(scene, text(r.spec.get("host")), r.namespace) is service]
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
                yield _observation(scene, virtual, "SubsetNotDefined", words, 0.9, service, complaints)
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
    complaints: Sequence[_Complaint],
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
    return _observation(
        scene, virtual if moved else rule, "SubsetWithoutPods", words, 0.9, service, complaints,
        [rule] if moved else [virtual],
    )  # fmt: skip


def _gateways(virtual: KubeObject, gateways: Sequence[KubeObject]) -> Iterator[Observation]:
    known = {f"{g.namespace}/{g.name}" for g in gateways}
    for wanted in strings(virtual.spec.get("gateways")):
        full = wanted if "/" in wanted else f"{virtual.namespace}/{wanted}"
        if wanted != "mesh" and full not in known and known:
            words = f"{name_of(virtual)} hangs on Gateway {full}, which does not exist; there are {listing(sorted(known), 4)}"
            yield _plain(virtual, "GatewayNotFound", words, 0.9)


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
        yield _plain(virtual, "HostnameNotServed", words, 0.88)


def _bare(host: str) -> str:
    """A gateway's host without the namespace in front; `*` takes every name."""
    name = host.rpartition("/")[2]
    return "" if name == "*" else name


def _unknown_host(scene: Scene, rule: KubeObject) -> Iterator[Observation]:
    host = text(rule.spec.get("host"))
    place = scene.graph.names.place(host, rule.namespace) if host and "*" not in host else None
    external = {h for e in _of(scene, _NETWORKING, "ServiceEntry") for h in strings(e.spec.get("hosts"))}
    if place is None or host in external or not scene.graph.services_in(place[0]):
        return
    if scene.graph.names.service(*place) is None:
        near = scene.graph.names.similar(*place)
        hint = f"; there is {name_of(near)}" if near is not None else ""
        words = f"{name_of(rule)} is for host `{host}`, and there is no Service {place[0]}/{place[1]}{hint}: it applies to nothing"
        yield _plain(rule, "DestinationHostNotFound", words, 0.75, latent=True)


def _gateway_pods(scene: Scene, gateway: KubeObject) -> Iterator[Observation]:
    """A Gateway that no proxy serves, or whose certificate is not where its proxies look."""
    labels = flat(gateway.spec.get("selector"))
    proxies = [p for p in scene.graph.pods if labels and labels.items() <= flat(p.labels).items()]
    if labels and not proxies and any(p.namespace == ROOT for p in scene.graph.pods):
        words = f"{name_of(gateway)} selects proxies with `{show_labels(labels)}`, and no pod carries that"
        yield _plain(gateway, "GatewayWithoutPods", words, 0.88)
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
            yield _plain(gateway, "TlsSecretNotFound", words, 0.88)


# -- rules that refuse -------------------------------------------------------------------------------


def _refusing(scene: Scene, complaints: Sequence[_Complaint]) -> Iterator[Observation]:
    for one in complaints:
        servers = scene.graph.pods_with(one.service.namespace, flat(one.service.spec.get("selector")))
        clients = scene.graph.pods_of(one.client)
        if not servers or not clients:
            continue
        if _DENIED.search(one.said.line):
            yield from _authorization(scene, one, clients[0], servers[0])
        if _RESET.search(one.said.line):
            yield from _mutual_tls(scene, one, clients[0], servers[0])
        yield from _traffic(scene, one)


def _applying(scene: Scene, kind: str, pod: KubeObject, service: KubeObject) -> list[KubeObject]:
    """Security policies for a pod: those of its namespace and of the root, by selector or by targeted Service."""
    found = []
    for policy in _of(scene, _SECURITY, kind):
        if policy.namespace not in (pod.namespace, ROOT):
            continue
        wanted = flat(at(policy.spec, "selector", "matchLabels"))
        targets = [*entries(policy.spec.get("targetRefs")), *([mapping(policy.spec.get("targetRef"))] if policy.spec.get("targetRef") else [])]  # fmt: skip
        if targets:
            fits = any(
                text(t.get("kind")) == "Service" and text(t.get("name")) == service.name for t in targets
            )
        else:
            fits = wanted.items() <= flat(pod.labels).items()
        if fits:
            found.append(policy)
    return found


def _authorization(
    scene: Scene, one: _Complaint, client: KubeObject, server: KubeObject
) -> Iterator[Observation]:
    policies = _applying(scene, "AuthorizationPolicy", server, one.service)
    for policy in policies:
        if text(policy.spec.get("action")) == "DENY":
            for rule in entries(policy.spec.get("rules")):
                if _from_fits(rule, client):
                    sure = 0.88 if not rule.get("to") and not rule.get("when") else 0.7
                    words = (
                        f"{name_of(policy)} (DENY) refuses {name_of(one.client)} at {name_of(one.service)}"
                    )
                    yield _blocked(scene, policy, "AuthorizationDenied", words, sure, one)
                    return
    allowing = [p for p in policies if text(p.spec.get("action") or "ALLOW") == "ALLOW"]
    if not allowing:
        return
    rules = [(p, r) for p in allowing for r in entries(p.spec.get("rules"))]
    fitting = [(p, r) for p, r in rules if _from_fits(r, client)]
    if any(not r.get("to") and not r.get("when") for _, r in fitting):
        return
    newest = max(allowing, key=lambda p: (_since(p), p.name))
    if not rules:
        words = f"{name_of(newest)} allows nobody (it has no rules), so {name_of(one.client)} is refused at {name_of(one.service)}"
    elif fitting:
        asked = sorted({o for _, r in fitting for f in ("methods", "paths", "ports") for o in _listed(r, f)})
        words = f"{name_of(newest)} allows {name_of(one.client)} at {name_of(one.service)} only {listing(asked, 5) or 'under further conditions'}"
    else:
        known = sorted(
            {
                s
                for _, r in rules
                for f in ("principals", "namespaces", "serviceAccounts")
                for s in _sources(r, f)
            }
        )
        words = (
            f"{name_of(newest)} allows only {listing(known, 4) or 'other sources'} at {name_of(one.service)}; {name_of(one.client)} "
            f"comes as {_identity(client)}"
        )
    yield _blocked(scene, newest, "AuthorizationNotAllowed", words, 0.7 if fitting else 0.88, one)


def _listed(rule: Body, field: str) -> list[str]:
    return [v for to in entries(rule.get("to")) for v in strings(at(to, "operation", field))]


def _sources(rule: Body, field: str) -> list[str]:
    return [v for f in entries(rule.get("from")) for v in strings(at(f, "source", field))]


def _identity(pod: KubeObject) -> str:
    """The SPIFFE name of a pod without its scheme, as policies write it."""
    return f"cluster.local/ns/{pod.namespace}/sa/{text(pod.spec.get('serviceAccountName')) or 'default'}"


def _from_fits(rule: Body, client: KubeObject) -> bool:
    """Whether a rule speaks of requests from this pod; one without `from` speaks of all."""
    sources = [mapping(f.get("source")) for f in entries(rule.get("from"))]
    return not sources or any(_source_fits(s, client) for s in sources)


def _source_fits(source: Body, client: KubeObject) -> bool:
    who = _identity(client) if _in_mesh(client) else ""
    account = text(client.spec.get("serviceAccountName")) or "default"
    place = client.namespace or "" if who else ""
    facts = {
        "principals": (who,),
        "namespaces": (place,),
        "serviceAccounts": (account, f"{client.namespace}/{account}") if who else ("",),
        "ipBlocks": (text(client.status.get("podIP")),),
    }
    for field, values in facts.items():
        wanted, unwanted = (
            strings(source.get(field)),
            strings(source.get(f"not{field[0].upper()}{field[1:]}")),
        )
        if field == "ipBlocks" and (wanted or unwanted):
            return False  # addresses are translated on the way: nothing is concluded from them
        if wanted and not any(v and fnmatchcase(v, w) for v in values for w in wanted):
            return False
        if unwanted and any(v and fnmatchcase(v, w) for v in values for w in unwanted):
            return False
    return not source.get("requestPrincipals") and not source.get("notRequestPrincipals")


def _in_mesh(pod: KubeObject) -> bool:
    """It has a sidecar, or takes part without one (ambient mode)."""
    return any(text(c.get("name")) == "istio-proxy" for c in containers(pod_spec(pod))) or (
        text(pod.annotations.get("ambient.istio.io/redirection")) == "enabled"
    )


def _mutual_tls(
    scene: Scene, one: _Complaint, client: KubeObject, server: KubeObject
) -> Iterator[Observation]:
    strict = _strict(scene, server, one.service)
    rule = next(
        (r for r in _of(scene, _NETWORKING, "DestinationRule") if _service(scene, text(r.spec.get("host")), r.namespace) is one.service),
        None,
    )  # fmt: skip
    mode = text(at(rule.spec, "trafficPolicy", "tls", "mode")) if rule is not None else ""
    if strict is not None and rule is not None and mode in ("DISABLE", "SIMPLE") and _in_mesh(client):
        words = f"{name_of(rule)} sets TLS mode {mode} towards {name_of(one.service)}, which takes mutual TLS only ({name_of(strict)} is STRICT)"
        yield _blocked(scene, rule, "MutualTlsConflict", words, 0.9, one)
    elif strict is not None and not _in_mesh(client):
        words = f"{name_of(strict)} demands mutual TLS (STRICT) at {name_of(one.service)}, and {name_of(one.client)} has no sidecar: it speaks plain text and is cut off"
        yield _blocked(scene, strict, "StrictMutualTls", words, 0.88, one)
    elif (
        rule is not None and mode in ("ISTIO_MUTUAL", "MUTUAL") and _in_mesh(client) and not _in_mesh(server)
    ):
        words = f"{name_of(rule)} sets TLS mode {mode} towards {name_of(one.service)}, whose pods have no sidecar to answer it"
        yield _blocked(scene, rule, "MutualTlsConflict", words, 0.88, one)


def _strict(scene: Scene, server: KubeObject, service: KubeObject) -> KubeObject | None:
    """The PeerAuthentication that decides for the pod, if it is STRICT: the nearest one counts."""
    if not _in_mesh(server):
        return None
    applying = _applying(scene, "PeerAuthentication", server, service)
    applying.sort(
        key=lambda p: (p.namespace == ROOT and server.namespace != ROOT, not p.spec.get("selector"), p.name)
    )
    for policy in applying:
        mode = text(at(policy.spec, "mtls", "mode")) or "UNSET"
        if mode != "UNSET":
            return policy if mode == "STRICT" else None
    return None


def _traffic(scene: Scene, one: _Complaint) -> Iterator[Observation]:
    """Injected faults, and pools smaller than the traffic."""
    for virtual in _of(scene, _NETWORKING, "VirtualService"):
        if not any(
            _service(scene, h, virtual.namespace) is one.service for h in strings(virtual.spec.get("hosts"))
        ):
            continue
        for route in entries(virtual.spec.get("http")):
            fault = mapping(route.get("fault"))
            if fault and _FAULT.search(one.said.line):
                shown = "; ".join(
                    [f"abort with {number(at(fault, 'abort', 'httpStatus'))}"] * ("abort" in fault)
                    + [f"delay of {text(at(fault, 'delay', 'fixedDelay'))}"] * ("delay" in fault)
                )
                words = (
                    f"{name_of(virtual)} injects a fault into requests for {name_of(one.service)}: {shown}"
                )
                yield _blocked(scene, virtual, "FaultInjected", words, 0.88, one)
    for rule in _of(scene, _NETWORKING, "DestinationRule"):
        pool = mapping(at(rule.spec, "trafficPolicy", "connectionPool"))
        if (
            pool
            and _OVERFLOW.search(one.said.line)
            and _service(scene, text(rule.spec.get("host")), rule.namespace) is one.service
        ):
            limits = {
                f"{p}.{k}": v for p in ("tcp", "http") for k, v in flat(pool.get(p)).items() if v.isdigit()
            }
            words = f"{name_of(rule)} limits connections to {name_of(one.service)} ({show_labels(limits)}), and requests overflow them"
            yield _blocked(scene, rule, "ConnectionPoolOverflow", words, 0.86, one)


def _since(rule: KubeObject) -> float:
    edit = last_edit(rule)
    moment = edit.at if edit is not None else rule.created_at
    return moment.timestamp() if moment is not None else 0.0


# -- shared ------------------------------------------------------------------------------------------


def _blocked(
    scene: Scene, rule: KubeObject, reason: str, words: str, certainty: float, one: _Complaint
) -> Observation:
    words += f"; its log: `{cut(one.said.line, 200)}`"
    found = _plain(rule, reason, words + _in_force(rule), certainty)
    line = evidence.log_line(one.said.pod, one.said.container, one.said.line, one.said.count)
    return _with(
        found,
        (Explains(one.client, 0.93, f"{rule.kind} {rule.name} refuses its requests", deepest=Depth.process),),
        (line,),
    )


def _observation(
    scene: Scene,
    rule: KubeObject,
    reason: str,
    words: str,
    certainty: float,
    service: KubeObject,
    complaints: Sequence[_Complaint],
    others: Sequence[KubeObject] = (),
) -> Observation:
    clients = {id(c.client): c.client for c in complaints if c.service is service}
    lines = [c.said for c in complaints if c.service is service][:1]
    words += f"; a client's log: `{cut(lines[0].line, 160)}`" if lines else ""
    why = f"{rule.kind} {rule.name} sends its traffic nowhere"
    explains = [Explains(t, 0.93, why, deepest=Depth.process) for t in clients.values()]
    explains += [Explains(o, 0.9, why) for o in (service, *others)]
    facts = tuple(evidence.log_line(s.pod, s.container, s.line, s.count) for s in lines)
    return _with(_plain(rule, reason, words + _in_force(rule), certainty), tuple(explains), facts)


def _in_force(rule: KubeObject) -> str:
    edit = last_edit(rule)
    if edit is not None:
        return f"; edited at {clock(edit.at)} by {edit.by}"
    return f"; in force since {clock(rule.created_at)}" if rule.created_at else ""


def _with(
    found: Observation, explains: tuple[Explains, ...], facts: tuple[evidence.Fact, ...]
) -> Observation:
    basis = (*found.basis, *(["a client's log complains about it"] if facts else []))
    return replace(found, explains=explains, facts=(*found.facts, *facts), basis=basis)


def _plain(
    rule: KubeObject, reason: str, words: str, certainty: float, *, latent: bool = False
) -> Observation:
    edit = last_edit(rule)
    return Observation(
        about=rule,
        reason=reason,
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(evidence.field(rule, "spec", dict(rule.spec), f"{name_of(rule)}: its spec"),),
        basis=("the mesh's rules beside the Services and pods there are",),
        onset=edit.at if edit is not None else rule.created_at,
        remediation=remedies.edit(rule, f"Correct {name_of(rule)}, or bring what it names."),
        latent=latent,
    )
