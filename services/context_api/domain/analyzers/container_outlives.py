"""Jobs whose work is done and that do not complete, as another container of the pod runs on.

Sees, of a Job that is still active, containers of its pod that ended well beside containers that run: a proxy, a log
shipper, an agent that serves for ever. Surer where an earlier run of the same cron job took far less time, or where
the cron job says that it may not start the next run. A sidecar in the sense of Kubernetes (an init container that is
always restarted) is ended by the kubelet and never meant. Tells what was changed about the job before this run.
Cannot know which container does the work: of two that both do, one may simply take longer, so without such a sign it
is said with little certainty, and not at all while earlier runs took as long.

Rests on: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#jobs-with-sidecar-containers,
https://kubernetes.io/docs/concepts/workloads/controllers/job/#handling-pod-and-container-failures.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import applied_changes, last_edit
from services.context_api.domain.kube import at, condition, entries, listing, mapping, number, text
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.runs import usual_run
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import clock, name_of, span

NAME = "container_outlives"
AFTERWARDS = timedelta(minutes=5)
"""A container may need this long to flush what it holds. A guess."""

LONGER = 3.0
"""Times as long as earlier runs took from which a run is no ordinary one."""


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one observation per job, or cron job."""
    told: set[int] = set()
    for job in scene.graph.of_kind("Job"):
        top = scene.graph.top(job)
        if id(top) in told or any(_holds(job, kind) for kind in ("Complete", "Failed")):
            continue
        for pod in scene.graph.made_by(job):
            done, running = _apart(pod)
            ended = max((moment for _, moment in done), default=None)
            if (
                running
                and ended is not None
                and scene.now - ended >= AFTERWARDS
                and not _as_usual(scene, top, job)
            ):
                told.add(id(top))
                yield _observation(scene, top, job, pod, [name for name, _ in done], running, ended)
                break


def _as_usual(scene: Scene, top: KubeObject, job: KubeObject) -> bool:
    """Whether the run takes no longer than earlier ones that went well: then both containers do work."""
    usual, began = usual_run(scene, top, job), parse_time(job.status.get("startTime")) or job.created_at
    return usual is not None and began is not None and scene.now - began <= usual


def _holds(job: KubeObject, kind: str) -> bool:
    found = condition(job, kind)
    return found is not None and found.status == "True"


def _apart(pod: KubeObject) -> tuple[list[tuple[str, datetime]], list[str]]:
    """(containers that ended well, and when; containers that run); nothing where one ended badly."""
    done: list[tuple[str, datetime]] = []
    running: list[str] = []
    for status in entries(pod.status.get("containerStatuses")):
        ended = mapping(at(status, "state", "terminated"))
        moment = parse_time(ended.get("finishedAt"))
        if at(status, "state", "running") is not None:
            running.append(text(status.get("name")))
        elif ended and number(ended.get("exitCode"), -1) == 0 and moment is not None:
            done.append((text(status.get("name")), moment))
        else:
            return [], []
    return done, running


def _observation(
    scene: Scene, top: KubeObject, job: KubeObject, pod: KubeObject, done: list[str], running: list[str], ended: datetime
) -> Observation:  # fmt: skip
    took = usual_run(scene, top, job)
    usual = took.total_seconds() if took is not None else None
    began = parse_time(job.status.get("startTime")) or job.created_at or ended
    lasts = (scene.now - began).total_seconds()
    refused = [e for e in scene.graph.events_about(top) if e.reason == "JobAlreadyActive"]
    sure = bool(refused) or (usual is not None and lasts >= LONGER * usual)
    words = (
        f"{name_of(job)} does not complete: container {listing(done)} ended well at {clock(ended)}, but container {listing(running)} beside it "
        f"still runs, {span((scene.now - ended).total_seconds())} later"
    )
    words += f"; a usual earlier run took {span(usual)}" if usual is not None else ""
    if refused:
        words += f"; {name_of(top)} starts no new run while this one is active (concurrencyPolicy Forbid)"
    edit = last_edit(top)
    if edit is not None and edit.at <= began:
        shown = listing([str(c) for c in applied_changes(top, edit)] or list(edit.paths), 4)
        words += f". It was edited at {clock(edit.at)} by {edit.by}: {shown}"
    return Observation(
        about=top,
        reason="ContainerOutlivesWork",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.9 if sure else 0.5,
        facts=(
            evidence.field(
                pod,
                "status.containerStatuses",
                {text(s.get("name")): mapping(s.get("state")) for s in entries(pod.status.get("containerStatuses"))},
                f"pod {pod.name}: {listing(done)} ended, {listing(running)} runs",
                ended,
            ),
            *(evidence.event(top, event) for event in refused[-1:]),
        ),
        basis=(
            "the states of the pod's containers",
            *(("earlier runs were far shorter",) if usual is not None and lasts >= LONGER * usual else ()),
            *(("the cron job waits for this run to end",) if refused else ()),
        ),
        onset=ended,
        remediation=remedies.edit(
            top,
            f"Make {listing(running)} a sidecar (an init container with restartPolicy Always), or let it end with the work; then delete {name_of(job)}.",
        ),
        explains=(Explains(top, 0.92, "a run that never ends keeps the next from starting", reasons=frozenset({"BlockedByActiveJob"})),),
        latent=not sure,
    )  # fmt: skip
