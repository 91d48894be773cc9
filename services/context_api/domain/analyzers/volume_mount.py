"""Volumes that cannot be attached or mounted though their claim is bound.

Sees attach and mount events of pods that wait for their containers: a volume still attached elsewhere
(ReadWriteOnce after a node died), a CSI driver that is not there, a wrong file system, NFS that refuses.
Missing ConfigMaps and Secrets are told by `config_missing`. No fault is one after which the kubelet went on (`events`):
it tries until the volume is there. Cannot see the storage itself.

Rests on: kubernetes.io/docs, "Persistent Volumes" (access modes), "Volumes" (csi).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import containers_of
from services.context_api.domain.events import Event, overtaken
from services.context_api.domain.kube import at, condition, listing, strings, text
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.references import references
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.uses import uses
from services.context_api.domain.wording import how_many, name_of, pods_by_top

NAME = "volume_mount"
PATIENCE = timedelta(minutes=1)
"""Mounting may fail and be tried again this long after the pod was made; caches need that time."""

_OTHERS = re.compile(
    r"(?:configmap|secret)s? \"|non-existent (?:config|secret) key|not registered|failed to sync (?:configmap|secret)",
    re.IGNORECASE,
)
_REASONS = ("FailedAttachVolume", "FailedMount", "FailedMapVolume")


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload whose pods wait for a volume."""
    failing = {id(p): event for p in scene.graph.pods if (event := _failure(scene, p))}
    for top, pods in pods_by_top(scene, [p for p in scene.graph.pods if id(p) in failing]):
        yield _observation(scene, top, pods, failing[id(pods[0])])


def _failure(scene: Scene, pod: KubeObject) -> Event | None:
    """The newest volume error of a pod that is placed and whose containers have not started."""
    if pod.status.get("phase") != "Pending" or not text(pod.spec.get("nodeName")):
        return None
    waiting = ("ContainerCreating", "PodInitializing")
    if not any(c.waiting_reason in waiting or not c.status for c in containers_of(pod)):
        return None
    created = pod.created_at
    if created is not None and scene.now - created < PATIENCE:
        return None
    every = scene.graph.events_about(pod)
    events = [
        e for e in every if e.reason in _REASONS and not _OTHERS.search(e.message) and not overtaken(every, e)
    ]
    # "Timed out waiting" repeats the news without its reason: prefer an event that has one.
    told = [e for e in events if not e.message.startswith("Unable to attach or mount volumes")]
    chosen = told or events
    return chosen[-1] if chosen else None


def _observation(scene: Scene, top: KubeObject, pods: list[KubeObject], event: Event) -> Observation:
    claims = [
        claim
        for reference in references(pods[0].spec)
        if reference.kind == "PersistentVolumeClaim"
        and (claim := scene.graph.get("PersistentVolumeClaim", pods[0].namespace, reference.name)) is not None
    ]
    multi = "Multi-Attach" in event.message
    words = f"A volume of {how_many(scene, top, pods)} cannot be {'attached' if multi else 'mounted'}: `{quote(event.message)}`"
    blames = [Blame(c, 0.8, "the pod waits for this claim") for c in claims]
    if multi:
        held, whose = _held(scene, top, pods[0], claims)
        words += held or "; it is ReadWriteOnce and still attached to another node"
        blames += whose
    return Observation(
        about=top,
        reason="VolumeMultiAttach"
        if multi
        else ("FailedAttachVolume" if event.reason == "FailedAttachVolume" else "FailedMount"),
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.82,
        facts=(evidence.event(pods[0], event),),
        basis=("the kubelet's or the attach controller's event, and the pod still waits",),
        onset=event.first,
        remediation=remedies.look(
            pods[0],
            "See which node holds the volume (kubectl get volumeattachments) before anything is forced.",
        ),
        blames=tuple(blames),
    )


def _held(
    scene: Scene, top: KubeObject, pod: KubeObject, claims: list[KubeObject]
) -> tuple[str, list[Blame]]:
    """Which pod on another node uses the claim already, in words, and whom that makes responsible."""
    for claim in claims:
        for other in scene.graph.pods_in(pod.namespace):
            node = text(other.spec.get("nodeName"))
            if (
                other is pod
                or not node
                or node == pod.spec.get("nodeName")
                or not uses(other, claim.kind, claim.name)
            ):
                continue
            words = f"; claim {claim.name} is {listing(strings(claim.spec.get('accessModes')))} and pod {other.name} on node {node} holds it"
            holder = scene.graph.top(other)
            if holder is not top:
                return f"{words}, which belongs to {name_of(holder)}", [
                    Blame(holder, 0.85, "it holds the volume")
                ]
            machine = scene.graph.get("Node", None, node)
            ready = condition(machine, "Ready") if machine is not None else None
            if machine is not None and ready is not None and ready.status != "True":
                return f"{words}; that node is not ready", [
                    Blame(machine, 0.9, "it holds the volume and does not answer")
                ]
            workload = scene.graph.workload(pod)
            if workload.kind == "Deployment" and at(workload.spec, "strategy", "type") != "Recreate":
                words += (
                    f": the old pod goes only when the new one is ready (strategy RollingUpdate of {name_of(workload)}), "
                    "and the new one starts only when the old has gone; strategy Recreate would let it go first"
                )
            return words, []
    return "", []
