"""Triage's answers say what the verdict says, cite its evidence, and offer what can be answered next."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.causes import NoCause
from libs.contracts.evidence import EvidenceKind
from services.holmesgpt_api.domain.chat.prose import check
from services.holmesgpt_api.domain.chat.questions import Topic, classify
from services.holmesgpt_api.domain.chat.replies import (
    CUT_OFF,
    Findings,
    names_of,
    of_a_model,
    reply,
    suggestions,
)
from services.holmesgpt_api.domain.chat.session import Owner, TakenTurn
from services.holmesgpt_api.domain.triage import NO_MODEL, conclude
from services.holmesgpt_api.domain.verdict import ModelUse, Verdict
from tests.support.investigations import (
    CHECKOUT,
    CONFIG,
    DATABASE,
    NOW,
    UNDO,
    cause,
    claimed,
    evidence,
    found,
    nothing,
)

pytestmark = pytest.mark.requirement("HAPI-006", "HAPI-008", "HAPI-004")


def verdict(**fields: Any) -> Verdict:
    second = cause(DATABASE, reason="MemoryLimit", text="has little memory left.", evidence_ids=["e2"])
    answer = found(cause(against=["another edit came later"]), second, **fields)
    return conclude(answer, CHECKOUT, claimed(), NO_MODEL)


def findings(one: Verdict | None = None, **fields: Any) -> Findings:
    one = one or verdict()
    return Findings(one, "It is completed.", names_of(one), **fields)


def said(topic: Topic, one: Findings | None = None) -> str:
    return reply(topic, one or findings(), degraded_reason=NO_MODEL).text


def test_why_names_the_cause_the_way_and_its_evidence():
    answer = reply(Topic.why, findings(), degraded_reason=NO_MODEL)

    assert "orders-db-config" in answer.text
    assert "[e1]" in answer.text
    assert (answer.engine, answer.topic, answer.degraded_reason) == ("triage", "why", NO_MODEL)
    assert answer.evidence_ids == ["e1"]


@pytest.mark.parametrize(
    ("text", "cut_off", "doubts"),
    [
        ("It was edited [e1].", False, None),
        ("It was edi", True, CUT_OFF),
        ("As ev-1", True, f"1 pieces of evidence it cites do not exist; {CUT_OFF}"),
    ],
)
def test_what_is_wrong_with_a_models_answer_is_told_beside_it(text: str, cut_off: bool, doubts: str | None):
    taken = TakenTurn(
        id="chat-1",
        fence=1,
        owner=Owner("default", "ana"),
        reads=("*",),
        message="why?",
        namespace=None,
        interim=None,
        verdict=None,
        time_left=timedelta(seconds=9),
        earlier=(),
        folded=0,
    )
    use = ModelUse(model="openai/x", sdk="holmesgpt", prompt="1")

    answer = of_a_model(check(text, ()), {}, taken, use, cut_off=cut_off)

    assert (answer.degraded_reason, answer.degraded_detail) == (None, doubts)


def test_what_else_names_the_second_cause():
    assert "has little memory left" in said(Topic.others)


def test_what_next_gives_the_command_and_its_risk_and_says_that_nothing_is_done_here():
    text = said(Topic.next)

    assert f"`{UNDO.command}`" in text
    assert "the database restarts" in text
    assert "nothing is done by this service" in text


def test_how_sure_tells_what_speaks_against_it_too():
    text = said(Topic.sure)

    assert "0.90" in text
    assert "the log names the file" in text
    assert "another edit came later" in text


def test_evidence_lists_claims_with_their_status_and_the_facts():
    text = said(Topic.evidence)

    assert "(supported) [e1]" in text
    assert "edited at 09:05" in text


def test_what_changed_lists_changes_the_latest_first_and_nothing_else():
    items = [
        evidence("e1").model_copy(update={"observed_at": NOW - timedelta(hours=1), "summary": "first edit"}),
        evidence("e2", DATABASE).model_copy(update={"observed_at": NOW, "summary": "second edit"}),
        evidence("e3", DATABASE).model_copy(update={"kind": EvidenceKind.log, "summary": "a log line"}),
    ]
    one = verdict(evidence=items)
    text = said(Topic.changed, findings(one))

    assert text.index("second edit") < text.index("first edit")
    assert "a log line" not in text


def test_the_status_is_the_investigations_and_what_is_known():
    assert said(Topic.status).startswith("It is completed. ")


def test_gaps_are_told_or_that_there_are_none():
    assert said(Topic.gaps) == "Everything that was to be looked at could be read."
    assert "the metrics" in said(Topic.gaps, findings(verdict(not_looked_at=["the metrics"])))


@pytest.mark.parametrize("why", list(NoCause))
@pytest.mark.parametrize("topic", list(Topic))
def test_where_no_cause_was_found_no_answer_invents_one(why: NoCause, topic: Topic):
    one = conclude(nothing(why), CHECKOUT, claimed(), NO_MODEL)
    answer = reply(topic, findings(one), degraded_reason=NO_MODEL)

    assert answer.text.strip()
    assert (answer.evidence_ids, "Confidence" in answer.text) == ([], False)


@pytest.mark.parametrize("topic", [topic for topic in Topic if topic is not Topic.help])
def test_while_nothing_is_known_every_answer_says_so(topic: Topic):
    answer = reply(topic, Findings(None, "Still being investigated."), degraded_reason=NO_MODEL)

    assert (answer.text, answer.evidence_ids) == ("Still being investigated.", [])


def test_metrics_among_the_cited_facts_are_known_as_such():
    items = [evidence("e1").model_copy(update={"kind": EvidenceKind.metric}), evidence("e2", DATABASE)]
    answer = reply(Topic.evidence, findings(verdict(evidence=items)), degraded_reason=NO_MODEL)

    assert answer.metric_ids == ["e1"]


@pytest.mark.parametrize("topic", list(Topic))
def test_what_is_suggested_can_be_asked_and_is_something_else(topic: Topic):
    offered = suggestions(findings(), besides=topic)

    assert offered
    assert topic not in {classify(one) for one in offered}
    assert None not in {classify(one) for one in offered}


def test_nothing_is_suggested_that_has_no_answer():
    one = conclude(nothing(NoCause.nothing_wrong), CHECKOUT, claimed(), NO_MODEL)

    assert suggestions(findings(one)) == ["Why does it fail?"]


def test_names_are_the_objects_of_the_findings():
    assert {CHECKOUT.name, CONFIG.name, DATABASE.name, "shop", "KubePodCrashLooping"} <= names_of(
        verdict(), "KubePodCrashLooping", None
    )
