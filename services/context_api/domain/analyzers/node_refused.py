"""Pods a kubelet would not take although the scheduler placed them there: no room left, no device, no matching label.

Sees pods that failed before anything ran with the kubelet's own reason (`OutOfcpu`, `UnexpectedAdmissionError`,
`TopologyAffinityError` …) within the hour. Their owner makes others; latent while all of those are ready.
Cannot see what took the room on the node between placing and starting.

Rests on: https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/ (static pods and admission),
https://kubernetes.io/docs/tasks/administer-cluster/topology-manager/ (TopologyAffinityError),
https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/ (UnexpectedAdmissionError).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import is_ready
from services.context_api.domain.kube import listing, text
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import name_of, pods_by_top

NAME = "node_refused"
RECENT = timedelta(hours=1)
_REASON = re.compile(
    r"^(?:OutOf[a-z.\-/]+|UnexpectedAdmissionError|TopologyAffinityError|SMTAlignmentError|NodeAffinity|NodePorts|TaintToleration)$"
)


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload whose pods were refused."""
    refused = [
        p
        for p in scene.snapshot.of_kind("Pod")
        if p.status.get("phase") == "Failed"
        and _REASON.match(text(p.status.get("reason"))[:80])
        and (began := parse_time(p.status.get("startTime")) or p.created_at) is not None
        and scene.now - began <= RECENT
    ]
    for top, pods in pods_by_top(scene, refused):
        yield _observation(scene, top, pods)


def _observation(scene: Scene, top: KubeObject, pods: list[KubeObject]) -> Observation:
    first = pods[0]
    reason, message = text(first.status.get("reason")), cut(redact(text(first.status.get("message"))), 260)
    node = scene.graph.get("Node", None, text(first.spec.get("nodeName")))
    others = [p for p in scene.graph.pods_of(top) if not any(p is one for one in pods)]
    words = f"The kubelet of node {text(first.spec.get('nodeName')) or 'its node'} refused {len(pods)} pods of {name_of(top)} ({listing([p.name for p in pods], 2)}): {reason}, `{message}`"
    return Observation(
        about=top,
        reason="RefusedByNode",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.8,
        facts=(evidence.field(first, "status", {"reason": reason, "message": message}, words),),
        basis=("the kubelet's word in the pods' status",),
        onset=min((m for p in pods if (m := parse_time(p.status.get("startTime")) or p.created_at)), default=None),
        remediation=remedies.look(top, "Compare what its pods ask for with what the node has left; pods placed by nodeName skip the scheduler."),
        blames=(Blame(node, 0.7, f"node {node.name} refused its pods"),) if node is not None else (),
        latent=bool(others) and all(is_ready(p) for p in others),
    )  # fmt: skip
