"""What work jobs do, and when the same work was done last.

Decides only what is the same: the same programs, whatever their version, with the same words, settings and volumes, in one
namespace. Whether that makes up for a failed job is asked in `runs.py`.

Rests on: https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup (completionTime).
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cached_property

from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import containers, pod_spec, text
from services.context_api.domain.snapshot import KubeObject, parse_time

_IMAGE_TAG = re.compile(r"(?::[\w.-]{1,128})?(?:@sha256:[0-9a-f]{64})?$")
_WORDS = ("command", "args", "env", "envFrom", "volumeMounts")
"""Fields of a container that say what it does."""

Same = tuple[str | None, tuple[tuple[str, ...], ...]]
"""A namespace, and what each container of a job runs."""


class Work:
    """Read of all jobs at once: each failed one asks for it."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def last_done(self, job: KubeObject) -> datetime | None:
        """When a job with the same work was complete last; None where none is recorded, or nothing says what it does."""
        work = _work(job)
        return self._done.get(work) if work[1] else None

    @cached_property
    def _done(self) -> dict[Same, datetime]:
        latest: dict[Same, datetime] = {}
        for job in self._graph.of_kind("Job"):
            done = parse_time(job.status.get("completionTime"))
            if done is not None:
                work = _work(job)
                latest[work] = max(done, latest.get(work, done))
        return latest


def _work(job: KubeObject) -> Same:
    spec = pod_spec(job)
    return job.namespace, tuple(
        (
            _IMAGE_TAG.sub("", text(one.get("image"))),
            str(spec.get("volumes") or ""),
            *(str(one.get(field) or "") for field in _WORDS),
        )
        for one in containers(spec)
    )
