"""How the objects of a snapshot belong together: owners, pods of a workload, pods behind a Service.

Pure indexes, built once and filled when asked, so that an answer about one object does not cost the
reading of twenty thousand. Order of the input never matters: objects are sorted first, and of several
versions of one object the newest counts. What needs what stands in `edges.py`; blame in `causality.py`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property

from services.context_api.domain.containers import (
    Container,
    containers_of,
    is_live,
    is_made_up_for,
    is_ready,
    is_settled,
)
from services.context_api.domain.events import Event, EventIndex
from services.context_api.domain.kube import (
    WORKLOADS,
    condition,
    countable,
    entries,
    is_native,
    mapping,
    number,
    owner_named,
    selector_of,
    template_labels,
    text,
)
from services.context_api.domain.names import NameIndex
from services.context_api.domain.snapshot import KubeObject, Snapshot, once

Key = tuple[str, str, str, str]
LabelIndex = dict[tuple[str | None, str, str], list[tuple[KubeObject, Mapping[str, str]]]]
HASHED = re.compile(r"^(?P<owner>.+)-(?P<hash>[a-z0-9]{5,10})$")
_STOP = frozenset({"Node", "Namespace", "CustomResourceDefinition"})


def key_by_name(obj: KubeObject) -> Key:
    """What makes two printed objects the same object, uid aside (a deleted and re-made one counts as one); and an order
    that does not depend on where they were read."""
    return obj.kind, obj.namespace or "", obj.name, obj.group


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What stands behind a Service."""

    ready: int
    not_ready: int
    recorded: bool
    """Whether EndpointSlices or Endpoints were in the evidence; else the pods' own word counts."""


_ADDED = frozenset({"gateway.networking.k8s.io", "snapshot.storage.k8s.io"})
"""Groups under Kubernetes' own name that a cluster has only when somebody adds them."""


class Graph:
    """Ownership and selection over one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        newest: dict[Key, list[KubeObject]] = {}
        for obj in snapshot.objects:
            newest.setdefault(key_by_name(obj), []).append(obj)
        self._versions = {key: sorted(v, key=_age) for key, v in newest.items() if len(v) > 1}
        order = sorted(newest)
        current = [self._versions[k][-1] if k in self._versions else newest[k][0] for k in order]
        self.snapshot = replace(
            snapshot,
            objects=current,
            logs=sorted(snapshot.logs, key=lambda g: (g.namespace, g.pod, g.container, g.previous)),
        )
        self.now: datetime = snapshot.captured_at
        self.events = EventIndex(snapshot)
        self.names = NameIndex(self.snapshot)
        self._native: dict[str, list[KubeObject]] = {}
        self._owners: dict[int, KubeObject | None] = {}
        self._tops: dict[int, KubeObject] = {}
        self._workloads: dict[int, KubeObject] = {}

    # -- objects ---------------------------------------------------------------------------------

    def get(self, kind: str, namespace: str | None, name: str) -> KubeObject | None:
        return self.snapshot.get(kind, namespace, name)

    def find(self, kind: str, namespace: str | None, name: str) -> KubeObject | None:
        """Like `get`, for a kind a person typed (`deployment`) or a namespace that does not apply."""
        kind = next((k for k in self.snapshot.kinds if k.lower() == kind.lower()), kind)
        return self.get(kind, namespace, name) or self.get(kind, None, name)

    def of_kind(self, *kinds: str) -> list[KubeObject]:
        """All objects of these kinds, without namesakes of other API groups."""
        for kind in kinds:
            if kind not in self._native:
                self._native[kind] = [o for o in self.snapshot.of_kind(kind) if is_native(o)]
        return [o for kind in kinds for o in self._native[kind]]

    @cached_property
    def _custom(self) -> dict[str, list[KubeObject]]:
        index: dict[str, list[KubeObject]] = {}
        for obj in self.snapshot.objects:
            if "." in obj.group and (obj.group in _ADDED or not obj.group.endswith(".k8s.io")):
                index.setdefault(obj.name, []).append(obj)
        return index

    def named(self, name: str) -> Sequence[KubeObject]:
        """Objects of platforms' kinds (of API groups that are not Kubernetes' own) with that name."""
        return self._custom.get(name, [])

    def earlier(self, obj: KubeObject) -> Sequence[KubeObject]:
        """Older versions of the object in the same recording, oldest first."""
        return self._versions.get(key_by_name(obj), [])[:-1]

    def events_about(self, obj: KubeObject) -> Sequence[Event]:
        return self.events.of(obj)

    # -- owners ----------------------------------------------------------------------------------

    def owner(self, obj: KubeObject) -> KubeObject | None:
        """The controller of an object, when the evidence holds it."""
        key = id(obj)
        if key not in self._owners:
            self._owners[key] = self._find_owner(obj)
        return self._owners[key]

    def _find_owner(self, obj: KubeObject) -> KubeObject | None:
        named = owner_named(obj)
        if named is None:
            return None
        uid, kind, name = named
        found = self.snapshot.by_uid(uid) if uid else None
        if found is not None and found.kind == kind:
            return found
        return (
            self.get(kind, obj.namespace, name)
            or self.get(kind, None, name)
            or self._renamed(kind, name, obj)
        )

    def _renamed(self, kind: str, name: str, obj: KubeObject) -> KubeObject | None:
        """A Deployment whose ReplicaSet was not recorded: the hash at the end tells its name."""
        hashed = HASHED.match(name)
        if hashed is None:
            return None
        above = {
            "ReplicaSet": "Deployment",
            "ReplicationController": "DeploymentConfig",
            "Job": "CronJob",
        }.get(kind)
        return self.get(above, obj.namespace, hashed["owner"]) if above else None

    def top(self, obj: KubeObject) -> KubeObject:
        """The uppermost controller: whom a person must change, as lower objects are written over.

        A custom resource that owns a workload counts; nodes, which own static pods, do not.
        """
        chain, passed = [obj], {id(obj): 0}
        while True:
            known = self._tops.get(id(chain[-1]))
            above = self.owner(chain[-1]) if known is None else None
            if above is None or above.kind in _STOP:
                found = known or chain[-1]
                break
            if id(above) in passed:  # a ring has no uppermost; whoever asks is told the same one
                found = min(chain[passed[id(above)] :], key=key_by_name)
                break
            passed[id(above)] = len(chain)
            chain.append(above)
        self._tops.update((id(one), found) for one in chain)
        return found

    def workload(self, obj: KubeObject) -> KubeObject:
        """The uppermost owner that carries a pod template (a custom resource above it is left out)."""
        if id(obj) not in self._workloads:
            self._workloads[id(obj)] = self._find_workload(obj)
        return self._workloads[id(obj)]

    def _find_workload(self, obj: KubeObject) -> KubeObject:
        best, here = obj, obj
        for _ in range(12):
            above = self.owner(here)
            if above is None or above.kind not in WORKLOADS or above is best:
                break
            best = here = above
        return best

    # -- pods ------------------------------------------------------------------------------------

    @cached_property
    def pods(self) -> list[KubeObject]:
        """Pods that are meant to run."""
        return [p for p in self.snapshot.of_kind("Pod") if is_live(p)]

    @cached_property
    def _pods_by_owner(self) -> dict[int, list[KubeObject]]:
        index: dict[int, list[KubeObject]] = {}
        for pod in self.snapshot.of_kind("Pod"):
            owner = self.owner(pod)
            if owner is not None:
                index.setdefault(id(owner), []).append(pod)
        return index

    def made_by(self, owner: KubeObject) -> Sequence[KubeObject]:
        """All pods an object controls directly, ended ones too."""
        return self._pods_by_owner.get(id(owner), [])

    @cached_property
    def _pods_by_namespace(self) -> dict[str | None, list[KubeObject]]:
        index: dict[str | None, list[KubeObject]] = {}
        for pod in self.pods:
            index.setdefault(pod.namespace, []).append(pod)
        return index

    def pods_in(self, namespace: str | None) -> Sequence[KubeObject]:
        """Live pods of one namespace."""
        return self._pods_by_namespace.get(namespace, [])

    @cached_property
    def restless(self) -> list[Container]:
        """Containers of pods in which not everything runs, is ready and never ended: the others have no trouble."""
        uneasy = (pod for pod in self.pods if not is_settled(pod) and not self._is_made_up_for(pod))
        return [c for pod in uneasy for c in containers_of(pod)]

    def _is_made_up_for(self, pod: KubeObject) -> bool:
        job = self.owner(pod) if pod.status.get("phase") == "Failed" else None
        return job is not None and is_made_up_for(job, self.owner(job))

    @cached_property
    def _pods_by_top(self) -> dict[int, list[KubeObject]]:
        index: dict[int, list[KubeObject]] = {}
        # Replicas share their owner, so what stands above it is looked up once for all of them.
        above: dict[int, set[int]] = {}
        for pod in self.pods:
            direct = self.owner(pod)
            if direct is None:
                continue
            if id(direct) not in above:
                owners = above[id(direct)] = {id(direct)}
                if direct.kind in WORKLOADS:
                    owners.add(id(self.workload(direct)))
                if direct.kind not in _STOP:
                    owners.add(id(self.top(direct)))
            for one in above[id(direct)]:
                index.setdefault(one, []).append(pod)
        return index

    def pods_of(self, obj: KubeObject) -> Sequence[KubeObject]:
        """Live pods an object owns, at any depth; a pod's own self."""
        owned = self._pods_by_top.get(id(obj), [])
        return [obj, *owned] if obj.kind == "Pod" and id(obj) in self._live else owned

    @cached_property
    def _live(self) -> frozenset[int]:
        return frozenset(map(id, self.pods))

    @cached_property
    def _pods_by_node(self) -> dict[str, list[KubeObject]]:
        index: dict[str, list[KubeObject]] = {}
        for pod in self.pods:
            index.setdefault(node_of(pod), []).append(pod)
        return index

    def pods_on(self, node: str) -> Sequence[KubeObject]:
        """Live pods placed on the node of that name."""
        return self._pods_by_node.get(node, []) if node else []

    @cached_property
    def workloads(self) -> list[KubeObject]:
        """Objects with a pod template that nothing with a template owns, and bare pods."""
        found = [
            o
            for o in self.of_kind(*sorted(WORKLOADS))
            if o.kind != "Pod" and self.workload(o) is o and has_template(o)
        ]
        return found + [p for p in self.pods if self.workload(p) is p]

    @cached_property
    def _workloads_by_top(self) -> dict[int, list[KubeObject]]:
        index: dict[int, list[KubeObject]] = {}
        for workload in self.workloads:
            index.setdefault(id(self.top(workload)), []).append(workload)
        return index

    def workloads_of(self, obj: KubeObject) -> Sequence[KubeObject]:
        """The workloads under a top owner (itself, when it is one)."""
        return self._workloads_by_top.get(id(obj)) or ([obj] if obj.kind in WORKLOADS else [])

    @cached_property
    def _workloads_by_namespace(self) -> dict[str | None, list[KubeObject]]:
        index: dict[str | None, list[KubeObject]] = {}
        for workload in self.workloads:
            index.setdefault(workload.namespace, []).append(workload)
        return index

    def workloads_in(self, namespace: str | None) -> Sequence[KubeObject]:
        """Workloads of one namespace."""
        return self._workloads_by_namespace.get(namespace, [])

    # -- selection -------------------------------------------------------------------------------

    @cached_property
    def _pods_by_label(self) -> LabelIndex:
        return _by_label((pod, template_labels(pod)) for pod in self.pods)

    @cached_property
    def _workloads_by_label(self) -> LabelIndex:
        return _by_label((w, template_labels(w)) for w in self.workloads)

    def pods_with(self, namespace: str | None, labels: Mapping[str, str]) -> list[KubeObject]:
        """Live pods that carry all these labels; none for an empty selector."""
        return _carrying(self._pods_by_label, namespace, labels)

    def workloads_with(self, namespace: str | None, labels: Mapping[str, str]) -> list[KubeObject]:
        """Workloads whose pods would carry all these labels, whether or not they have pods."""
        return _carrying(self._workloads_by_label, namespace, labels)

    @cached_property
    def _label_values(self) -> dict[tuple[str | None, str], list[str]]:
        index: dict[tuple[str | None, str], list[str]] = {}
        for namespace, key, value in sorted(self._workloads_by_label, key=lambda k: (k[0] or "", k[1], k[2])):
            index.setdefault((namespace, key), []).append(value)
        return index

    def label_values(self, namespace: str | None, key: str) -> Sequence[str]:
        """Values of a label on the pods of workloads in a namespace."""
        return self._label_values.get((namespace, key), [])

    def workloads_named(self, namespace: str | None, name: str) -> list[KubeObject]:
        found = [self.get(kind, namespace, name) for kind in sorted(WORKLOADS)]
        return [w for w in found if w is not None and self.workload(w) is w]

    @cached_property
    def _services_by_namespace(self) -> dict[str | None, list[KubeObject]]:
        index: dict[str | None, list[KubeObject]] = {}
        for service in self.of_kind("Service"):
            index.setdefault(service.namespace, []).append(service)
        return index

    def services_in(self, namespace: str | None) -> Sequence[KubeObject]:
        """Services of one namespace."""
        return self._services_by_namespace.get(namespace, [])

    def behind(self, service: KubeObject) -> list[KubeObject]:
        """Top owners of what a Service selects."""
        selector = selector_of(service)
        found = [self.top(o) for o in self.pods_with(service.namespace, selector)]
        found += [self.top(o) for o in self.workloads_with(service.namespace, selector)]
        return list({id(o): o for o in found}.values())

    @cached_property
    def _slices(self) -> dict[tuple[str | None, str], list[KubeObject]]:
        index: dict[tuple[str | None, str], list[KubeObject]] = {}
        for piece in self.snapshot.of_kind("EndpointSlice"):
            name = text(piece.labels.get("kubernetes.io/service-name"))
            index.setdefault((piece.namespace, name), []).append(piece)
        return index

    def endpoints(self, service: KubeObject) -> Endpoints:
        """Ready and not ready addresses: of slices, else of Endpoints, else by the selected pods."""
        pieces = [p for p in self._slices.get((service.namespace, service.name), []) if _listed(p)]
        if pieces:
            counted = [_counted(piece) for piece in pieces]
            return Endpoints(sum(r for r, _ in counted), sum(n for _, n in counted), recorded=True)
        old = self.get("Endpoints", service.namespace, service.name)
        if old is not None and _addressed(old):
            subsets = entries(old.body.get("subsets"))
            return Endpoints(
                sum(len(entries(s.get("addresses"))) for s in subsets),
                sum(len(entries(s.get("notReadyAddresses"))) for s in subsets),
                recorded=True,
            )
        pods = self.pods_with(service.namespace, selector_of(service))
        return Endpoints(sum(map(is_ready, pods)), sum(map(_says_unready, pods)), recorded=False)

    def served(self, namespace: str | None, name: str) -> list[KubeObject]:
        """Top owners of the pods that a Service's endpoints name: for one that was not recorded itself."""
        listed = [
            e for p in self._slices.get((namespace, name), []) for e in entries(p.body.get("endpoints"))
        ]
        old = self.get("Endpoints", namespace, name)
        for subset in entries(old.body.get("subsets")) if old is not None else ():
            listed += [*entries(subset.get("addresses")), *entries(subset.get("notReadyAddresses"))]
        pods = [
            self.get("Pod", namespace, text(reference.get("name")))
            for reference in (mapping(e.get("targetRef")) for e in listed)
            if reference.get("kind") == "Pod"
        ]
        return list({id(t): t for t in (self.top(p) for p in pods if p is not None)}.values())

    def served_nodes(self, service: KubeObject) -> set[str]:
        """Nodes with a ready endpoint: of slices, else by the selected pods."""
        pieces = [p for p in self._slices.get((service.namespace, service.name), []) if _listed(p)]
        if pieces:
            return {
                text(e.get("nodeName"))
                for piece in pieces
                for e in entries(piece.body.get("endpoints"))
                if mapping(e.get("conditions")).get("ready") is not False
            } - {""}
        pods = self.pods_with(service.namespace, selector_of(service))
        return {text(p.spec.get("nodeName")) for p in pods if is_ready(p)} - {""}


def _says_unready(pod: KubeObject) -> bool:
    """Whether its own words are that it is not ready; conditions nobody can read say nothing."""
    state = condition(pod, "Ready")
    return state.status in ("False", "Unknown") if state is not None else pod.status.get("phase") == "Pending"


@once
def node_of(pod: KubeObject) -> str:
    """Where it was placed; empty: nowhere yet."""
    return text(pod.spec.get("nodeName"))


@once
def has_template(obj: KubeObject) -> bool:
    return bool(mapping(obj.spec.get("template") or obj.spec.get("jobTemplate")))


@once
def _listed(piece: KubeObject) -> bool:
    """Whether a slice's endpoints can be counted."""
    return countable(piece.body.get("endpoints"))


@once
def _counted(piece: KubeObject) -> tuple[int, int]:
    """Its ready endpoints, and those that are not."""
    ready = [
        mapping(e.get("conditions")).get("ready") is not False for e in entries(piece.body.get("endpoints"))
    ]
    return sum(ready), len(ready) - sum(ready)


def _addressed(old: KubeObject) -> bool:
    """The same of an Endpoints' addresses."""
    subsets = old.body.get("subsets")
    return countable(subsets) and all(
        countable(s.get("addresses")) and countable(s.get("notReadyAddresses")) for s in entries(subsets)
    )


def _age(obj: KubeObject) -> tuple[int, int, str]:
    version = text(obj.metadata.get("resourceVersion"))
    return number(obj.metadata.get("generation")), number(version), f"{version}{obj.origin}"


def _by_label(items: Iterable[tuple[KubeObject, Mapping[str, str]]]) -> LabelIndex:
    index: LabelIndex = defaultdict(list)
    for item in items:
        obj, labels = item
        namespace = obj.namespace
        for key, value in labels.items():
            index[namespace, key, value].append(item)
    return index


def _carrying(index: LabelIndex, namespace: str | None, labels: Mapping[str, str]) -> list[KubeObject]:
    if not labels:
        return []
    rarest = min((index.get((namespace, k, v), []) for k, v in labels.items()), key=len)
    return [obj for obj, carried in rarest if all(carried.get(k) == v for k, v in labels.items())]
