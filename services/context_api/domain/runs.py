"""Runs of jobs and custom resources (builds, pipelines, backups): which of them are history, and how long one takes.

Decides only from what a run says of its end and from the runs beside it: one that ended hours ago has been seen, repeated
or given up, and one after which another of its name has ended well is made up for. How the newest run of a schedule went
is how that schedule is until the next one, and no history. Nor is what an alert is about: who asks why a job failed wants to
know it though another has done its work since.

Rests on: tekton.dev/docs ("completionTime"), velero.io/docs ("completionTimestamp"), argo-workflows.readthedocs.io
("finishedAt").
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from statistics import median

from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time

RUN = timedelta(hours=6)
"""A failed run older than this has been seen, repeated or given up."""

_ENDS = ("completionTimestamp", "completionTime", "finishedAt", "endTime")
_NUMBERED = re.compile(r"(?:[-.](?:[a-z]*\d[a-z0-9]*|[bcdfghjklmnpqrstvwxz2456789]{5}))+$")
"""What tells runs of one name apart: a number, a date, five letters as the API server makes them."""

MOST = 200


def ended(obj: KubeObject) -> datetime | None:
    """When a run ended; None for what is no run, or goes on."""
    return next((moment for field in _ENDS if (moment := parse_time(obj.status.get(field)))), None)


def usual_run(scene: Scene, top: KubeObject, but: KubeObject | None) -> timedelta | None:
    """How long a cron job's runs that went well took: the median, as one that hung for hours excuses no other.

    None when none is recorded.
    """
    took = []
    for job in scene.graph.of_kind("Job"):
        began, done = (parse_time(job.status.get(field)) for field in ("startTime", "completionTime"))
        if job is not but and scene.graph.top(job) is top is not job and began and done:
            took.append((done - began).total_seconds())
    return timedelta(seconds=median(took)) if took else None


def done_since(scene: Scene, job: KubeObject, failed_at: datetime | None) -> bool:
    """Whether a later job under another name has done the same work (`work.py`). Not of what the alert is about."""
    if failed_at is None or _is_asked_about(scene, job):
        return False
    done = scene.work.last_done(job)
    return done is not None and done > failed_at


def _is_asked_about(scene: Scene, job: KubeObject) -> bool:
    """Whether the alert is about the job, a pod of it or the cron job that made it."""
    return scene.target is not None and scene.graph.top(scene.target) is scene.graph.top(job)


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
