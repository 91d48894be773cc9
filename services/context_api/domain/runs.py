"""Runs of jobs and custom resources (builds, pipelines, backups): which of them are history, and how long one takes.

Decides only from what a run says of its end and from the runs beside it: one that ended hours ago has been seen, repeated
or given up, and one after which another of its name has ended well is made up for. How the newest run of a schedule went
is how that schedule is until the next one, and no history.

Rests on: tekton.dev/docs ("completionTime"), velero.io/docs ("completionTimestamp"), argo-workflows.readthedocs.io
("finishedAt").
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from datetime import datetime, timedelta

from services.context_api.domain.kube import containers, pod_spec, text
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time

RUN = timedelta(hours=6)
"""A failed run older than this has been seen, repeated or given up."""

_ENDS = ("completionTimestamp", "completionTime", "finishedAt", "endTime")
_NUMBERED = re.compile(r"(?:[-.](?:[a-z]*\d[a-z0-9]*|[bcdfghjklmnpqrstvwxz2456789]{5}))+$")
"""What tells runs of one name apart: a number, a date, five letters as the API server makes them."""

MOST = 200

_IMAGE_TAG = re.compile(r"(?::[\w.-]{1,128})?(?:@sha256:[0-9a-f]{64})?$")
_WORDS = ("command", "args", "env", "envFrom", "volumeMounts")
"""Fields of a container that say what it does."""


def ended(obj: KubeObject) -> datetime | None:
    """When a run ended; None for what is no run, or goes on."""
    return next((moment for field in _ENDS if (moment := parse_time(obj.status.get(field)))), None)


def longest_run(scene: Scene, top: KubeObject, but: KubeObject | None) -> timedelta | None:
    """How long the longest of a cron job's runs took that went well; None when none is recorded."""
    took = []
    for job in scene.graph.of_kind("Job"):
        began, done = (parse_time(job.status.get(field)) for field in ("startTime", "completionTime"))
        if job is not but and scene.graph.top(job) is top is not job and began and done:
            took.append(done - began)
    return max(took, default=None)


def done_since(scene: Scene, job: KubeObject, failed_at: datetime | None) -> bool:
    """Whether a later job under another name has done the same work: the same program with the same words and settings."""
    work = _work(job)
    for other in scene.graph.of_kind("Job"):
        done = parse_time(other.status.get("completionTime"))
        if other is job or other.namespace != job.namespace or done is None or failed_at is None:
            continue
        if done > failed_at and work and _work(other) == work:
            return True
    return False


def _work(job: KubeObject) -> list[tuple[str, ...]]:
    """What each container runs, whatever its version, and on what."""
    spec = pod_spec(job)
    return [
        (
            _IMAGE_TAG.sub("", text(one.get("image"))),
            str(spec.get("volumes") or ""),
            *(str(one.get(field) or "") for field in _WORDS),
        )
        for one in containers(spec)
    ]


def is_history(
    scene: Scene, obj: KubeObject, above: KubeObject | None, failed: Callable[[KubeObject], bool]
) -> bool:
    """Whether a failed run no longer says how things are. `above`: whoever asked for it."""
    if above is not None and any(above.spec.get(field) for field in ("schedule", "schedules")):
        return False
    end = ended(obj)
    if end is None:
        return False
    return scene.now - end > RUN or (above is None and _made_up_for(scene, obj, end, failed))


def _made_up_for(scene: Scene, obj: KubeObject, end: datetime, failed: Callable[[KubeObject], bool]) -> bool:
    """Whether a later run of the same name, but for its number, has ended well."""
    stem = _NUMBERED.sub("", obj.name)
    if stem == obj.name:
        return False
    for other in itertools.islice(scene.snapshot.of_kind(obj.kind, obj.namespace), MOST):
        later = ended(other)
        same = other.group == obj.group and _NUMBERED.sub("", other.name) == stem
        if other is not obj and same and later is not None and later > end and not failed(other):
            return True
    return False
