"""Turns an alert's labels into the object they speak of, and the owner an incident is about.

The one place where this is decided. The order of the labels is that of the earlier gateway (most
specific controller first, the pod last), except that a label whose object exists is preferred to one
whose object does not. `endpoint` and `instance` name scrape targets and are ignored, and so is
whatever an exporter says about itself; only the instance of a node's exporter, where it is a node, is what is measured.
`job` is read last of all, where a Service of the alert's namespace bears that name, as Prometheus calls the targets of a
Service. Reads the snapshot; asks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from libs.contracts.context import Resolution
from libs.contracts.target import Target
from services.context_api.domain.events import about, read_event
from services.context_api.domain.graph import HASHED, Graph
from services.context_api.domain.kube import entries, flat, text
from services.context_api.domain.queues import GROUP_LABELS, consumers
from services.context_api.domain.routes import reached
from services.context_api.domain.snapshot import KubeObject, Snapshot

LABELS: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("hpa", ("hpa", "horizontalpodautoscaler"), "HorizontalPodAutoscaler", "autoscaling/v2"),
    ("pdb", ("pdb", "poddisruptionbudget"), "PodDisruptionBudget", "policy/v1"),
    ("pvc", ("pvc", "persistentvolumeclaim"), "PersistentVolumeClaim", "v1"),
    ("deployment", ("deployment",), "Deployment", "apps/v1"),
    ("statefulset", ("statefulset",), "StatefulSet", "apps/v1"),
    ("daemonset", ("daemonset",), "DaemonSet", "apps/v1"),
    ("replicaset", ("replicaset",), "ReplicaSet", "apps/v1"),
    ("node", ("node",), "Node", "v1"),
    ("service", ("service",), "Service", "v1"),
    ("job_name", ("job_name",), "Job", "batch/v1"),
    ("cronjob", ("cronjob",), "CronJob", "batch/v1"),
    ("pod", ("pod", "pod_name"), "Pod", "v1"),
)
"""(name in the reason, label spellings, kind, apiVersion), in order of precedence."""

FURTHER: tuple[tuple[str, str, str], ...] = (
    ("resourcequota", "ResourceQuota", "v1"),
    ("replicationcontroller", "ReplicationController", "v1"),
    ("deploymentconfig", "DeploymentConfig", "apps.openshift.io/v1"),
    ("buildconfig", "BuildConfig", "build.openshift.io/v1"),
    ("ingress", "Ingress", "networking.k8s.io/v1"),
    ("route", "Route", "route.openshift.io/v1"),
    ("networkpolicy", "NetworkPolicy", "networking.k8s.io/v1"),
    ("configmap", "ConfigMap", "v1"),
    ("secret", "Secret", "v1"),
    ("persistentvolume", "PersistentVolume", "v1"),
)
"""Read when none of the above is there."""

LONGEST_VALUE = 1024
"""Characters of a label or annotation that is passed on; `last-applied-configuration` is longer."""

_MADE = re.compile(r"(?:created|deleted|create|delete) (?:pod|job):? (\S+)", re.IGNORECASE)
"""`Created pod: x`, `Deleted job x`, `delete Pod x in StatefulSet y successful`."""

CLUSTER_SCOPED = frozenset({"Node", "PersistentVolume", "Namespace"})

_EXPORTER = re.compile(
    r"^(?:[\w-]+-)?(?:kube-state-metrics|openshift-state-metrics|exporter|pushgateway|cadvisor|kubelet)(?:-[\w-]*)?$"
)
_NODE_EXPORTER = re.compile(r"node-?exporter|windows-?exporter")
_OF_MACHINES = ("device", "mountpoint", "fstype", "nodename", "chip")
"""Labels of metrics about a machine's parts."""

_PROBED = ("instance", "target", "url", "probe")
"""Labels in which probers name the URL that they ask for."""

_API_JOB = re.compile(r"(?:kube-)?apiserver$|kubernetes-apiservers?$")
_API_RULE = re.compile(r"Kube(?:rnetes)?API|API-?Server", re.IGNORECASE)
"""How rules about the API server are called in the kubernetes-mixin and in what was made after it."""

_API_PLACES = frozenset({"", "default", "kube-system", "openshift-kube-apiserver"})
"""Elsewhere an "API server" is somebody's own program."""

_SCRAPED = frozenset({"pod", "service", "container"})
_KIND_LABELS = ("customresource_kind", "kind", "resource_kind")
_NAME_LABELS = ("name", "scaledObject", "gateway")
"""Labels with which platforms' own metrics name their objects: cert-manager, Argo CD, Flux, OLM, KEDA."""
_APP_LABELS = (
    "app",
    "app_kubernetes_io_name",
    "app_kubernetes_io_instance",
    "k8s_app",
    "workload",
    "container",
)
_WORKLOAD_KINDS = (
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "DeploymentConfig",
    "CronJob",
    "Job",
    "ReplicaSet",
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    label: str
    target: Target
    found: KubeObject | None


def resolve(snapshot: Snapshot, labels: Mapping[str, str], cluster: str = "local") -> Resolution:
    """The object the labels name, its top owner, whether it exists, and which label decided."""
    return resolve_in(Graph(snapshot), labels, cluster)


def resolve_in(graph: Graph, labels: Mapping[str, str], cluster: str = "local") -> Resolution:
    """`resolve` over a graph that is already built."""
    candidates = list(_candidates(graph, _own_labels(labels), cluster))
    chosen = next((c for c in candidates if c.found), None) or next(iter(candidates), None)
    if chosen is None:
        chosen = next(_guesses(graph, _own_labels(labels), cluster), None)
    if chosen is None:
        return Resolution(
            target=None,
            owner=None,
            exists=False,
            reason="no-target-label",
            detail="none of the labels names a Kubernetes object (endpoint and instance are not read)",
        )
    measured = next(_measured_node(graph, labels, cluster), None)
    if chosen.found is not None and measured is not None and _runs_everywhere(graph, chosen.found):
        chosen = measured
    # What is scraped is an address; a URL as instance is what a prober, whatever it is called, asked for.
    chosen = next(_probed(graph, {"instance": labels.get("instance", "")}, cluster), None) or chosen
    if chosen.found is not None:
        return _with_owner(graph, chosen, chosen.found, cluster)
    return _gone(graph, chosen, cluster, labels)


def _own_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of the thing itself: `exported_pod` is the object where `pod` is the scraped exporter."""
    own = {k: v for k, v in labels.items() if isinstance(v, str) and v}
    if any(k.startswith("exported_") for k in own):
        # What was scraped is said beside it: what has no second spelling is the scraped program's.
        own = {k: v for k, v in own.items() if k not in _SCRAPED or f"exported_{k}" in own}
    own.update({k.removeprefix("exported_"): v for k, v in list(own.items()) if k.startswith("exported_")})
    return own


def _candidates(graph: Graph, labels: Mapping[str, str], cluster: str) -> Iterator[_Candidate]:
    spelled = [(word, spelling, kind, api) for word, names, kind, api in LABELS for spelling in names]
    further = [(word, word, kind, api) for word, kind, api in FURTHER]
    seen = False
    for word, spelling, kind, api in spelled + further:
        if (word, spelling, kind, api) in further and seen:
            return
        name = labels.get(spelling)
        if name is None or (kind in ("Service", "Pod") and is_exporter(name)):
            continue
        candidate = _candidate(graph, word, kind, api, labels.get("namespace"), name, cluster)
        if candidate is not None:
            seen = True
            yield candidate


def _candidate(
    graph: Graph, word: str, kind: str, api: str, namespace: str | None, name: str, cluster: str
) -> _Candidate | None:
    scope = None if kind in CLUSTER_SCOPED else namespace
    found = graph.get(kind, scope, name)
    if found is None and kind == "Node":
        found = graph.get(kind, None, name.partition(":")[0])
    if found is not None:
        return _Candidate(word, found.target(cluster), found)
    try:
        return _Candidate(
            word, Target(cluster=cluster, api_version=api, kind=kind, namespace=scope, name=name), None
        )
    except ValidationError:
        return None


def is_exporter(name: str) -> bool:
    """Whether a Service or pod of this name speaks about others rather than about itself."""
    return _EXPORTER.match(name) is not None


def _guesses(graph: Graph, labels: Mapping[str, str], cluster: str) -> Iterator[_Candidate]:
    """Looser words: owner labels, application labels, at last the namespace; only for objects that exist."""
    namespace = labels.get("namespace")
    yield from _probed(graph, labels, cluster)
    yield from _consumers(graph, labels, cluster)
    yield from _measured_node(graph, labels, cluster)
    yield from _platform_objects(graph, labels, namespace, cluster)
    yield from _api_server(graph, labels, cluster)
    for kind_label, name_label in (
        ("created_by_kind", "created_by_name"),
        ("owner_kind", "owner_name"),
        ("workload_type", "workload"),
    ):
        kind, name = labels.get(kind_label), labels.get(name_label)
        if kind and name:
            found = graph.find(kind, namespace, name)
            if found is not None:
                yield _Candidate(name_label, found.target(cluster), found)
    for label in _APP_LABELS:
        name = labels.get(label)
        if not name or not namespace or is_exporter(name):
            continue
        for kind in _WORKLOAD_KINDS:
            found = graph.get(kind, namespace, name)
            if found is not None:
                yield _Candidate(label, found.target(cluster), found)
        for key in ("app.kubernetes.io/name", "app", "k8s-app", "app.kubernetes.io/instance"):
            for carrier in graph.workloads_with(namespace, {key: name}):
                yield _Candidate(label, carrier.target(cluster), carrier)
    scraped = graph.get("Service", namespace, labels.get("job", ""))
    if scraped is not None and not is_exporter(scraped.name):
        yield _Candidate("job", scraped.target(cluster), scraped)
    if namespace and namespace in graph.names.namespaces:
        try:
            target = Target(cluster=cluster, kind="Namespace", name=namespace)
        except ValidationError:
            return
        yield _Candidate("namespace", target, graph.get("Namespace", None, namespace))


def _probed(graph: Graph, labels: Mapping[str, str], cluster: str) -> Iterator[_Candidate]:
    """The route or Service that a URL reaches: an alert about a page is about what serves it, not about who asked."""
    for label in _PROBED:
        url = labels.get(label, "")
        if url.startswith(("http://", "https://")):
            host = url.partition("://")[2].partition("/")[0].rpartition("@")[2].partition(":")[0]
            found = reached(graph, url) or graph.names.find(host, None)
            if found is not None:
                yield _Candidate(label, found.target(cluster), found)


def _api_server(graph: Graph, labels: Mapping[str, str], cluster: str) -> Iterator[_Candidate]:
    """The API server's own Service, which alerts about it do not name: by the job that scrapes it, or the rule's name."""
    server = graph.get("Service", "default", "kubernetes")
    if server is None or labels.get("namespace", "") not in _API_PLACES:
        return
    for label, pattern in (("job", _API_JOB), ("alertname", _API_RULE)):
        if pattern.match(labels.get(label, "")):
            yield _Candidate(label, server.target(cluster), server)


def _measured_node(graph: Graph, labels: Mapping[str, str], cluster: str) -> Iterator[_Candidate]:
    """The node that an exporter on it speaks of: by its name, or its address and port."""
    named = any(_NODE_EXPORTER.search(labels.get(name, "")) for name in ("job", "service", "container"))
    instance = labels.get("instance", "")
    host = instance.rpartition(":")[0] or instance
    if not host or not (named or any(name in labels for name in _OF_MACHINES)):
        return
    for node in graph.of_kind("Node"):
        addresses = {text(a.get("address")) for a in entries(node.status.get("addresses"))}
        if host == node.name or host in addresses:
            yield _Candidate("instance", node.target(cluster), node)


def _runs_everywhere(graph: Graph, found: KubeObject) -> bool:
    """Whether it is a program that runs once a node, and so may speak of its node."""
    tops = graph.behind(found) if found.kind == "Service" else [graph.top(found)]
    return bool(tops) and all(top.kind == "DaemonSet" for top in tops)


def _consumers(graph: Graph, labels: Mapping[str, str], cluster: str) -> Iterator[_Candidate]:
    """The workload that works for the consumer group an alert is about, if one alone does: the broker is elsewhere."""
    for label in GROUP_LABELS:
        found = consumers(graph, labels[label]) if label in labels and label != "group" else []
        if len(found) == 1:
            yield _Candidate(label, found[0].target(cluster), found[0])


def _platform_objects(
    graph: Graph, labels: Mapping[str, str], namespace: str | None, cluster: str
) -> Iterator[_Candidate]:
    """A custom resource of that name, if one alone can be meant: by its kind, else by what the alert is called."""
    kinds = {labels[label].casefold() for label in _KIND_LABELS if label in labels}
    called = re.sub(r"\W", "", labels.get("alertname", "")).casefold()
    for label in _NAME_LABELS:
        name = labels.get(label)
        found = [o for o in graph.named(name) if o.namespace in (namespace, None)] if name else []
        if kinds:
            found = [o for o in found if o.kind.casefold() in kinds]
        if len(found) > 1:
            found = [o for o in found if o.kind.casefold() in called]
        if len(found) == 1:
            yield _Candidate(label, found[0].target(cluster), found[0])


def _with_owner(graph: Graph, chosen: _Candidate, found: KubeObject, cluster: str) -> Resolution:
    top = graph.top(found)
    detail = f"label {chosen.label} names {chosen.target}"
    if top is not found:
        detail += f", which {top.kind} {top.name} owns"
    return _answer(graph, chosen.target, top, f"label:{chosen.label}", detail, cluster, exists=True)


def _gone(graph: Graph, chosen: _Candidate, cluster: str, labels: Mapping[str, str]) -> Resolution:
    """The named object is not in the evidence: a gone pod's name still tells who made it."""
    target = chosen.target
    detail = f"label {chosen.label} names {target}, which is not in the evidence"
    reason = f"label:{chosen.label}"
    maker = None
    if target.kind in ("Pod", "ReplicaSet", "Job"):
        maker = owner_by_name(graph, target.kind, target.namespace, target.name)
        maker = maker or _owner_by_label(graph, labels, target.namespace)
    if maker is None:
        return _answer(graph, target, None, reason, detail, cluster, exists=False)
    detail += f"; its name fits {maker.kind} {maker.name}"
    return _answer(graph, target, graph.top(maker), f"{reason}+owner-by-name", detail, cluster, exists=False)


def _answer(
    graph: Graph,
    target: Target,
    owner: KubeObject | None,
    reason: str,
    detail: str,
    cluster: str,
    *,
    exists: bool,
) -> Resolution:
    place = graph.get("Namespace", None, target.namespace) if target.namespace else None
    return Resolution(
        target=target,
        owner=owner.target(cluster) if owner else target,
        exists=exists,
        reason=reason,
        detail=detail,
        namespace_labels=_short(place.labels) if place else {},
        namespace_annotations=_short(place.annotations) if place else {},
        owner_labels=_short(owner.labels) if owner else {},
        owner_annotations=_short(owner.annotations) if owner else {},
    )


def _short(words: Mapping[str, str]) -> dict[str, str]:
    """Labels and annotations a decision may rest on; documents kept in annotations are left out."""
    return {k: v for k, v in flat(words).items() if len(v) <= LONGEST_VALUE}


def owner_by_name(graph: Graph, kind: str, namespace: str | None, name: str) -> KubeObject | None:
    """Who made an object that is gone, by the way controllers name what they make.

    ReplicaSet `<deployment>-<hash>`, its pods `<replicaset>-<5>`, StatefulSet pods `<name>-<ordinal>`,
    DaemonSet and Job pods `<name>-<5>`, CronJob's jobs `<name>-<minutes since 1970>`.
    """
    stem, _, tail = name.rpartition("-")
    if not stem:
        return None
    if kind == "ReplicaSet":
        return graph.get("Deployment", namespace, stem)
    if kind == "Job":
        return graph.get("CronJob", namespace, stem) if tail.isdigit() else None
    if tail.isdigit():
        found = graph.get("StatefulSet", namespace, stem)
        if found is not None:
            return found
    for maker in ("ReplicaSet", "DaemonSet", "Job", "ReplicationController"):
        found = graph.get(maker, namespace, stem)
        if found is not None:
            return found
    hashed = HASHED.match(stem)
    if hashed is None:
        return None
    return graph.get("Deployment", namespace, hashed["owner"]) or graph.get(
        "CronJob", namespace, hashed["owner"]
    )


def owner_by_event(graph: Graph, kind: str, namespace: str | None, name: str) -> KubeObject | None:
    """Who made or deleted a pod or job that is gone, by its controller's event."""
    if kind not in ("Pod", "Job"):
        return None
    for raw in graph.snapshot.events:
        event = read_event(raw)
        said = (
            _MADE.search(event.message) if event.reason in ("SuccessfulCreate", "SuccessfulDelete") else None
        )
        if said is not None and said[1] == name:
            reference = about(raw)
            found = graph.get(text(reference.get("kind")), namespace, text(reference.get("name")))
            if found is not None:
                return found
    return None


def _owner_by_label(graph: Graph, labels: Mapping[str, str], namespace: str | None) -> KubeObject | None:
    for kind_label, name_label in (("created_by_kind", "created_by_name"), ("owner_kind", "owner_name")):
        kind, name = labels.get(kind_label), labels.get(name_label)
        if kind and name:
            return graph.find(kind, namespace, name) or owner_by_name(graph, kind, namespace, name)
    return None
