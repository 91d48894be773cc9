"""Objects that were deleted and do not go: finalizers nobody serves, namespaces with contents left, pods that hang.

Sees deletion times, finalizers and who set them (managedFields), a namespace's own conditions and what in it hangs, and
a pod's grace period against its node's state. Blames the workload that runs under the name of the finalizer's manager;
an API that does not answer is told by `api_service`; a claim in use names its users. A deletion under way is healthy.
Cannot see whether a finalizer's controller is still at work when nothing is recorded of it.

Rests on: https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/,
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/namespace-v1/ (NamespaceDeletionContentFailure,
NamespaceDeletionDiscoveryFailure, NamespaceFinalizersRemaining), https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import (
    at,
    conditions,
    containers,
    entries,
    listing,
    mapping,
    number,
    pod_spec,
    strings,
    text,
)
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.uses import CLAIM, users_of_claim
from services.context_api.domain.wording import clock, name_of, span

NAME = "stuck_deletion"
PATIENCE = timedelta(minutes=5)
"""Beyond the grace period; clean-up by controllers takes seconds to minutes."""


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per object whose deletion hangs."""
    for obj in scene.snapshot.objects:
        since = parse_time(obj.metadata.get("deletionTimestamp")) if obj.is_leaving else None
        if since is None:
            continue
        # A pod's deletionTimestamp already includes its grace period.
        late = scene.now - since
        if late > PATIENCE:
            yield _observation(scene, obj, late)


def _keepers(scene: Scene, obj: KubeObject, finalizers: list[str]) -> list[KubeObject]:
    """Workloads that run under the name of the manager that set one of the finalizers."""
    managers: set[str] = set()
    for entry in entries(obj.metadata.get("managedFields")):
        held = mapping(at(entry, "fieldsV1", "f:metadata", "f:finalizers"))
        if any(f'v:"{f}"' in held for f in finalizers):
            managers.add(text(entry.get("manager")))
    managers -= {
        "",
        "kubectl",
        "kubectl-edit",
        "kubectl-client-side-apply",
        "kube-apiserver",
        "kube-controller-manager",
    }
    return [scene.graph.top(w) for w in scene.graph.workloads if managers and managers & _called(w)][:3]


def _users(scene: Scene, obj: KubeObject, finalizers: list[str]) -> list[KubeObject]:
    """Whose pods still mount a claim that waits for nothing else."""
    if obj.kind != CLAIM or "kubernetes.io/pvc-protection" not in finalizers:
        return []
    return users_of_claim(scene.graph, obj.namespace, obj.name)


def _called(workload: KubeObject) -> set[str]:
    """Names a workload's program may give itself as a field manager."""
    names = {workload.name}
    for container in containers(pod_spec(workload)):
        names.add(text(container.get("name")))
        names.update(word.rpartition("/")[2] for word in strings(container.get("command"))[:1])
    return names - {"", "manager", "operator", "controller"} | ({workload.name})


def _hanging_in(scene: Scene, namespace: KubeObject) -> list[KubeObject]:
    """What was deleted in a namespace, waits for a finalizer, and keeps the namespace."""
    return [
        o
        for o in scene.snapshot.objects
        if o.namespace == namespace.name
        and o.metadata.get("deletionTimestamp")
        and strings(o.metadata.get("finalizers"))
    ][:5]


def _observation(scene: Scene, obj: KubeObject, late: timedelta) -> Observation:
    finalizers = strings(obj.metadata.get("finalizers")) + strings(obj.spec.get("finalizers"))
    since = parse_time(obj.metadata.get("deletionTimestamp"))
    words = f"{name_of(obj)} was deleted and is still there after {span(late.total_seconds())} (since {clock(since)})"
    if finalizers:
        words += f": it waits for finalizer {listing([f'`{f}`' for f in finalizers])}"
    left = (
        [quote(c.message) for c in conditions(obj) if c.status == "True" and c.message]
        if obj.kind == "Namespace"
        else []
    )
    if left:
        words += f"; {listing(left, 2)}"
    keepers = _keepers(scene, obj, finalizers)
    if keepers:
        words += f", which {name_of(keepers[0])} set"
    users = _users(scene, obj, finalizers)
    if users:
        words += f"; {listing([name_of(u) for u in users])} still uses it"
    inside = _hanging_in(scene, obj) if obj.kind == "Namespace" else []
    if inside:
        words += f"; {listing([name_of(o) for o in inside])} hangs in it"
    node = scene.graph.get("Node", None, text(obj.spec.get("nodeName"))) if obj.kind == "Pod" else None
    return Observation(
        about=obj,
        reason="FinalizerStuck" if finalizers else "StuckTerminating",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.8 if finalizers or left else 0.6,
        facts=(
            evidence.field(
                obj,
                "metadata",
                {
                    "deletionTimestamp": text(obj.metadata.get("deletionTimestamp")),
                    "finalizers": finalizers,
                    "grace": number(obj.metadata.get("deletionGracePeriodSeconds")),
                },
                words,
                since,
            ),
        ),
        basis=("deletion time and finalizers of the object itself",),
        onset=since,
        remediation=remedies.look(
            obj,
            "Find out whether the finalizer's controller still runs before a finalizer is taken off by hand: what it cleans up would be left behind.",
        ),
        blames=(
            *([Blame(node, 0.9, f"its kubelet on node {node.name} must end it")] if node is not None else []),
            *(Blame(k, 0.85, "it set the finalizer and must take it off") for k in keepers),
            *(Blame(o, 0.9, "it lies in the namespace and does not go") for o in inside),
        ),
    )
