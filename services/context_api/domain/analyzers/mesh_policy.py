"""Rules of an Istio mesh that refuse what somebody misses: policies, mutual TLS, injected faults, pools.

Sees, where a workload's log complains about a Service, what stands between the two: an AuthorizationPolicy that denies
(or allows others only), strict mutual TLS towards a client without a sidecar, a DestinationRule that turns TLS off or
on against that, an injected fault, a pool that overflows. Judges refusals only where somebody complains: a policy that
keeps strangers out does its work. Latent where a ready program complained so an hour before the alert already: it does
without. Cannot see JWT claims, external authorizers, nor what the proxies were really sent.

Rests on: istio.io/latest/docs, "Authorization Policy", "PeerAuthentication", "Destination Rule", "Traffic Management
Problems".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from services.context_api.domain import evidence
from services.context_api.domain.changes import last_edit
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
    text,
)
from services.context_api.domain.logs import quote
from services.context_api.domain.mesh import (
    NETWORKING,
    ROOT,
    SECURITY,
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
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import Body, KubeObject
from services.context_api.domain.still_said import lives_with
from services.context_api.domain.wording import name_of

NAME = "mesh_policy"
_DENIED = re.compile(r"RBAC: access denied|\b403\b|forbidden|permission denied", re.IGNORECASE)
_RESET = re.compile(
    r"reset|\bEOF\b|disconnect|upstream connect error|connection (?:closed|terminat)|WRONG_VERSION_NUMBER|TLS error|broken pipe",
    re.IGNORECASE,
)
_FAULT = re.compile(r"fault filter abort|\b5\d\d\b|time[d ]?-?out|deadline", re.IGNORECASE)
_OVERFLOW = re.compile(r"overflow|circuit break|\bUO\b", re.IGNORECASE)


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per rule that refuses what somebody misses."""
    if in_use(scene):
        yield from each_once(_refusing(scene, list(complaints_in(scene, seen))))


def _refusing(scene: Scene, complaints: Sequence[Complaint]) -> Iterator[Observation]:
    for one in complaints:
        does_without = lives_with(one.said.pod, one.said.container, one.said.first, scene.onset)
        yield from (replace(found, latent=True) if does_without else found for found in _rules(scene, one))


def _rules(scene: Scene, one: Complaint) -> Iterator[Observation]:
    servers = scene.graph.pods_with(one.service.namespace, flat(one.service.spec.get("selector")))
    clients = scene.graph.pods_of(one.client)
    if not servers or not clients:
        return
    if _DENIED.search(one.said.line):
        yield from _authorization(scene, one, clients[0], servers[0])
    if _RESET.search(one.said.line):
        yield from _mutual_tls(scene, one, clients[0], servers[0])
    yield from _traffic(scene, one)


def _applying(scene: Scene, kind: str, pod: KubeObject, service: KubeObject) -> list[KubeObject]:
    """Security policies for a pod: those of its namespace and of the root, by selector or by targeted Service."""
    found = []
    for policy in rules_of(scene, SECURITY, kind):
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
    scene: Scene, one: Complaint, client: KubeObject, server: KubeObject
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
                    yield _blocked(policy, "AuthorizationDenied", words, sure, one)
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
    yield _blocked(newest, "AuthorizationNotAllowed", words, 0.7 if fitting else 0.88, one)


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
    scene: Scene, one: Complaint, client: KubeObject, server: KubeObject
) -> Iterator[Observation]:
    strict = _strict(scene, server, one.service)
    rule = next(
        (r for r in rules_of(scene, NETWORKING, "DestinationRule") if service_of(scene, text(r.spec.get("host")), r.namespace) is one.service),
        None,
    )  # fmt: skip
    mode = text(at(rule.spec, "trafficPolicy", "tls", "mode")) if rule is not None else ""
    if strict is not None and rule is not None and mode in ("DISABLE", "SIMPLE") and _in_mesh(client):
        words = f"{name_of(rule)} sets TLS mode {mode} towards {name_of(one.service)}, which takes mutual TLS only ({name_of(strict)} is STRICT)"
        yield _blocked(rule, "MutualTlsConflict", words, 0.9, one)
    elif strict is not None and not _in_mesh(client):
        words = f"{name_of(strict)} demands mutual TLS (STRICT) at {name_of(one.service)}, and {name_of(one.client)} has no sidecar: it speaks plain text and is cut off"
        yield _blocked(strict, "StrictMutualTls", words, 0.88, one)
    elif (
        rule is not None and mode in ("ISTIO_MUTUAL", "MUTUAL") and _in_mesh(client) and not _in_mesh(server)
    ):
        words = f"{name_of(rule)} sets TLS mode {mode} towards {name_of(one.service)}, whose pods have no sidecar to answer it"
        yield _blocked(rule, "MutualTlsConflict", words, 0.88, one)


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


def _traffic(scene: Scene, one: Complaint) -> Iterator[Observation]:
    """Injected faults, and pools smaller than the traffic."""
    for virtual in rules_of(scene, NETWORKING, "VirtualService"):
        if not any(
            service_of(scene, h, virtual.namespace) is one.service for h in strings(virtual.spec.get("hosts"))
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
                yield _blocked(virtual, "FaultInjected", words, 0.88, one)
    for rule in rules_of(scene, NETWORKING, "DestinationRule"):
        pool = mapping(at(rule.spec, "trafficPolicy", "connectionPool"))
        if (
            pool
            and _OVERFLOW.search(one.said.line)
            and service_of(scene, text(rule.spec.get("host")), rule.namespace) is one.service
        ):
            limits = {
                f"{p}.{k}": v for p in ("tcp", "http") for k, v in flat(pool.get(p)).items() if v.isdigit()
            }
            words = f"{name_of(rule)} limits connections to {name_of(one.service)} ({show_labels(limits)}), and requests overflow them"
            yield _blocked(rule, "ConnectionPoolOverflow", words, 0.86, one)


def _since(rule: KubeObject) -> float:
    edit = last_edit(rule)
    moment = edit.at if edit is not None else rule.created_at
    return moment.timestamp() if moment is not None else 0.0


def _blocked(rule: KubeObject, reason: str, words: str, certainty: float, one: Complaint) -> Observation:
    words += f"; its log: `{quote(one.said.line)}`"
    found = plain(NAME, rule, reason, words + in_force(rule), certainty)
    line = evidence.log_line(one.said.pod, one.said.container, one.said.line, one.said.count)
    return supported(
        found,
        (Explains(one.client, 0.93, f"{rule.kind} {rule.name} refuses its requests", deepest=Depth.process),),
        (line,),
    )
