"""Investigations start once, are waited for with bounds, and their end is never prettier than it was."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.contracts.causes import Cause, Confidence, FindingSeverity
from libs.contracts.investigations import Investigation, InvestigationResults
from libs.contracts.target import Target
from services.alerts.domain.inquiry import (
    LOOK_WAITS,
    InquiryPolicy,
    Phase,
    attempt_after_rekeying,
    attempt_for,
    conclude,
    gave_up,
    pause,
)

pytestmark = pytest.mark.requirement("INT-BR-AP-016", "INT-BR-AP-020")

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
POLICY = InquiryPolicy(again_after=timedelta(hours=1), attempts=3, give_up=timedelta(minutes=30))
TARGET = Target(kind="ConfigMap", namespace="data", name="postgres")
CAUSE = Cause(
    target=TARGET,
    reason="ConfigChangedBeforeOnset",
    text="changed",
    severity=FindingSeverity.critical,
    confidence=Confidence(value=0.86, basis=["it changed"]),
    evidence_ids=["e1"],
)


def wanted(phase, attempts, ended_ago=None):
    ended = None if ended_ago is None else NOW - ended_ago
    attempt, decision = attempt_for(phase, attempts, ended, NOW, POLICY)
    assert decision.subject == "investigation"
    assert decision.outcome == ("not-requested" if attempt is None else "requested")
    return attempt, decision.reason


def test_a_new_incident_is_investigated():
    assert wanted(Phase.open, 0) == (1, "new-incident")


@pytest.mark.parametrize(
    ("phase", "attempts", "ended_ago", "reason"),
    [
        (Phase.open, 1, None, "already-under-way"),
        (Phase.investigating, 1, None, "already-under-way"),
        (Phase.explained, 1, timedelta(days=1), "already-explained"),
        (Phase.unexplained, 1, timedelta(minutes=59), "no-cause-found-recently"),
        (Phase.unexplained, 3, timedelta(days=1), "often-enough"),
    ],
)
def test_another_alert_of_a_known_incident_does_not_start_another_investigation(
    phase, attempts, ended_ago, reason
):
    assert wanted(phase, attempts, ended_ago) == (None, reason)


def test_an_old_fruitless_investigation_is_followed_by_another():
    assert wanted(Phase.unexplained, 1, timedelta(hours=1)) == (2, "new-alert-after-no-cause")


def test_knowing_the_target_gives_a_fruitless_investigation_another_chance():
    attempt, decision = attempt_after_rekeying(Phase.unexplained, 1, POLICY)

    assert attempt == 2
    assert decision is not None
    assert decision.reason == "target-known-now"
    for phase, attempts in ((Phase.explained, 1), (Phase.investigating, 1), (Phase.unexplained, 3)):
        assert attempt_after_rekeying(phase, attempts, POLICY) == (None, None)


def test_waits_grow_and_then_stay():
    waits = [pause(n, LOOK_WAITS).total_seconds() for n in range(1, 30)]

    assert waits == sorted(waits)
    assert waits[0] == 0.5
    assert waits[-1] == waits[-10] == 15


def investigation(status="completed", **fields):
    return Investigation(
        investigation_id="i", status=status, progress=100, alert_name="a", namespace=None,
        priority="P0", timestamp=NOW, **fields,
    )  # fmt: skip


def results(cause=None, **fields):
    return InvestigationResults(cause=cause, target=TARGET, **fields)


@pytest.mark.parametrize("status", ["started", "running"])
def test_a_running_investigation_has_no_conclusion(status):
    assert conclude(investigation(status)) is None


def test_a_cause_explains():
    conclusion = conclude(investigation(results=results(CAUSE)))

    assert conclusion is not None
    assert (conclusion.phase, conclusion.reason) == (Phase.explained, "cause-found")
    assert conclusion.detail == "ConfigMap/data/postgres: ConfigChangedBeforeOnset (confidence 0.86)"


def test_no_cause_says_why():
    conclusion = conclude(investigation(results=results(no_cause_reason="nothing-wrong")))

    assert conclusion is not None
    assert (conclusion.phase, conclusion.no_cause_reason) == (Phase.unexplained, "nothing-wrong")


def test_a_completed_investigation_without_results_explains_nothing():
    conclusion = conclude(investigation())

    assert conclusion is not None
    assert (conclusion.phase, conclusion.no_cause_reason) == (Phase.unexplained, "insufficient-evidence")


def test_a_failed_investigation_explains_nothing_even_when_it_names_a_cause():
    conclusion = conclude(investigation("failed", results=results(CAUSE), error="engine died"))

    assert conclusion is not None
    assert (conclusion.phase, conclusion.detail) == (Phase.unexplained, "engine died")


def test_giving_up_is_labelled():
    conclusion = gave_up("investigator-unreachable", "connect")

    assert (conclusion.phase, conclusion.no_cause_reason) == (Phase.unexplained, "investigator-unreachable")
