"""Cron jobs that do not start their jobs: a schedule that cannot be read, a predecessor that never ends.

Sees the schedule itself (unreadable, a day no month has), a starting deadline too short for the controller to keep,
the cron job's events and the active jobs that block it (concurrencyPolicy Forbid). Failed jobs are told by
`job_failed`, suspension by `scaled_to_zero`. A missed start after which a run was started, and a run no longer than
earlier ones that keeps the next waiting, as its policy says, are no faults. Cannot know how long a first job ought to take.

Rests on: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ (schedule syntax, concurrency policy, a
deadline below 10 s may never be met).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.events import Event
from services.context_api.domain.kube import condition, entries, number, text
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.runs import usual_run
from services.context_api.domain.scene import Scene
from services.context_api.domain.schedule import fault
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import name_of, span

NAME = "cron_job"
RECENT = timedelta(hours=2)
SHORTEST = 10
"""Seconds between two looks of the controller."""

LONGER = 1.2
"""Times as long as earlier runs took as a rule from which one takes too long. A guess."""

_FAULTS = {"UnparseableSchedule": "ScheduleNotReadable", "InvalidSchedule": "ScheduleNotReadable", "UnknownTimeZone": "ScheduleNotReadable",
           "MissSchedule": "StartMissed", "TooManyMissedTimes": "StartMissed", "FailedNeedsStart": "StartMissed", "FailedCreate": "JobNotCreated"}  # fmt: skip


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one observation per cron job."""
    for cron in scene.graph.of_kind("CronJob"):
        if cron.spec.get("suspend") is True or cron.metadata.get("deletionTimestamp"):
            continue
        blocked = _blocked(scene, cron)
        if blocked is not None:
            yield blocked
            continue
        wrong = fault(text(cron.spec.get("schedule")))
        events = [
            e
            for e in scene.graph.events_about(cron)
            if e.reason in _FAULTS and e.last and scene.now - e.last <= RECENT and not _started_since(cron, e)
        ]
        if events:
            event = events[-1]
            words = f"{name_of(cron)} (schedule `{text(cron.spec.get('schedule'))}`) does not start its jobs: `{cut(redact(event.message), 260)}`"
            yield _observation(cron, _FAULTS[event.reason], words, 0.85, event)
        elif wrong:
            reason = "ScheduleNeverFires" if "no month" in wrong else "ScheduleNotReadable"
            words = f"{name_of(cron)} never starts a job by its schedule `{cut(text(cron.spec.get('schedule')), 80)}`: {wrong}"
            yield _by_spec(cron, reason, words, "schedule", 0.88)
        elif (
            "startingDeadlineSeconds" in cron.spec and number(cron.spec["startingDeadlineSeconds"]) < SHORTEST
        ):
            words = (
                f"{name_of(cron)} has a starting deadline of {text(cron.spec['startingDeadlineSeconds'])} s, "
                f"and its controller looks every {SHORTEST} s: jobs may never be started"
            )
            yield _by_spec(cron, "StartingDeadlineTooShort", words, "startingDeadlineSeconds", 0.75)


def _started_since(cron: KubeObject, event: Event) -> bool:
    """Whether a run was started after the event: what was missed then is made up for, or is past."""
    started = parse_time(cron.status.get("lastScheduleTime"))
    return started is not None and event.last is not None and started > event.last


def _blocked(scene: Scene, cron: KubeObject) -> Observation | None:
    """A job still active keeps the next from starting."""
    if cron.spec.get("concurrencyPolicy") != "Forbid" or not entries(cron.status.get("active")):
        return None
    refused = [e for e in scene.graph.events_about(cron) if e.reason == "JobAlreadyActive"]
    if not refused:
        return None
    names = [text(a.get("name")) for a in entries(cron.status.get("active"))]
    job = scene.graph.get("Job", cron.namespace, names[0])
    if job is not None and condition(job, "Complete") is not None:
        return None
    since = job.created_at if job is not None else None
    usual = usual_run(scene, cron, job)
    if since is not None and usual is not None and scene.now - since <= LONGER * usual:
        return None  # a run that outlasts the interval, as others did: the policy is there for that
    lasted = f", which has run for {span((scene.now - since).total_seconds())}," if since else ""
    words = f"{name_of(cron)} starts no new job: Job {names[0]}{lasted} is still active and concurrencyPolicy is Forbid"
    return _observation(cron, "BlockedByActiveJob", words, 0.8, refused[-1])


def _by_spec(cron: KubeObject, reason: str, words: str, field: str, certainty: float) -> Observation:
    """What the cron job's own spec says, without the controller's word for it."""
    late = reason == "StartingDeadlineTooShort"
    return Observation(
        about=cron,
        reason=reason,
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(evidence.field(cron, f"spec.{field}", cron.spec.get(field), words),),
        basis=("the cron job's own spec",),
        remediation=remedies.edit(cron, f"Correct {field} of {name_of(cron)}."),
        latent=late,
    )


def _observation(cron: KubeObject, reason: str, words: str, certainty: float, event: Event) -> Observation:
    return Observation(
        about=cron,
        reason=reason,
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(evidence.event(cron, event),),
        basis=("the cron job controller's event",),
        onset=event.first,
        remediation=remedies.edit(
            cron, f"Correct the schedule or policy of {name_of(cron)}, or end the job that blocks it."
        ),
    )
