"""Workloads scaled to zero replicas and suspended jobs and cron jobs: healthy by themselves, a cause when somebody needs them.

Sees the wanted replicas, who set them and when. Latent: it counts only when something that depends on the
workload fails, or the alert is about it. Cannot know whether the scaling was meant.

Rests on: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#scaling-a-deployment,
https://kubernetes.io/docs/concepts/workloads/controllers/job/#suspending-a-job (and a CronJob's `suspend`).
"""

from __future__ import annotations

from collections.abc import Iterator

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import last_edit
from services.context_api.domain.kube import replicas
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.wording import clock, name_of

NAME = "scaled_to_zero"
_SCALED = frozenset(
    {"Deployment", "StatefulSet", "ReplicationController", "DeploymentConfig", "Rollout", "ReplicaSet"}
)


def observe(scene: Scene) -> Iterator[Observation]:
    """One latent observation per workload that is asked to run nothing."""
    for workload in scene.graph.workloads:
        suspended = workload.kind in ("CronJob", "Job") and workload.spec.get("suspend") is True
        if not suspended and not (workload.kind in _SCALED and replicas(workload) == 0):
            continue
        edit = last_edit(workload)
        touched = edit is not None and any(
            p.startswith(("spec.replicas", "spec.suspend")) for p in edit.paths
        )
        when = f" since {clock(edit.at)} (by {edit.by})" if edit is not None and touched else ""
        state = "suspended" if suspended else "scaled to 0 replicas"
        field, value = ("spec.suspend", True) if suspended else ("spec.replicas", 0)
        fix = (
            remedies.edit(workload, f"Resume {name_of(workload)}.")
            if suspended
            else remedies.scale(workload, 1)
        )
        yield Observation(
            about=scene.graph.top(workload),
            reason="Suspended" if suspended else "ScaledToZero",
            text=f"{name_of(workload)} is {state}{when}, so none of its pods runs",
            severity=FindingSeverity.warning,
            analyzer=NAME,
            depth=Depth.mechanism,
            certainty=0.85,
            facts=(evidence.field(workload, field, value, f"{name_of(workload)} is {state}"),),
            basis=("the workload's own spec",),
            onset=edit.at if edit is not None and touched else None,
            remediation=fix,
            latent=True,
        )
