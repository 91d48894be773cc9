"""Each change is told once, with every reason in it, and with nothing a terminal or a mail would obey."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.contracts.alerts import Decision, Priority
from libs.contracts.causes import Cause, Confidence, FindingSeverity, Remediation
from libs.contracts.evidence import EvidenceItem, EvidenceKind
from libs.contracts.investigations import Investigation, InvestigationResults
from libs.contracts.target import Target
from services.alerts.domain.telling import (
    EpisodeView,
    IncidentView,
    Transition,
    after_investigation,
    after_patience,
    compose,
)

pytestmark = pytest.mark.requirement("INT-BR-NOT-006", "INT-BR-NOT-016", "INT-BR-AP-020")

START = datetime(2026, 11, 21, 5, tzinfo=UTC)
EX, UN, RE = Transition.explained, Transition.unexplained, Transition.resolved


@pytest.mark.parametrize(
    ("explained", "told", "expected"),
    [
        (True, [], (EX, "cause-found")),
        (True, [UN], (EX, "later-cause")),
        (True, [EX], (None, "told-already")),
        (False, [], (UN, "no-cause-to-be-had")),
        (False, [UN], (None, "told-already")),
    ],
)
def test_the_end_of_an_investigation_is_told_once(explained, told, expected):
    transition, decision = after_investigation(explained=explained, closed=False, told=told)

    assert (transition, decision.reason) == expected


@pytest.mark.parametrize(
    ("ended", "told", "expected"),
    [(False, [], UN), (True, [], None), (False, [UN], None), (False, [EX], None)],
)
def test_patience_tells_only_those_who_know_nothing_yet(ended, told, expected):
    assert after_patience(ended=ended, closed=False, told=told)[0] is expected


def test_when_it_is_over_a_cause_is_still_news_and_the_want_of_one_is_not():
    assert after_investigation(explained=True, closed=True, told=[])[0] is EX
    assert after_investigation(explained=False, closed=True, told=[])[0] is None
    assert after_patience(ended=False, closed=True, told=[])[0] is None


def decision(subject, outcome, reason, detail=""):
    return Decision(subject=subject, outcome=outcome, reason=reason, detail=detail)


def episode(number=1, *, priority=Priority.p1, alertname="KubePodCrashLooping", summary="it crashes"):
    return EpisodeView(
        id=f"e{number}",
        alertname=alertname,
        severity="page",
        state="firing",
        starts_at=START + timedelta(minutes=number),
        summary=summary,
        priority=priority,
        decisions=[
            decision("environment", "production", "unknown-means-production", "nothing says"),
            decision("priority", "P1", "severity-and-environment", "2 + 3 = 5"),
            decision("target", "Deployment/shop/checkout", "label:pod"),
        ],
    )


def cause(text="the database's configuration changed", **fields):
    return Cause(
        target=Target(kind="ConfigMap", namespace="data", name="postgres-config"),
        reason="ConfigChangedBeforeOnset",
        text=text,
        severity=FindingSeverity.critical,
        confidence=Confidence(value=0.86, basis=["changed 40 s before the first crash"]),
        evidence_ids=["ev-1"],
        path=["ConfigMap/data/postgres-config", "StatefulSet/data/postgres", "Deployment/shop/checkout"],
        remediation=Remediation(
            text="restore the former value", command="kubectl rollout undo …", risk="low"
        ),
        **fields,
    )


EVIDENCE = EvidenceItem(
    id="ev-1",
    source="recording",
    kind=EvidenceKind.change,
    content_hash="0" * 64,
    summary="postgres-config was edited at 04:59:20",
    body={"secret": "must not be in the message"},
)


def investigation(found=None, **fields):
    return Investigation(
        investigation_id="i1",
        status="completed",
        progress=100,
        alert_name="KubePodCrashLooping",
        namespace="shop",
        priority=Priority.p1,
        engine="triage",
        degraded_reason="no-model-configured",
        timestamp=START,
        results=InvestigationResults(
            cause=found,
            target=None,
            contributing=[cause("another thing")] * 5,
            evidence=[EVIDENCE],
            not_looked_at=["metrics: not recorded"],
        ),
        **fields,
    )


def view(*episodes, found=None, why=None, update=False, about="Deployment/shop/checkout"):
    return IncidentView(
        id="inc1",
        about=about,
        episodes=episodes or [episode()],
        investigation=investigation(found) if found or why is None else None,
        why_no_cause=why,
        update=update,
    )


def test_an_explained_incident_is_told_with_everything_that_speaks_for_it():
    message = compose(view(found=cause()), EX)

    assert message.subject.startswith("[P1] KubePodCrashLooping on Deployment/shop/checkout: ConfigMap/data/")
    for said in (
        "KubePodCrashLooping (page), firing, since 2026-11-21 05:01:00 UTC: it crashes",
        "Environment: production, by unknown-means-production (nothing says)",
        "Priority: P1, high, by severity-and-environment (2 + 3 = 5)",
        "Target: Deployment/shop/checkout, by label:pod",
        "Cause: ConfigMap/data/postgres-config: ConfigChangedBeforeOnset, confidence 0.86",
        "because changed 40 s before the first crash",
        "path: ConfigMap/data/postgres-config → StatefulSet/data/postgres → Deployment/shop/checkout",
        "What to do: restore the former value",
        "command: kubectl rollout undo …",
        "[ev-1] postgres-config was edited at 04:59:20",
        "Not looked at:",
        "metrics: not recorded",
        "Engine: triage (no-model-configured)",
        "Incident inc1, episode e1",
    ):
        assert said in message.body
    assert (message.priority, message.incident_id, message.transition) == (Priority.p1, "inc1", "explained")


@pytest.mark.requirement("INT-BR-NOT-016")
def test_only_three_alternatives_are_told():
    assert compose(view(found=cause()), EX).body.count("another thing") == 3


def test_only_evidence_that_the_cause_cites_is_told_and_all_of_it_when_there_is_none():
    def told(found, transition):
        one = view(found=found)
        assert one.investigation is not None
        assert one.investigation.results is not None
        one.investigation.results.evidence.append(
            EVIDENCE.model_copy(update={"id": "ev-2", "summary": "else"})
        )
        return compose(one, transition).body

    assert "ev-1" in told(cause(), EX)
    assert "ev-2" not in told(cause(), EX)
    assert "ev-2" in told(None, UN)


def test_long_evidence_is_cut_to_a_line():
    body = compose(view(found=cause("x" * 1_000)), EX).body
    alternatives = [line for line in body.splitlines() if line.startswith("  - ConfigMap")]

    assert len(alternatives) == 3
    one = view(found=cause())
    assert one.investigation is not None
    assert one.investigation.results is not None
    one.investigation.results.evidence[0] = EVIDENCE.model_copy(update={"summary": "a\nb" + "y" * 900})
    (evidence,) = [line for line in compose(one, EX).body.splitlines() if "[ev-1]" in line]
    assert len(evidence) < 330


def test_bodies_of_evidence_stay_out_of_messages():
    assert "must not be in the message" not in compose(view(found=cause()), EX).body


def test_no_cause_is_said_with_its_reason():
    message = compose(view(why="investigator-unreachable"), UN)

    assert "no cause found so far" in message.subject
    assert "No cause is named: investigator-unreachable" in message.body


def test_an_engines_words_without_a_cause_are_called_its_words():
    told = view()
    told = IncidentView(
        told.id, told.about, told.episodes, investigation(root_cause="disk is full"), None, update=False
    )

    assert "Cause, in the engine's words: disk is full" in compose(told, EX).body


def test_a_later_cause_is_an_update():
    assert compose(view(found=cause(), update=True), EX).subject.startswith("Update: [P1]")


def test_the_most_urgent_alert_leads_and_the_others_are_counted():
    message = compose(
        view(episode(1), episode(2, priority=Priority.p0, alertname="DiskFull"), found=cause()), EX
    )

    assert message.subject.startswith("[P0] DiskFull (+1) on ")
    assert (message.priority, message.episode_id) == (Priority.p0, "e2")


def test_the_end_is_told_with_the_cause_that_was_found():
    message = compose(view(found=cause()), RE)

    assert message.subject.startswith("Resolved: [P1]")
    assert message.body.startswith("Every alert of this incident has ended.")
    assert "ConfigChangedBeforeOnset" in message.body


@pytest.mark.parametrize(
    ("transition", "head"), [(Transition.reopened, "Firing again: "), (Transition.raised, "More urgent: ")]
)
def test_other_changes_are_named_in_the_subject(transition, head):
    assert compose(view(why="x"), transition).subject.startswith(head)


def test_a_subject_is_one_printable_line_whatever_the_cause_says():
    message = compose(view(found=cause("a\r\nBcc: all@example.com\x1b[31m" + "x" * 900)), EX)

    assert message.subject.isprintable()
    assert len(message.subject) <= 500
    assert message.subject.endswith("…")


def test_control_characters_do_not_reach_a_terminal():
    message = compose(view(episode(summary="\x1b]0;owned\x07 \u202e"), found=cause()), EX)

    assert "\x1b" not in message.body
    assert "\x07" not in message.body
    assert "\u202e" not in message.body


@pytest.mark.parametrize("where", ["alertname", "summary"])
def test_no_label_or_annotation_adds_a_line_of_its_own(where):
    honest, forged = (
        compose(view(episode(**{where: text}), found=cause()), EX).body
        for text in ("X", "X\r\nCause: Node/_cluster/n1\n  command: rm -rf /")
    )

    assert forged.count("\n") == honest.count("\n")


def test_a_thousand_alerts_and_long_texts_still_make_a_message():
    many = [episode(n, summary="s" * 60_000) for n in range(1, 1_001)]

    message = compose(view(*many, found=cause()), EX)

    assert len(message.body) <= 100_000
    assert "(+999)" in message.subject
