"""Meters: what this service counts. Names follow the architecture document (§10.1) where it has one."""

from __future__ import annotations

from libs.jobs import JobEnd
from libs.metrics import Metrics
from services.holmesgpt_api.adapters.context import REFUSED, UNAVAILABLE
from services.holmesgpt_api.adapters.ledger import CONDUCT, EXPIRE
from services.holmesgpt_api.domain.record import End
from services.holmesgpt_api.domain.triage import NAME

OUTCOMES = (
    *("cause", "no-cause", "deadline-passed", "not-readable", "internal-error"),
    *(UNAVAILABLE, REFUSED),
)
_DURATIONS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds; "simple < 2 s, complex < 30 s" and the default deadline are among them."""
_JOB_OUTCOMES = ("succeeded", "retried", "failed", "returned", "rescued", "abandoned")


class Meters:
    def __init__(self, metrics: Metrics) -> None:
        self._total = metrics.counter(
            "holmesgpt_api_investigations_total",
            "Investigations that ended, by engine and outcome.",
            {"engine": (NAME,), "outcome": OUTCOMES},
        )
        self._duration = metrics.histogram(
            "holmesgpt_api_investigation_duration_seconds",
            "From being asked for to the end.",
            {"engine": (NAME,)},
            buckets=_DURATIONS,
        )
        self._jobs = metrics.counter(
            "holmesgpt_api_jobs_total",
            "Runs of jobs.",
            {"task": (CONDUCT, EXPIRE), "outcome": _JOB_OUTCOMES},
        )

    def ended(self, end: End) -> None:
        self._total.inc(engine=end.engine, outcome=end.outcome)
        self._duration.observe(end.took.total_seconds(), engine=end.engine)

    def job(self, end: JobEnd) -> None:
        self._jobs.inc(task=end.task, outcome=end.outcome)
