"""Memory limits nobody wrote into the workload: a LimitRange gave them, and they are too small.

Sees pods killed for memory whose limit the admission plugin says it set, and the LimitRange of their namespace.
Blames the LimitRange when it was edited or is younger than the workload; else the workload should name a limit.
Cannot know which limit would do.

Rests on: kubernetes.io/docs, "Limit Ranges" (defaults); the annotation `kubernetes.io/limit-ranger`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import first_seen_change, last_edit
from services.context_api.domain.kube import at, containers, entries, pod_spec, text
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "limit_default"


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per LimitRange whose default got somebody killed."""
    for killed in seen:
        if killed.reason != "OOMKilled":
            continue
        for pod in scene.graph.pods_of(killed.about):
            workload = scene.graph.workload(pod)
            if "memory limit" not in text(pod.annotations.get("kubernetes.io/limit-ranger")) or _sets_memory(
                workload
            ):
                continue
            ranges = [
                r for r in scene.graph.of_kind("LimitRange") if r.namespace == pod.namespace and _default(r)
            ]
            if ranges:
                yield _observation(ranges[0], killed, workload)
            break


def _sets_memory(workload: KubeObject) -> bool:
    return workload.kind != "Pod" and any(
        at(c, "resources", "limits", "memory") for c in containers(pod_spec(workload))
    )


def _default(found: KubeObject) -> str:
    return next(
        (
            text(at(limit, "default", "memory"))
            for limit in entries(found.spec.get("limits"))
            if at(limit, "default", "memory")
        ),
        "",
    )


def _observation(found: KubeObject, killed: Observation, workload: KubeObject) -> Observation:
    edit, since = last_edit(found), first_seen_change(found)
    younger = since is not None and workload.created_at is not None and since > workload.created_at
    told = (
        f", edited at {clock(edit.at)} by {edit.by}"
        if edit is not None
        else f", there since {clock(since)}"
        if younger
        else ""
    )
    return Observation(
        about=found,
        reason="DefaultLimitTooSmall",
        text=f"{name_of(found)}{told}, gives containers without a limit of their own {_default(found)} of memory. {killed.text}",
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.85,
        facts=(
            evidence.field(
                found,
                "spec.limits",
                entries(found.spec.get("limits")),
                f"{name_of(found)}: default memory {_default(found)}",
            ),
            *killed.facts[:2],
        ),
        basis=("the pod's annotation says that the LimitRange set its limit", "the workload names none"),
        onset=since if younger else killed.onset,
        remediation=remedies.edit(
            found,
            f"Raise the default of {name_of(found)}, or give {name_of(workload)} a limit of its own.",
            risk="New pods of the whole namespace get it.",
        ),
        explains=(
            Explains(
                killed.about,
                0.93 if younger or edit is not None else 0.3,
                "it set the limit",
                reasons=frozenset({"OOMKilled"}),
            ),
        ),
        latent=True,
    )
