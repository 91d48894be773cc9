"""Earlier episodes, and the patterns in them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.contracts.alerts import AlertEpisode, EpisodeState, IncidentSummary, Severity
from libs.contracts.bundle import ContextSource
from libs.contracts.causes import Cause, Confidence, FindingSeverity
from libs.contracts.target import Target
from services.context_api.domain.history import Past, action_history, patterns, report, seen_by, told, visible
from tests.support.kube import NOW

pytestmark = pytest.mark.requirement("HAPI-BR-CONTEXT-006", "API-BR-CAPI-006")


def episode(number: int, *, days: float, namespace: str = "shop", lasted: int | None = 600) -> AlertEpisode:
    began = NOW - timedelta(days=days)
    ended = began + timedelta(seconds=lasted) if lasted is not None else None
    return AlertEpisode(
        id=f"e{number}", fingerprint="f", alertname="HighErrorRate", severity=Severity.warning,
        state=EpisodeState.resolved if ended else EpisodeState.firing, labels={"namespace": namespace}, annotations={},
        starts_at=began, ends_at=ended, last_seen=ended or NOW, received_count=1, incident_id=f"i{number}",
        target=Target(api_version="apps/v1", kind="Deployment", namespace=namespace, name="api"),
    )  # fmt: skip


def incident(number: int, reason: str, namespace: str = "shop") -> IncidentSummary:
    cause = Cause(
        target=Target(kind="ConfigMap", namespace=namespace, name="api-conf"), reason=reason, text="t",
        severity=FindingSeverity.critical, confidence=Confidence(value=0.9, basis=[]), evidence_ids=[],
    )  # fmt: skip
    return IncidentSummary(id=f"i{number}", target=None, status="explained", causes=[cause])


PAST = Past(
    [episode(1, days=1), episode(2, days=3), episode(3, days=30), episode(4, days=0.1, lasted=None)],
    {
        "i1": incident(1, "ConfigChangedBeforeOnset"),
        "i2": incident(2, "OOMKilled"),
        "i3": incident(3, "ConfigChangedBeforeOnset"),
    },
)


def test_each_episode_is_told_with_the_cause_that_was_found():
    assert [one.cause for one in told(PAST)] == [
        "ConfigChangedBeforeOnset of ConfigMap/shop/api-conf",
        "OOMKilled of ConfigMap/shop/api-conf",
        "ConfigChangedBeforeOnset of ConfigMap/shop/api-conf",
        "",
    ]


def test_the_history_counts_how_they_ended():
    data = action_history(PAST)

    assert (data["total"], data["explained"], data["available"]) == (4, 3, True)
    assert data["by_state"] == {"resolved": 3, "firing": 1}


@pytest.mark.parametrize(
    "signature",
    ["ConfigChangedBeforeOnset", "configchangedbeforeonset of configmap/shop/api-conf"],
)
def test_a_pattern_is_the_same_cause_under_the_same_alert(signature: str):
    found = patterns(PAST, signature, NOW)

    assert found["similar_patterns"][0]["occurrences"] == 2
    assert found["correlation_score"] == round(2 / 3, 3)
    assert found["recent_occurrences"] == 1
    assert found["resolution_patterns"] == [{"state": "resolved", "episodes": 2, "median_seconds": 600}]


def test_a_signature_nobody_saw_correlates_with_nothing():
    found = patterns(PAST, "Volcano", NOW)

    assert (found["correlation_score"], found["resolution_patterns"]) == (0.0, [])


@pytest.mark.requirement("HAPI-178")
def test_what_a_caller_may_not_read_is_not_told():
    mine = {"shop"}.__contains__

    assert [e.id for e in visible([episode(1, days=1), episode(2, days=1, namespace="bank")], mine)] == ["e1"]
    assert seen_by(incident(1, "OOMKilled", "bank"), mine).causes == []
    assert seen_by(incident(1, "OOMKilled"), mine).causes


def test_a_source_says_how_old_it_is_or_why_it_tells_nothing():
    read = report(ContextSource.action_history, PAST, NOW)
    silent = report(ContextSource.action_history, Past(missing="alerts: timeout"), NOW)
    empty = report(ContextSource.patterns, Past(), NOW)

    assert (read.status, read.found, read.age_s) == ("read", 4, 0)
    assert (silent.status, silent.detail) == ("not-available", "alerts: timeout")
    assert empty.status == "empty"
