"""Meters: what this service counts, bound once so that counting costs next to nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from libs.jobs import JobEnd
from libs.metrics import Metrics
from services.alerts.domain.delivery import OUTCOMES
from services.alerts.domain.episodes import Change, Event

_COMMIT_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_JOB_OUTCOMES = ("succeeded", "retried", "failed", "returned", "rescued", "abandoned")
_TASKS = ("drain", "attach", "rekey", "investigate", "follow", "patience", "tell", "settle")


class Meters:
    def __init__(self, metrics: Metrics) -> None:
        received = metrics.counter(
            "alerts_received_total",
            "Alerts received, by what became of them (unreadable: whole requests).",
            {"outcome": OUTCOMES},
        )
        self._received = {outcome: received.bind(outcome=outcome) for outcome in OUTCOMES}
        self._commit_seconds = metrics.histogram(
            "alerts_commit_seconds", "Time of one group commit of the inbox."
        ).bind()
        self._commit_rows = metrics.histogram(
            "alerts_commit_requests", "Requests that shared one commit.", buckets=_COMMIT_ROWS
        ).bind()
        self._inbox = metrics.gauge("alerts_inbox_rows", "Deliveries that wait to be drained.")
        self._aside = metrics.gauge(
            "alerts_inbox_set_aside_rows", "Deliveries that could not be drained and wait for a person."
        )
        self._changes = metrics.counter(
            "alerts_episode_changes_total",
            "What drained alerts changed.",
            {"event": [event.value for event in Event]},
        )
        self._expired = metrics.counter(
            "alerts_episodes_expired_total", "Episodes ended by age or by their sender's end."
        )
        self._jobs = metrics.counter(
            "alerts_jobs_total", "Runs of jobs.", {"task": _TASKS, "outcome": _JOB_OUTCOMES}
        )
        self._job_seconds = metrics.histogram(
            "alerts_job_seconds", "Time of one run of a job.", {"task": _TASKS}
        )

    def received(self, outcome: str, alerts: int) -> None:
        self._received[outcome](alerts)

    def committed(self, rows: int, seconds: float) -> None:
        self._commit_rows(rows)
        self._commit_seconds(seconds)

    def inbox(self, waiting: int, set_aside: int) -> None:
        self._inbox.set(waiting)
        self._aside.set(set_aside)

    def changed(self, changes: Sequence[Change]) -> None:
        for event, number in Counter(change.event.value for change in changes).items():
            self._changes.inc(number, event=event)

    def expired(self, episodes: int) -> None:
        self._expired.inc(episodes)

    def job(self, end: JobEnd) -> None:
        self._jobs.inc(task=end.task, outcome=end.outcome)
        self._job_seconds.observe(end.seconds, task=end.task)
