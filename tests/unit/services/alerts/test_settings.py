"""What an operator sets is understood or refused with a word, before anything starts."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from libs.contracts.alerts import Environment, Severity
from services.alerts.domain.judgement import judge
from services.alerts.settings import AlertsSettings, Settings

pytestmark = pytest.mark.requirement("INT-BR-AP-022@3.1.4", "INT-BR-WH-019")


def test_a_bare_number_is_seconds_and_iso_8601_is_understood(monkeypatch):
    monkeypatch.setenv("INGEST_COMMIT_DEADLINE", "2.5")
    monkeypatch.setenv("EPISODE_MAX_SILENCE", "PT25H")

    settings = AlertsSettings()

    assert settings.ingest_commit_deadline == timedelta(seconds=2.5)
    assert settings.episode_max_silence == timedelta(hours=25)


def test_a_word_that_is_no_duration_is_refused(monkeypatch):
    monkeypatch.setenv("INGEST_COMMIT_DEADLINE", "soon")

    with pytest.raises(ValidationError, match="ingest_commit_deadline"):
        AlertsSettings()


def test_the_port_is_named_by_the_service_or_in_general(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://x")
    assert Settings().port == 8092
    monkeypatch.setenv("PORT", "1234")
    assert Settings().port == 1234
    monkeypatch.setenv("ALERTS_PORT", "2345")
    assert Settings().port == 2345


def test_patterns_words_and_tiers_reach_the_judgement(monkeypatch):
    monkeypatch.setenv("ENVIRONMENT_PATTERNS", '[{"pattern": ".*-dev", "environment": "development"}]')
    monkeypatch.setenv("SEVERITY_WORDS", '{"katastrophal": "critical"}')
    monkeypatch.setenv("TIER_LABELS", '["importance"]')

    judged = judge(
        {"namespace": "shop-dev", "severity": "Katastrophal", "importance": "high"},
        {},
        AlertsSettings().policy(),
    )

    assert (judged.severity, judged.environment) == (Severity.critical, Environment.development)
    assert judged.decisions[2].reason == "severity-and-tier"


def test_a_pattern_that_re2_refuses_ends_the_start(monkeypatch):
    monkeypatch.setenv("ENVIRONMENT_PATTERNS", '[{"pattern": "(a)\\\\1", "environment": "development"}]')

    with pytest.raises(ValidationError, match="not RE2"):
        AlertsSettings()


def test_patience_ends_before_giving_up():
    settings = AlertsSettings()

    assert settings.investigation_patience < settings.investigation_give_up
    assert settings.inquiry_policy().attempts == settings.investigation_attempts
