"""Pods whose sandbox cannot be made: the network plugin fails or has no addresses left.

Sees FailedCreatePodSandBox events of pods that still wait for their containers, names the plugin, and blames the
daemon set that looks like it. No fault is one of a pod's first minute, nor one after which the kubelet went on (`events`):
a node that has just come has no network plugin yet, and the kubelet tries again. Cannot see the plugin's own log on the node.

Rests on: kubernetes.io/docs, "Network Plugins"; the CNI specification's error format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import containers_of
from services.context_api.domain.events import Event, overtaken
from services.context_api.domain.kube import text
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import how_many, pods_by_top

NAME = "pod_sandbox"
PATIENCE = timedelta(minutes=1)
"""As for volumes: it may fail and be tried again this long after the pod was made."""

_PLUGIN = re.compile(
    r"plugin type=\\?\"([\w.-]+)\\?\"|networkPlugin (\w+)|\b(calico|cilium|flannel|weave|aws-cni|azure-vnet|ovn|multus|antrea)\b",
    re.IGNORECASE,
)
_FAMILIES = {
    "aws-cni": "aws-node",
    "ovn-k8s-cni-overlay": "ovnkube",
    "multus-shim": "multus",
    "cilium-cni": "cilium",
}


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload whose pods get no sandbox."""
    failing = {id(p): e for p in scene.graph.pods if (e := failure(scene, p))}
    for top, pods in pods_by_top(scene, [p for p in scene.graph.pods if id(p) in failing]):
        yield _observation(scene, top, pods, failing[id(pods[0])])


def failure(scene: Scene, pod: KubeObject) -> Event | None:
    """The event that tells why a pod that still waits has no sandbox; None for all others."""
    if pod.status.get("phase") != "Pending" or not text(pod.spec.get("nodeName")):
        return None
    if not any(c.waiting_reason in ("ContainerCreating", "PodInitializing") for c in containers_of(pod)):
        return None
    if pod.created_at is not None and scene.now - pod.created_at < PATIENCE:
        return None
    every = scene.graph.events_about(pod)
    events = [e for e in every if e.reason in ("FailedCreatePodSandBox", "NetworkNotReady")]
    return events[-1] if events and not overtaken(every, events[-1]) else None


def _observation(scene: Scene, top: KubeObject, pods: list[KubeObject], event: Event) -> Observation:
    found = _PLUGIN.search(event.message)
    plugin = next((g for g in found.groups() if g), "").lower() if found else ""
    node = scene.graph.get("Node", None, text(pods[0].spec.get("nodeName")))
    blames = [
        Blame(d, 0.9, f"it looks like the network plugin `{plugin}`") for d in _plugin_sets(scene, plugin)
    ]
    if node is not None:
        blames.append(Blame(node, 0.7, f"its pods wait on node {node.name}"))
    return Observation(
        about=top,
        reason="SandboxNotCreated",
        text=f"The sandbox of {how_many(scene, top, pods)} cannot be made{f' (network plugin {plugin})' if plugin else ''}: `{quote(event.message)}`",
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.75,
        facts=(evidence.event(pods[0], event),),
        basis=("the kubelet's event, and the pod still waits",),
        onset=event.first,
        remediation=remedies.look(pods[0], "Look at the network plugin's pod on that node."),
        blames=tuple(blames),
    )


def _plugin_sets(scene: Scene, plugin: str) -> list[KubeObject]:
    stem = _FAMILIES.get(plugin, plugin.removesuffix("-cni"))
    return [d for d in scene.graph.of_kind("DaemonSet") if len(stem) >= 3 and stem in d.name] if stem else []
