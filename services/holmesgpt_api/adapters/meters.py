"""Meters: what this service counts. Names follow the architecture document (§10.1) where it has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from libs.jobs import JobEnd
from libs.metrics import Metrics
from libs.metrics.metrics import OTHER
from services.holmesgpt_api.adapters.abroad import OUTCOMES as ABROAD
from services.holmesgpt_api.adapters.chat_sessions import CHAT_JOBS
from services.holmesgpt_api.adapters.context import REFUSED, UNAVAILABLE
from services.holmesgpt_api.adapters.ledger import CONDUCT, DEEPEN, EXPIRE
from services.holmesgpt_api.domain.clusters import UNKNOWN_CLUSTER
from services.holmesgpt_api.domain.configuration import Provider
from services.holmesgpt_api.domain.model import CONCLUDED, WHY_NOT
from services.holmesgpt_api.domain.model import NAME as HOLMES
from services.holmesgpt_api.domain.record import Asked, End
from services.holmesgpt_api.domain.triage import NAME
from services.holmesgpt_api.engine.messages import ModelAsked

OUTCOMES = (
    *("cause", "no-cause", "deadline-passed", "not-readable", "internal-error"),
    *(UNAVAILABLE, REFUSED, UNKNOWN_CLUSTER),
)
ANSWERED = "answered"
PURPOSES = INVESTIGATION, CHAT, PROBE = "investigation", "chat", "probe"
"""What models are asked for."""
RESULT = "result"
"""What is kept: verdicts of models."""
PROVIDERS = get_args(Provider)
ENGINES = (NAME, HOLMES)
_DURATIONS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds; "simple < 2 s, complex < 30 s" and the default deadline are among them."""
_JOB_OUTCOMES = ("succeeded", "retried", "failed", "returned", "rescued", "abandoned")


class Meters:
    def __init__(self, metrics: Metrics, models: Mapping[str, str] | None = None) -> None:
        """`models`: name to provider."""
        self._models = dict(models or {})
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
            "Tokens read and written by models, by what they were asked for; probes are charged to no tenant.",
            {
                "provider": PROVIDERS,
                "model": self._models,
                "type": ("prompt", "completion"),
                "purpose": PURPOSES,
            },
        )
        self._cost = metrics.counter(
            "holmesgpt_api_llm_cost_usd_total",
            "What models have cost, in US dollars, by what they were asked for.",
            {"model": self._models, "purpose": PURPOSES},
        )
        self._requests = metrics.counter(
            "holmesgpt_api_llm_requests_total",
            "Requests to models, probes included, by provider, model and what came of them.",
            {"provider": PROVIDERS, "model": self._models, "status": (ANSWERED, *WHY_NOT)},
        )
        self._places = metrics.gauge(
            "holmesgpt_api_llm_places",
            "Places for runs at the model, and those taken.",
            {"state": ("running", "places")},
        )

        self._abroad = metrics.counter(
            "holmesgpt_api_toolset_calls_total",
            "Calls of tools of foreign systems, by the toolset's type and how they ended.",
            {"type": ("http", "mcp"), "outcome": ABROAD},
        )
        self._hits, self._misses = (
            metrics.counter(
                f"holmesgpt_api_cache_{what}_total",
                f"Questions to a model whose answer {was} among kept ones.",
                {"cache_type": (RESULT,)},
            )
            for what, was in (("hits", "was found"), ("misses", "was not"))
        )

    def abroad(self, type_: str, outcome: str) -> None:
        self._abroad.inc(type=type_, outcome=outcome)

    def kept(self, found: bool) -> None:
        (self._hits if found else self._misses).inc(cache_type=RESULT)

    def models(self, models: Mapping[str, str]) -> None:
        """These are configured now: name to provider."""
        self._models = dict(models)
        for family in (self._requests, self._tokens, self._cost):
            family.declare(model=models)

    def ended(self, end: End) -> None:
        self._total.inc(engine=end.engine, outcome=end.outcome)
        self._duration.observe(end.took.total_seconds(), engine=end.engine)

    def asked(self, one: Asked) -> None:
        self._asked.inc(outcome=one.outcome)

    def model_asked(self, purpose: str, one: ModelAsked) -> None:
        """One request, counted when its end arrives: what a killed run has used is counted too."""
        provider = self._models.get(one.model, OTHER)
        self._requests.inc(provider=provider, model=one.model, status=one.word or ANSWERED)
        labels = {"provider": provider, "model": one.model, "purpose": purpose}
        self._tokens.inc(one.prompt_tokens, **labels, type="prompt")
        self._tokens.inc(one.completion_tokens, **labels, type="completion")
        self._cost.inc(one.cost_usd, model=one.model, purpose=purpose)

    def load(self, running: int, places: int) -> None:
        self._places.set(running, state="running")
        self._places.set(places, state="places")

    def job(self, end: JobEnd) -> None:
        self._jobs.inc(task=end.task, outcome=end.outcome)
