"""NetworkPolicies that forbid a connection a workload complains about.

Sees timeouts in logs towards a Service that has ready endpoints, and evaluates every policy that selects the
client (egress) or the server (ingress) for that connection; DNS too, when names cannot be looked up.
Judges only connections somebody complains about: a policy that forbids what nobody needs is doing its work. Latent where a
ready program complained so an hour before the alert already: it does without. Where no
log of a failing client was recorded, a connection that its settings name counts, if the policy is about as new as the failure.
Cannot see policies of other APIs (Calico, Cilium, admin policies), nor whether the network plugin enforces any.

Rests on: kubernetes.io/docs, "Network Policies" (isolation, the two sorts of rules, default deny).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import first_seen_change, last_edit
from services.context_api.domain.dependencies import Mention, Spoken
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import (
    at,
    entries,
    flat,
    listing,
    mapping,
    number,
    selects,
    show_labels,
    strings,
    text,
)
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import Body, KubeObject
from services.context_api.domain.still_said import lives_with
from services.context_api.domain.trouble import troubles
from services.context_api.domain.wording import clock, name_of

NAME = "network_policy"
_SILENT = frozenset({"timeout", "other", "http", "dns"})
"""A dropped packet shows as a time-out; a refused connection was answered, so no policy dropped it."""

_CLIENTS = frozenset({"pod_crash_loop", "probe_failure", "rollout_stuck", "init_waiting"})

DNS = 53


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per policy that forbids a connection somebody misses."""
    if not scene.graph.of_kind("NetworkPolicy"):
        return
    told: set[tuple[int, int, int]] = set()
    for top in concerned(scene, [o for o in seen if o.analyzer in _CLIENTS]):
        clients = scene.graph.pods_of(top)
        if not clients:
            continue
        yield from _to_outside(scene, top, clients[0], told)
        for server, port, said in _wanted(scene, top):
            for policy, way in forbidding(scene, clients[0], server, port):
                if said is None and not _as_new(scene, seen, top, policy):
                    continue
                key = (id(policy), id(top), id(server))
                if key not in told:
                    told.add(key)
                    yield _observation(scene, top, server, port, policy, way, said)


def _to_outside(
    scene: Scene, top: KubeObject, client: KubeObject, told: set[tuple[int, int, int]]
) -> Iterator[Observation]:
    """Policies that let nothing out of the cluster, for hosts outside that its log says do not answer."""
    for said in scene.deps.spoken(top):
        host = said.host
        outside = host is not None and said.found is None and _outer(scene, host.name, client.namespace)
        if host is None or not outside or said.trouble not in ("timeout", "other") or "lookup" in said.line:
            continue
        port = host.port or (443 if f"https://{host.name}" in said.line.lower() else 0)
        for policy in _keeping_in(client, port, scene):
            if (id(policy), id(top), 0) not in told:
                told.add((id(policy), id(top), 0))
                yield _observation(scene, top, host.name, port, policy, "Egress", said)


def _outer(scene: Scene, name: str, namespace: str | None) -> bool:
    dotted = "." in name and not name.replace(".", "").isdigit()
    return (
        dotted and not name.endswith((".svc", ".local")) and scene.graph.names.place(name, namespace) is None
    )


def _keeping_in(client: KubeObject, port: int, scene: Scene) -> list[KubeObject]:
    """Policies that select the client and of which none allows any address outside on that port.

    Which address a name has is not known: a rule for any range of addresses is taken as meant for it.
    """
    if client.spec.get("hostNetwork") is True or not port:
        return []
    policies = [
        p
        for p in scene.graph.of_kind("NetworkPolicy")
        if p.namespace == client.namespace
        and "Egress" in _types(p)
        and selects(p.spec.get("podSelector"), flat(client.labels))
    ]
    for policy in policies:
        for rule in entries(policy.spec.get("egress")):
            ports, peers = entries(rule.get("ports")), entries(rule.get("to"))
            fits = not ports or any(_port_fits(p, port, client) for p in ports)
            if fits and (not peers or any(mapping(p.get("ipBlock")) for p in peers)):
                return []
    return policies


def _wanted(scene: Scene, top: KubeObject) -> Iterator[tuple[KubeObject, int, Spoken | None]]:
    """Pods it wants to reach and cannot, with the port and the complaint."""
    complaints = [s for s in scene.deps.spoken(top) if s.trouble in _SILENT]
    for said in complaints:
        found = said.found
        if found is None:
            mention = _one_dependency(scene.deps.configured(top), said)
            found = mention.found if mention is not None else None
        if found is not None and said.trouble != "dns":
            yield from _servers(scene, found, said)
        if said.trouble == "dns" or "lookup" in said.line:
            yield from ((pod, DNS, said) for pod in _dns_pods(scene)[:1])
    if not scene.deps.logged(top):
        for mention in scene.deps.configured(top):
            if mention.found is not None:
                yield from _servers(scene, mention.found, None, mention.host.port)


def _as_new(scene: Scene, seen: Sequence[Observation], top: KubeObject, policy: KubeObject) -> bool:
    """Whether the policy came, or was changed, just before the client began to fail."""
    since = first_seen_change(policy)
    return since is not None and any(t.top is top and t.recent(scene, since) for t in troubles(scene, seen))


def _one_dependency(mentions: list[Mention], said: Spoken) -> Mention | None:
    """The dependency a complaint without a known name means: the one on that port, or the only one."""
    known = [m for m in mentions if m.found is not None]
    if said.host is not None and said.host.port:
        return next((m for m in known if m.host.port == said.host.port), None)
    return known[0] if len({id(m.found) for m in known}) == 1 else None


def _servers(
    scene: Scene, found: KubeObject, said: Spoken | None, port: int | None = None
) -> Iterator[tuple[KubeObject, int, Spoken | None]]:
    """A pod behind what is wanted, with the port there; `port` is the wanted one where no complaint tells it."""
    wanted = said.host.port if said is not None and said.host is not None else port
    if found.kind == "Pod":
        yield found, wanted or 0, said
        return
    pods = scene.graph.pods_with(found.namespace, flat(found.spec.get("selector")))
    if not pods or scene.graph.endpoints(found).ready == 0:
        return
    for served in entries(found.spec.get("ports")):
        if wanted in (None, number(served.get("port"))):
            yield pods[0], _pod_port(pods[0], served), said
            return


def _pod_port(pod: KubeObject, port: Body) -> int:
    """The container port a Service port leads to."""
    target = port.get("targetPort", port.get("port"))
    if isinstance(target, str) and not target.isdigit():
        for container in entries(pod.spec.get("containers")):
            for declared in entries(container.get("ports")):
                if declared.get("name") == target:
                    return number(declared.get("containerPort"))
    return number(target)


def _dns_pods(scene: Scene) -> list[KubeObject]:
    return scene.graph.pods_with("kube-system", {"k8s-app": "kube-dns"}) or scene.graph.pods_with(
        "openshift-dns", {"dns.operator.openshift.io/daemonset-dns": "default"}
    )


def forbidding(
    scene: Scene, client: KubeObject, server: KubeObject, port: int
) -> list[tuple[KubeObject, str]]:
    """Policies that together forbid the connection: those that select one end while none that does allows it."""
    if client.spec.get("hostNetwork") is True or server.spec.get("hostNetwork") is True:
        return []
    found: list[tuple[KubeObject, str]] = []
    for way, selected, peer in (("Egress", client, server), ("Ingress", server, client)):
        policies = [
            p
            for p in scene.graph.of_kind("NetworkPolicy")
            if p.namespace == selected.namespace
            and way in _types(p)
            and selects(p.spec.get("podSelector"), flat(selected.labels))
        ]
        if policies and not any(_allows(scene, p, way, peer, selected, port) for p in policies):
            found += [(p, way) for p in policies]
    return found


def _types(policy: KubeObject) -> list[str]:
    types = strings(policy.spec.get("policyTypes"))
    return types or (["Ingress", "Egress"] if policy.spec.get("egress") else ["Ingress"])


def _allows(
    scene: Scene, policy: KubeObject, way: str, peer: KubeObject, selected: KubeObject, port: int
) -> bool:
    peers_field = "from" if way == "Ingress" else "to"
    server = selected if way == "Ingress" else peer
    for rule in entries(policy.spec.get(way.lower())):
        ports, peers = entries(rule.get("ports")), entries(rule.get(peers_field))
        if ports and not any(_port_fits(p, port, server) for p in ports):
            continue
        if not peers or any(_peer_fits(scene, p, policy, peer) for p in peers):
            return True
    return False


def _port_fits(rule: Body, port: int, server: KubeObject) -> bool:
    wanted = rule.get("port")
    if wanted is None or not port:
        return True
    if isinstance(wanted, str) and not wanted.isdigit():
        return _pod_port(server, {"targetPort": wanted}) == port
    return number(wanted) <= port <= max(number(rule.get("endPort")), number(wanted))


def _peer_fits(scene: Scene, rule: Body, policy: KubeObject, peer: KubeObject) -> bool:
    block = mapping(rule.get("ipBlock"))
    if block:
        return _in_block(text(peer.status.get("podIP")), block)
    if "namespaceSelector" in rule and rule.get("namespaceSelector") is not None:
        namespace = scene.graph.get("Namespace", None, peer.namespace or "")
        labels = {
            "kubernetes.io/metadata.name": peer.namespace or "",
            **(flat(namespace.labels) if namespace else {}),
        }
        if not selects(rule.get("namespaceSelector"), labels):
            return False
    elif peer.namespace != policy.namespace:
        return False
    return (
        "podSelector" not in rule
        or rule.get("podSelector") is None
        or selects(rule.get("podSelector"), flat(peer.labels))
    )


def _in_block(address: str, block: Body) -> bool:
    try:
        ip = ipaddress.ip_address(address)
        inside = ip in ipaddress.ip_network(text(block.get("cidr")), strict=False)
        return inside and not any(
            ip in ipaddress.ip_network(e, strict=False) for e in strings(block.get("except"))
        )
    except ValueError:
        return False


def _observation(
    scene: Scene,
    top: KubeObject,
    server: KubeObject | str,
    port: int,
    policy: KubeObject,
    way: str,
    said: Spoken | None,
) -> Observation:
    """`server` is a pod, or the name of a host outside the cluster."""
    behind = server if isinstance(server, str) else name_of(scene.graph.top(server))
    edit = last_edit(policy)
    end = f"leaving {name_of(top)}" if way == "Egress" else f"reaching {behind}"
    words = f"{name_of(policy)} ({way}) forbids {name_of(top)} to connect to {behind} on port {port}: no rule allows traffic {end}"
    words += f"; it allows {_allowed(policy, way)}"
    since = edit.at if edit is not None else policy.created_at
    if since is not None:
        words += f"; in force since {clock(since)}" + (f" (edited by {edit.by})" if edit is not None else "")
    if said is not None:
        words += f"; its log: `{quote(said.line)}`"
    rules = {
        k: policy.spec.get(k) for k in ("podSelector", "policyTypes", "ingress", "egress") if k in policy.spec
    }
    facts = [evidence.field(policy, "spec", rules, f"{name_of(policy)}: {way} rules")]
    if said is not None:
        facts.append(evidence.log_line(said.pod, said.container, said.line, said.count))
    return Observation(
        about=policy,
        reason="NetworkPolicyBlocks",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.88 if said is not None else 0.66,
        facts=tuple(facts),
        basis=(
            "the policies that select both ends, evaluated",
            "its log complains about that connection"
            if said is not None
            else "its settings name that connection and the policy is about as new as the failure (no log of it was recorded)",
        ),
        onset=since,
        remediation=remedies.edit(
            policy,
            f"Allow {way.lower()} from {name_of(top)} to {behind} on port {port} in {name_of(policy)}.",
        ),
        explains=(
            Explains(top, 0.93, f"NetworkPolicy {policy.name} drops its connections", deepest=Depth.process),
        ),
        latent=said is not None and lives_with(said.pod, said.container, said.first, scene.onset),
    )


def _allowed(policy: KubeObject, way: str) -> str:
    """What a policy's rules let through, in words: `to pods of its namespace; on 443, 5432`."""
    told = []
    for rule in entries(policy.spec.get(way.lower())):
        peers = [_peer(p) for p in entries(rule.get("to" if way == "Egress" else "from"))]
        ports = [
            f"{text(p.get('port'))}/{text(p.get('protocol')) or 'TCP'}"
            for p in entries(rule.get("ports"))
            if p.get("port")
        ]
        said = [f"{'to' if way == 'Egress' else 'from'} {listing(peers, 3)}"] if peers else []
        said += [f"on {listing(ports, 6)}"] if ports else []
        told.append(" ".join(said) or "everything")
    return "; ".join(told[:4]) or "nothing"


def _peer(rule: Body) -> str:
    block = mapping(rule.get("ipBlock"))
    if block:
        return text(block.get("cidr"))
    spaces = rule.get("namespaceSelector")
    pods = show_labels(flat(at(rule, "podSelector", "matchLabels")))
    where = "its namespace" if spaces is None else "any namespace"
    named = show_labels(flat(at(rule, "namespaceSelector", "matchLabels")))
    where = f"namespaces `{named}`" if named else where
    return f"pods{f' `{pods}`' if pods else ''} of {where}"
