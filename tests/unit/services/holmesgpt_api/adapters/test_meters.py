"""Ends are counted by engine and outcome; what is not known beforehand cannot make a new series."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest

from libs.jobs import JobEnd
from libs.metrics import Metrics
from services.holmesgpt_api.adapters.abroad import OUTCOMES
from services.holmesgpt_api.adapters.meters import CHAT, INVESTIGATION, PROBE, Meters
from services.holmesgpt_api.adapters.outbound import Word
from services.holmesgpt_api.domain.record import Asked, End
from services.holmesgpt_api.engine.messages import ModelAsked

pytestmark = pytest.mark.requirement("HAPI-018", "HAPI-172")


def test_an_end_is_counted_with_its_duration():
    metrics = Metrics("holmesgpt-api")

    Meters(metrics).ended(End("triage", "cause", timedelta(seconds=1.5)))

    text = metrics.exposition().decode()
    assert 'holmesgpt_api_investigations_total{engine="triage",outcome="cause"} 1.0' in text
    assert 'holmesgpt_api_investigation_duration_seconds_sum{engine="triage"} 1.5' in text


@pytest.mark.requirement("HAPI-179")
def test_an_end_for_want_of_a_configured_cluster_is_counted_under_its_own_word():
    metrics = Metrics("holmesgpt-api")

    Meters(metrics).ended(End("triage", "unknown-cluster", timedelta(0)))

    assert 'outcome="unknown-cluster"} 1.0' in metrics.exposition().decode()


def test_an_unknown_outcome_is_counted_as_other():
    metrics = Metrics("holmesgpt-api")

    Meters(metrics).ended(End("triage", "KubePodCrashLooping", timedelta(0)))

    text = metrics.exposition().decode()
    assert 'outcome="other"} 1.0' in text
    assert "KubePodCrashLooping" not in text


def test_runs_of_jobs_are_counted():
    metrics = Metrics("holmesgpt-api")

    Meters(metrics).job(JobEnd("conduct", "rescued", 0.0))

    assert 'holmesgpt_api_jobs_total{outcome="rescued",task="conduct"} 1.0' in metrics.exposition().decode()


@pytest.mark.requirement("HAPI-163")
def test_what_a_model_took_is_counted_whether_its_answer_stood_or_not():
    metrics = Metrics("holmesgpt-api")
    meters = Meters(metrics, {"primary": "openai"})

    meters.asked(Asked("concluded", None))
    meters.asked(Asked("model-garbage", None))
    meters.asked(Asked("engine-unavailable", None))
    for word in (None, "model-garbage"):
        meters.model_asked(
            INVESTIGATION,
            ModelAsked(
                step=1, model="primary", word=word, prompt_tokens=7, completion_tokens=3, cost_usd=0.25
            ),
        )
    meters.model_asked(PROBE, ModelAsked(step=1, model="primary", prompt_tokens=90))
    meters.model_asked(CHAT, ModelAsked(step=1, model="left-the-configuration", word="model-error"))
    meters.load(2, 5)

    text = metrics.exposition().decode()
    assert 'holmesgpt_api_llm_runs_total{outcome="model-garbage"} 1.0' in text
    assert 'holmesgpt_api_llm_runs_total{outcome="engine-unavailable"} 1.0' in text
    tokens = 'holmesgpt_api_llm_tokens_used_total{model="primary",provider="openai",purpose='
    assert f'{tokens}"investigation",type="prompt"}} 14.0' in text
    assert f'{tokens}"probe",type="prompt"}} 90.0' in text
    assert 'holmesgpt_api_llm_cost_usd_total{model="primary",purpose="investigation"} 0.5' in text
    asked = 'holmesgpt_api_llm_requests_total{model="primary",provider="openai",status='
    assert f'{asked}"answered"}} 2.0' in text
    assert f'{asked}"model-garbage"}} 1.0' in text
    assert "left-the-configuration" not in text
    assert 'holmesgpt_api_llm_places{state="running"} 2.0' in text


@pytest.mark.requirement("HAPI-012")
def test_calls_of_foreign_systems_are_counted_by_closed_words():
    metrics = Metrics("holmesgpt-api")
    meters = Meters(metrics)

    for outcome in OUTCOMES:
        meters.abroad("http", outcome)
    meters.abroad("mcp", "whatever a server likes to say")
    assert set(get_args(Word)) < set(OUTCOMES)

    text = metrics.exposition().decode()
    assert 'holmesgpt_api_toolset_calls_total{outcome="answered",type="http"} 1.0' in text
    assert 'holmesgpt_api_toolset_calls_total{outcome="other",type="mcp"} 1.0' in text
    assert 'outcome="other",type="http"} 1.0' not in text
    assert "whatever" not in text
