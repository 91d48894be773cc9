"""Jobs that gave up, and cron jobs that cannot start theirs.

Sees the Failed condition (back-off limit, deadline), how the job's pods ended, and cron jobs whose schedule
cannot be read or whose last job blocks the next (concurrencyPolicy Forbid). A failed job that a newer one of
the same cron job has made good is history, and so is one whose work a later job has done under another name.
Cannot know whether a slow job is stuck.

Rests on: kubernetes.io/docs, "Jobs" (handling failures), "CronJob" (limitations, concurrencyPolicy).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.containers import Container, containers_of
from services.context_api.domain.dependencies import blames
from services.context_api.domain.endings import ended_fact, exit_code, last_words, meaning, quoted
from services.context_api.domain.kube import Condition, condition, text
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.runs import done_since
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import name_of

NAME = "job_failed"
RECENT = timedelta(hours=24)
"""An older failure of a job that nobody repeated is history."""


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per failed job (of a cron job: its newest)."""
    newest: dict[int, tuple[KubeObject, KubeObject]] = {}
    for job in scene.graph.of_kind("Job"):
        top = scene.graph.top(job)
        held = newest.get(id(top))
        if held is None or _started(job) > _started(held[1]):
            newest[id(top)] = (top, job)
    for top, job in newest.values():
        failed = condition(job, "Failed")
        if (
            failed is not None
            and failed.status == "True"
            and scene.now - (failed.since or scene.now) <= RECENT
            and not done_since(scene, job, failed.since)
        ):
            yield _observation(scene, top, job, failed)


def _started(job: KubeObject) -> tuple[datetime, str]:
    moment = parse_time(job.status.get("startTime")) or job.created_at
    return moment or datetime.min.replace(tzinfo=UTC), job.name


def _observation(scene: Scene, top: KubeObject, job: KubeObject, failed: Condition) -> Observation:
    pods = scene.graph.made_by(job)
    ended = [c for p in pods for c in containers_of(p) if c.last_end and exit_code(c)]
    ended.sort(key=lambda c: (text(c.last_end.get("finishedAt")), c.pod.name))
    lines, facts = last_words(scene, ended[-3:])
    words = f"{name_of(job)} failed ({failed.reason}: {quote(failed.message)})" + _ending(ended)
    if lines:
        words += f"; last words: {quoted(lines)}"
    oom = bool(ended) and text(ended[-1].last_end.get("reason")) == "OOMKilled"
    return Observation(
        about=top,
        reason="JobOOMKilled" if oom else "JobFailed",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism if oom else Depth.process,
        certainty=0.75 if lines or oom else 0.6,
        facts=(
            evidence.field(
                job,
                "status.conditions[Failed]",
                {"reason": failed.reason, "message": failed.message},
                f"{name_of(job)}: {failed.reason}",
                failed.since,
            ),
            *(ended_fact(c) for c in ended[-1:]),
            *facts[:2],
        ),
        basis=("the job's own condition", *(("its pods' last words",) if lines else ())),
        onset=failed.since,
        remediation=remedies.look(
            job, f"Read why {name_of(job)} failed; a job is repeated by making it anew."
        ),
        blames=blames(scene.deps, top, lines),
    )


def _ending(ended: list[Container]) -> str:
    if not ended:
        return ""
    last = ended[-1]
    code = exit_code(last)
    return f": {last} of pod {last.pod.name} ended with exit code {code} ({meaning(code or 0)})"
