"""The score of severity and environment or tier decides; unknown never makes an alert unimportant."""

import pytest

from libs.contracts.alerts import Environment, Priority, Severity
from services.alerts.domain.priority import decide, more_urgent, most_urgent

pytestmark = pytest.mark.requirement("INT-BR-AP-023@3.1.4", "INT-BR-AP-020")

P, S, D, T = Environment.production, Environment.staging, Environment.development, Environment.testing


def priority(severity, environment, *tiers):
    found, decision = decide(severity, environment, tiers, names=("tier",))
    assert decision.outcome == found.value
    return found.value, decision.reason


@pytest.mark.parametrize(
    ("severity", "environment", "expected"),
    [
        (Severity.critical, P, "P0"),
        (Severity.critical, S, "P1"),
        (Severity.critical, D, "P2"),
        (Severity.critical, T, "P2"),
        (Severity.warning, P, "P1"),
        (Severity.warning, S, "P2"),
        (Severity.warning, D, "P3"),
        (Severity.info, P, "P2"),
        (Severity.info, S, "P3"),
        (Severity.info, T, "P3"),
    ],
)
def test_the_score_of_severity_and_environment(severity, environment, expected):
    assert priority(severity, environment) == (expected, "severity-and-environment")


@pytest.mark.parametrize(("environment", "expected"), [(P, "P2"), (S, "P2"), (D, "P2")])
def test_an_unknown_severity_is_at_least_p2(environment, expected):
    assert priority(Severity.unknown, environment)[0] == expected


def test_a_tier_counts_when_it_is_more_than_the_environment():
    assert priority(Severity.critical, D, {"tier": "critical"}) == ("P0", "severity-and-tier")
    assert priority(Severity.critical, D, {"tier": "High"}) == ("P1", "severity-and-tier")
    assert priority(Severity.critical, P, {"tier": "high"}) == ("P0", "severity-and-environment")


def test_a_tier_that_means_something_else_does_not_count():
    assert priority(Severity.warning, D, {"tier": "frontend"}) == ("P3", "severity-and-environment")


def test_the_decision_shows_its_sum():
    _, decision = decide(Severity.critical, P, (), names=())

    assert decision.detail == "severity critical 3 + environment production 3 = 6 (critical)"


def test_an_incident_is_as_urgent_as_its_most_urgent_alert():
    assert most_urgent([Priority.p2, Priority.p0, Priority.p3]) is Priority.p0
    assert more_urgent(Priority.p1, Priority.p2)
    assert not more_urgent(Priority.p2, Priority.p2)
