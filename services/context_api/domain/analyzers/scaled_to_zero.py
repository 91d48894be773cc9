"""Workloads scaled to zero replicas and suspended jobs and cron jobs: healthy by themselves, a cause when somebody needs them.

Sees the wanted replicas, how many the last `kubectl apply` had asked for, who set them and when: by managedFields,
and after `kubectl scale`, which leaves no name, by the controller's last report. Latent: it counts only when something
that depends on the workload fails, or the alert is about it. What its own scaler keeps at zero, saying that nobody asks
for it, is as it should be, unless a log complains about a Service before it. Where whoever set it also wrote into an annotation
why nothing runs, it was meant: then an alert about that very object has no cause in it. Nor has one that began more than a
day after the scaling, where no log misses it: what is scheduled is another matter, as its absence is noticed late. Cannot
know otherwise whether a person meant the scaling.

Rests on: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#scaling-a-deployment,
https://kubernetes.io/docs/concepts/workloads/controllers/job/#suspending-a-job (and a CronJob's `suspend`),
https://knative.dev/docs/serving/autoscaling/scale-to-zero/, https://keda.sh/docs/latest/concepts/scaling-deployments/
(condition Active).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import (
    SETTLING,
    Edit,
    last_applied,
    status_written,
    writer_of,
)
from services.context_api.domain.kube import at, condition, number, replicas
from services.context_api.domain.notes import MEANT, is_noted
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "scaled_to_zero"
LONG_BEFORE = timedelta(days=1)
"""What was scaled this long before an alert did not begin it. A guess; no rule about a workload that runs waits that long."""

_SCALED = frozenset(
    {"Deployment", "StatefulSet", "ReplicationController", "DeploymentConfig", "Rollout", "ReplicaSet"}
)


def observe(scene: Scene) -> Iterator[Observation]:
    """One latent observation per workload that is asked to run nothing."""
    for workload in scene.graph.workloads:
        if workload.kind == "ReplicaSet" and workload.metadata.get("ownerReferences"):
            continue  # an earlier revision, whose Deployment is not in the evidence
        suspended = workload.kind in ("CronJob", "Job") and workload.spec.get("suspend") is True
        if not suspended and not (workload.kind in _SCALED and replicas(workload) == 0):
            continue
        if not suspended and _at_rest(scene, workload) and not _asked_for(scene, workload):
            continue
        field = "spec.suspend" if suspended else "spec.replicas"
        edit = _edit(workload, field)
        when = f" since {clock(edit.at)}{f' (by {edit.by})' if edit.by else ''}" if edit is not None else ""
        asked = number(at(last_applied(workload), "spec", "replicas"))
        if asked and not suspended:
            when += f", where the last `kubectl apply` asked for {asked} ({asked} → 0)"
        state = "suspended" if suspended else "scaled to 0 replicas"
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
            certainty=MEANT if _is_meant(scene, workload, field) else 0.85,
            facts=(
                evidence.field(workload, field, True if suspended else 0, f"{name_of(workload)} is {state}"),
            ),
            basis=("the workload's own spec",),
            onset=edit.at if edit is not None else None,
            remediation=fix,
            latent=True,
        )


def _at_rest(scene: Scene, workload: KubeObject) -> bool:
    """Whether a scaler of its own says that it is not active, and neither is paused nor blind."""
    for link in scene.needs.scalers(workload):
        active, ready = condition(link, "Active"), condition(link, "Ready")
        paused = any("paused" in key for key in link.annotations)
        if active is None or active.status != "False" or paused:
            continue
        if ready is None or ready.status == "True" or ready.reason == active.reason:
            return True
    return False


def _is_meant(scene: Scene, workload: KubeObject, field: str) -> bool:
    """Whether a note says why, and nobody misses it: the alert is about it, or no log complains of a Service before it.

    Or whether it was so for long when an alert about it began, and nobody misses it.
    """
    about = scene.target is not None and scene.graph.top(scene.target) is scene.graph.top(workload)
    missed = workload.kind not in _SCALED or _asked_for(scene, workload)
    if is_noted(workload, field):
        return about or not missed
    return about and not missed and not _lately(scene, workload, field)


def _lately(scene: Scene, workload: KubeObject, field: str) -> bool:
    """Whether it is known to have been set within a day before the alert, or since."""
    edit = _edit(workload, field)
    since = edit.at if edit is not None else workload.created_at
    return since is not None and (scene.onset or scene.now) - LONG_BEFORE <= since <= scene.now


def _asked_for(scene: Scene, workload: KubeObject) -> bool:
    """Whether somebody's log complains about a Service that leads to it: then it is missed after all."""
    top = scene.graph.top(workload)
    others = {id(t): t for w in scene.graph.workloads if (t := scene.graph.top(w)) is not top}
    return any(
        said.found is not None and top in scene.deps.behind(said.found)
        for other in others.values()
        for said in scene.deps.spoken(other)
    )


def scaled_since(workload: KubeObject) -> datetime | None:
    """When somebody asked for what its `spec.replicas` says now; None when it always was so."""
    edit = _edit(workload, "spec.replicas")
    return edit.at if edit is not None else None


def _edit(workload: KubeObject, field: str) -> Edit | None:
    """When it was scaled or suspended, and by whom if that is written; None when it always was so."""
    written = writer_of(workload, field)
    if written is None and field == "spec.replicas":
        reported = status_written(workload)
        written = Edit(reported, "", (field,)) if reported is not None else None
    if written is None or (workload.created_at and written.at - workload.created_at <= SETTLING):
        return None
    return written
