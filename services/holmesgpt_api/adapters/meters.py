"""Meters: what this service counts. Names follow the architecture document (§10.1) where it has one."""

from __future__ import annotations

from libs.jobs import JobEnd
from libs.metrics import Metrics
from services.holmesgpt_api.adapters.chat_sessions import CHAT_JOBS
from services.holmesgpt_api.adapters.context import REFUSED, UNAVAILABLE
from services.holmesgpt_api.adapters.ledger import CONDUCT, DEEPEN, EXPIRE
from services.holmesgpt_api.domain.model import CONCLUDED, WHY_NOT
from services.holmesgpt_api.domain.model import NAME as HOLMES
from services.holmesgpt_api.domain.record import Asked, End
from services.holmesgpt_api.domain.triage import NAME

OUTCOMES = (
    *("cause", "no-cause", "deadline-passed", "not-readable", "internal-error"),
    *(UNAVAILABLE, REFUSED),
)
ENGINES = (NAME, HOLMES)
_DURATIONS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds; "simple < 2 s, complex < 30 s" and the default deadline are among them."""
_JOB_OUTCOMES = ("succeeded", "retried", "failed", "returned", "rescued", "abandoned")


class Meters:
    def __init__(self, metrics: Metrics) -> None:
        self._total = metrics.counter(
            "holmesgpt_api_investigations_total",
            "Investigations that ended, by engine and outcome.",
            {"engine": ENGINES, "outcome": OUTCOMES},
        )
        self._duration = metrics.histogram(
            "holmesgpt_api_investigation_duration_seconds",
            "From being asked for to the end.",
            {"engine": ENGINES},
            buckets=_DURATIONS,
        )
        self._jobs = metrics.counter(
            "holmesgpt_api_jobs_total",
            "Runs of jobs.",
            {"task": (CONDUCT, DEEPEN, EXPIRE, *CHAT_JOBS), "outcome": _JOB_OUTCOMES},
        )
        self._asked = metrics.counter(
            "holmesgpt_api_llm_runs_total",
            "Investigations at a model, by how they ended there.",
            {"outcome": (CONCLUDED, *WHY_NOT)},
        )
        self._tokens = metrics.counter(
            "holmesgpt_api_llm_tokens_used_total",
            "Tokens read and written by the model.",
            {"type": ("prompt", "completion")},
        )
        self._cost = metrics.counter(
            "holmesgpt_api_llm_cost_usd_total", "What the model has cost, in US dollars.", {}
        )
        self._places = metrics.gauge(
            "holmesgpt_api_llm_places",
            "Places for runs at the model, and those taken.",
            {"state": ("running", "places")},
        )

        self._kept = metrics.counter(
            "holmesgpt_api_result_cache_total",
            "Questions to a model whose answer was looked for among kept ones.",
            {"outcome": ("hit", "miss")},
        )

    def kept(self, found: bool) -> None:
        self._kept.inc(outcome="hit" if found else "miss")

    def ended(self, end: End) -> None:
        self._total.inc(engine=end.engine, outcome=end.outcome)
        self._duration.observe(end.took.total_seconds(), engine=end.engine)

    def asked(self, one: Asked) -> None:
        self._asked.inc(outcome=one.outcome)
        if one.use is not None:
            self._tokens.inc(one.use.prompt_tokens, type="prompt")
            self._tokens.inc(one.use.completion_tokens, type="completion")
            self._cost.inc(one.use.cost_usd)

    def load(self, running: int, places: int) -> None:
        self._places.set(running, state="running")
        self._places.set(places, state="places")

    def job(self, end: JobEnd) -> None:
        self._jobs.inc(task=end.task, outcome=end.outcome)
