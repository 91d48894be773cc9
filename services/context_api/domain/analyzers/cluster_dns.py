"""Cluster DNS that does not answer as it should, and pods that do not ask it.

Sees the Corefile the DNS workload mounts (braces, directives no plugin serves, no `kubernetes` plugin for the names
asked, upstreams), that workload's own log beside it, a DNS Service that is missing, and the DNS policy of pods whose
log cannot look up names: a pod on the host's network with policy ClusterFirst asks the node's resolver.
DNS pods that crash, lack room or endpoints are told by the analyzers of those; clients blame the DNS Service
(`dependencies.blames`); policies that drop port 53 are told by `network_policy`.
A log line alone makes nothing here: the Corefile must show what it speaks of, or DNS or a client be in trouble.
Cannot see the node's resolv.conf, the upstream servers, nor what NodeLocal DNSCache has cached.

Rests on: https://kubernetes.io/docs/tasks/administer-cluster/dns-debugging-resolution/,
https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy,
https://coredns.io/plugins/kubernetes/, https://coredns.io/plugins/loop/#troubleshooting, https://coredns.io/plugins/errors/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import last_edit
from services.context_api.domain.corefile import Corefile, read
from services.context_api.domain.dependencies import PODS_READ, Spoken
from services.context_api.domain.evidence import Fact
from services.context_api.domain.focus import concerned
from services.context_api.domain.kube import at, flat, listing, pod_spec, strings, text
from services.context_api.domain.logs import cut, is_narrative, last_lines, quote
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.uses import used_by
from services.context_api.domain.wording import clock, name_of

NAME = "cluster_dns"
SYSTEM = "kube-system"
LABELS = {"k8s-app": "kube-dns"}
"""What cluster DNS carries in every distribution that follows Kubernetes' own manifests."""

LONGEST_LINE = 1000
"""Characters of a log line that are read."""

_PARSING = re.compile(r"Corefile:(\d{1,5}) - Error during parsing: (.{1,200})")
_LOOP = re.compile(r"plugin/loop: (?:Loop \(.{1,80}\) detected|Seen .{1,120} more than twice)")
_UPSTREAM = re.compile(
    r"plugin/errors: 2 (\S+) \S+: .*?->\[?([0-9a-fA-F.:]+?)\]?:53: "
    r"(i/o timeout|read: connection refused|.{0,40}no route to host|.{0,40}connection refused)"
)
_FQDN = re.compile(r"\.svc\.([a-z0-9-]+(?:\.[a-z0-9-]+)+)\b")


@dataclass(frozen=True, slots=True)
class _Client:
    """A workload whose log cannot look up a name."""

    top: KubeObject
    said: Spoken

    @property
    def inside(self) -> bool:
        """Whether the name is one of the cluster's."""
        return self.said.found is not None or ".svc" in self.said.line


@dataclass(frozen=True, slots=True)
class _Fault:
    about: KubeObject
    reason: str
    words: str
    certainty: float
    facts: tuple[Fact, ...]
    clients: tuple[_Client, ...]
    stops_server: bool = False
    """Whether CoreDNS itself cannot run with it."""
    heard: bool = False
    """Whether only logs speak of it: then it counts by what it explains, and never alone."""


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per fault of cluster DNS, and one per workload that does not ask it."""
    clients = [c for top in concerned(scene, seen) if (c := _client(scene, top)) is not None]
    servers = _servers(scene)
    troubled = {id(o.about) for o in seen if not o.latent}
    for server in servers:
        clients = [c for c in clients if c.top is not server]
        for fault in _of_corefile(scene, server, clients, id(server) in troubled):
            yield _observation(scene, server, fault, broken=id(server) in troubled)
    if servers and clients and not scene.deps.resolvers and scene.graph.services_in(servers[0].namespace):
        words = f"{name_of(servers[0])} serves cluster DNS, and no Service leads to it: pods ask an address nobody has"
        fact = evidence.field(servers[0], "metadata.labels", flat(servers[0].labels), words)
        yield _observation(
            scene,
            servers[0],
            _Fault(servers[0], "DnsServiceMissing", words, 0.85, (fact,), tuple(clients)),
            broken=False,
        )
    for client in clients:
        yield from _of_client(scene, client)


def _client(scene: Scene, top: KubeObject) -> _Client | None:
    said = [s for s in scene.deps.spoken(top) if s.trouble == "dns"]
    inside = [s for s in said if s.found is not None]
    return _Client(top, (inside or said)[0]) if said else None


def _servers(scene: Scene) -> list[KubeObject]:
    """The workloads that serve cluster DNS."""
    found = [w for service in scene.deps.resolvers for w in scene.graph.behind(service)]
    found += [scene.graph.top(w) for w in scene.graph.workloads_with(SYSTEM, LABELS)]
    return list({id(w): w for w in found}.values())


# -- the Corefile ----------------------------------------------------------------------------------


def _of_corefile(
    scene: Scene, server: KubeObject, clients: Sequence[_Client], troubled: bool
) -> Iterator[_Fault]:
    """At most one fault: the one that lies nearest to not running at all."""
    config = _config(scene, server)
    if config is None:
        return
    source = text(at(config.body, "data", "Corefile"))
    core, lines = read(source), list(_log(scene, server))
    fault = (
        _unreadable(config, source, core, lines, clients, troubled)
        or (_looping(config, core, lines, clients) if troubled else None)
        or _blind(config, core, clients)
        or _upstream(config, core, lines, clients)
    )
    if fault is not None:
        yield fault


def _config(scene: Scene, server: KubeObject) -> KubeObject | None:
    for workload in scene.graph.workloads_of(server):
        for _, found in used_by(scene.graph, workload, "ConfigMap"):
            if at(found.body, "data", "Corefile"):
                return found
    return None


def _log(scene: Scene, server: KubeObject) -> Iterator[tuple[KubeObject, str, str]]:
    """(pod, container, line) of the DNS pods' logs."""
    for pod in scene.graph.pods_of(server)[:PODS_READ]:
        for log in scene.snapshot.logs_of(pod.namespace, pod.name):
            yield from (
                (pod, log.container, line[:LONGEST_LINE])
                for line in last_lines(log.text)
                if not is_narrative(line)
            )


def _unreadable(
    config: KubeObject,
    source: str,
    core: Corefile,
    lines: Sequence[tuple[KubeObject, str, str]],
    clients: Sequence[_Client],
    troubled: bool,
) -> _Fault | None:
    """CoreDNS cannot read it: the braces say so, or the line its log names still stands there."""
    rows = source.splitlines()
    for pod, container, line in reversed(lines):
        found = _PARSING.search(line)
        row = int(found[1]) if found else 0
        # `Unknown directive 'x'`: the quoted word must stand in that row, or the log is about an older Corefile.
        word = re.search(r"'([^']{1,80})'", found[2]) if found else None
        if found and 0 < row <= len(rows) and (word is None or word[1] in rows[row - 1]):
            words = f"line {row}, `{cut(redact(rows[row - 1].strip()), 120)}`: {cut(redact(found[2]), 160)}"
            fact = evidence.log_line(pod, container, redact(cut(line)), 1)
            return _Fault(config, "CorefileInvalid", words, 0.93, (fact,), tuple(clients), stops_server=True)
    if core.fault:
        return _Fault(
            config, "CorefileInvalid", core.fault, 0.9 if troubled else 0.75, (), tuple(clients), stops_server=True
        )  # fmt: skip
    if core.strangers and troubled:
        words = f"line {core.strangers[0].line} names `{cut(redact(core.strangers[0].name), 60)}`, which is no plugin of an ordinary CoreDNS"
        return _Fault(config, "CorefileInvalid", words, 0.7, (), tuple(clients), stops_server=True)
    return None


def _looping(
    config: KubeObject,
    core: Corefile,
    lines: Sequence[tuple[KubeObject, str, str]],
    clients: Sequence[_Client],
) -> _Fault | None:
    """It forwards to a resolver that asks it again."""
    said = next((x for x in reversed(lines) if _LOOP.search(x[2])), None)
    if said is None or not core.all("loop"):
        return None
    words = f"its upstream ({_forwards(core)}) sends queries back to it, so plugin `loop` ends it: `{cut(redact(said[2]), 160)}`"
    fact = evidence.log_line(said[0], said[1], redact(cut(said[2])), 1)
    return _Fault(config, "DnsLoop", words, 0.9, (fact,), tuple(clients), stops_server=True)


def _blind(config: KubeObject, core: Corefile, clients: Sequence[_Client]) -> _Fault | None:
    """It serves no cluster names, or those of another domain, while somebody misses one."""
    missing = [c for c in clients if c.inside]
    served = [w.rstrip(".") for d in core.all("kubernetes") for w in d.words]
    served = served or (
        [z.partition(":")[0].rstrip(".") for z in core.zones] if core.all("kubernetes") else []
    )
    if missing and not core.all("kubernetes"):
        words = "it has no `kubernetes` plugin, so no Service has a name"
        return _Fault(config, "CorefileLacksClusterZone", words, 0.9, (), tuple(missing))
    asked = {m[1] for c in missing if (m := _FQDN.search(c.said.line))}
    wrong = sorted(
        a for a in asked if served and not any(z in ("", a) or a.endswith(f".{z}") for z in served)
    )
    if wrong:
        words = f"its `kubernetes` plugin serves {listing(served)}, while pods ask for names under {listing(wrong)}"
        return _Fault(config, "CorefileLacksClusterZone", words, 0.88, (), tuple(missing))
    return None


def _upstream(
    config: KubeObject,
    core: Corefile,
    lines: Sequence[tuple[KubeObject, str, str]],
    clients: Sequence[_Client],
) -> _Fault | None:
    """The servers it forwards to do not answer: only names outside the cluster are missed."""
    missing = tuple(c for c in clients if not c.inside)
    said = next((x for x in reversed(lines) if _UPSTREAM.search(x[2])), None)
    found = _UPSTREAM.search(said[2]) if said else None
    if said is None or found is None or not missing:
        return None
    named = any(found[2] in word for d in core.all("forward") for word in d.words)
    where = "named in its Corefile" if named else f"which it has from {_forwards(core)}"
    words = (
        f"upstream resolver {found[2]}, {where}, does not answer ({found[3]}): `{cut(redact(said[2]), 160)}`"
    )
    fact = evidence.log_line(said[0], said[1], redact(cut(said[2])), 1)
    return _Fault(
        config, "DnsUpstreamUnreachable", words, 0.85 if named else 0.7, (fact,), missing, heard=not named
    )


def _forwards(core: Corefile) -> str:
    to = [word for d in core.all("forward") for word in d.words[1:]]
    return f"forward to {listing(to)}" if to else "no forward plugin"


# -- clients that ask somebody else ---------------------------------------------------------------


def _of_client(scene: Scene, client: _Client) -> Iterator[Observation]:
    """A pod that misses a cluster name because its DNS policy sends it elsewhere."""
    workload = next(iter(scene.graph.workloads_of(client.top)), client.top)
    spec = pod_spec(workload)
    policy = text(spec.get("dnsPolicy")) or "ClusterFirst"
    servers = strings(at(spec, "dnsConfig", "nameservers"))
    known = {text(s.spec.get("clusterIP")) for s in scene.deps.resolvers} - {"", "None"}
    if not client.inside:
        return
    if policy == "ClusterFirst" and spec.get("hostNetwork") is True:
        why = "it runs on the host's network, where dnsPolicy ClusterFirst means the node's resolver (ClusterFirstWithHostNet would ask cluster DNS)"
    elif policy == "Default":
        why = "its dnsPolicy Default means the node's resolver, which knows no Service"
    elif policy == "None" and known and not known & set(servers):
        why = f"its dnsConfig names {listing(servers) or 'no nameserver'}, not cluster DNS at {listing(sorted(known))}"
    else:
        return
    yield Observation(
        about=client.top,
        reason="DnsPolicyMissesCluster",
        text=f"{name_of(client.top)} cannot look up names of the cluster: {why}; its log: `{quote(client.said.line)}`",
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.88,
        facts=(
            evidence.field(
                workload,
                "spec.template.spec",
                {k: spec.get(k) for k in ("dnsPolicy", "hostNetwork", "dnsConfig") if k in spec},
                f"{name_of(workload)}: dnsPolicy {policy}",
            ),
            evidence.log_line(client.said.pod, client.said.container, client.said.line, client.said.count),
        ),
        basis=("its pod template's DNS policy", "its log cannot look up a name of the cluster"),
        remediation=remedies.edit(workload, f"Let {name_of(workload)} ask cluster DNS (dnsPolicy)."),
    )


def _observation(scene: Scene, server: KubeObject, fault: _Fault, *, broken: bool) -> Observation:
    edit = last_edit(fault.about)
    words = (
        f"Cluster DNS: {fault.words}"
        if fault.about is server
        else f"{name_of(fault.about)}, the Corefile of {name_of(server)}: {fault.words}"
    )
    if edit is not None:
        words += f"; edited at {clock(edit.at)} by {edit.by}"
    if fault.clients:
        words += f"; {listing([name_of(c.top) for c in fault.clients])} cannot look up names: `{quote(fault.clients[0].said.line)}`"
    stopped = fault.stops_server and broken
    explains = [Explains(c.top, 0.9, "it cannot look up names", deepest=Depth.process) for c in fault.clients]
    if stopped:
        explains.append(Explains(server, 0.95, "it cannot run with this Corefile", deepest=Depth.process))
    facts = list(fault.facts)
    if fault.about is not server:
        shown = {"Corefile": text(at(fault.about.body, "data", "Corefile"))}
        facts.insert(0, evidence.field(fault.about, "data", shown, f"Corefile of {name_of(server)}"))
    said = [evidence.log_line(c.said.pod, c.said.container, c.said.line, c.said.count) for c in fault.clients]
    return Observation(
        about=fault.about,
        reason=fault.reason,
        text=words,
        severity=FindingSeverity.critical if stopped or fault.clients else FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=fault.certainty,
        facts=(*facts, *said[:2]),
        basis=(
            "the Corefile itself" if fault.about is not server else "the Services there are",
            *(
                ("the DNS server's log speaks of the same",)
                if fault.facts and fault.about is not server
                else ()
            ),
            *(("clients' logs cannot look up names",) if fault.clients else ()),
        ),
        onset=edit.at if edit is not None else None,
        remediation=remedies.edit(
            fault.about,
            f"Correct {name_of(fault.about)}; cluster DNS reads it again within a minute where plugin `reload` is set.",
            restart=server if stopped else None,
        ),
        explains=tuple(explains),
        latent=fault.heard or not (stopped or fault.clients),
    )
