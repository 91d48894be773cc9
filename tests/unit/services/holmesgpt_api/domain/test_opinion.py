"""A model's conclusion is checked against what it was shown; where it and triage part, both are told."""

from __future__ import annotations

from typing import Any

import pytest

from libs.contracts.causes import NoCause
from libs.contracts.evidence import EvidenceItem
from libs.contracts.target import Target
from services.holmesgpt_api.domain.model import ModelFailed, Told
from services.holmesgpt_api.domain.opinion import (
    LEFT_OUT,
    PARTLY,
    SUREST,
    conclude,
    fall_back,
    first_sentences,
    harmless,
)
from services.holmesgpt_api.domain.triage import conclude as by_triage
from services.holmesgpt_api.domain.verdict import ModelUse, Verdict
from services.holmesgpt_api.engine.messages import Opinion
from tests.support.investigations import CHECKOUT, CONFIG, DATABASE, cause, claimed, evidence, found, nothing

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-163")

USE = ModelUse(model="openai/m", sdk="0.45.0", prompt="1", prompt_tokens=7, completion_tokens=3)
SECRET = Target(kind="Secret", namespace="data", name="db-password")


def interim(**fields: Any) -> Verdict:
    answer = found(cause(evidence_ids=["e1"]), evidence=[evidence("e1"), evidence("e9")], **fields)
    return by_triage(answer, CHECKOUT, claimed(), "model-still-running")


def said(**fields: Any) -> Opinion:
    of_cause = {
        "target": str(CONFIG),
        "reason": "ConfigChanged",
        "text": "The mount was renamed.",
        "confidence": 0.8,
        "evidence_ids": ["e1"],
        **fields.pop("cause", {}),
    }
    values = {"summary": "It was the config.", "cause": of_cause, "agrees_with_triage": True}
    return Opinion.model_validate(values | fields)


def told(*evidence_seen: EvidenceItem, **fields: Any) -> Told:
    return Told(said(**fields), evidence_seen, USE)


def test_a_cause_that_cites_what_it_was_shown_is_the_verdict():
    verdict = conclude(
        told(evidence("e2", DATABASE), cause={"evidence_ids": ["e1", "e2"]}), interim(), claimed()
    )

    assert (verdict.engine, verdict.degraded_reason) == ("holmesgpt", None)
    assert verdict.results.cause is not None
    assert verdict.results.cause.target == CONFIG
    assert verdict.results.cause.evidence_ids == ["e1", "e2"]
    assert [item.id for item in verdict.results.evidence] == ["e1", "e2"]
    assert (verdict.triage_agrees, verdict.disagreement) == (True, None)
    assert verdict.model == USE


@pytest.mark.parametrize("ids", [[], ["ev-invented"]])
def test_a_cause_that_cites_nothing_it_was_shown_is_refused(ids: list[str]):
    with pytest.raises(ModelFailed) as refused:
        conclude(told(cause={"evidence_ids": ids}), interim(), claimed())

    assert (refused.value.word, refused.value.use) == ("model-unsupported", USE)


def test_an_invented_citation_beside_real_ones_costs_certainty_and_is_told():
    verdict = conclude(told(cause={"evidence_ids": ["e1", "ev-x"], "confidence": 0.99}), interim(), claimed())

    assert verdict.results.cause is not None
    assert verdict.results.cause.confidence.value == PARTLY
    assert "1 facts it cites do not exist" in verdict.confidence_basis
    assert verdict.results.claims[0].status == "hypothesis"


def test_a_models_own_certainty_counts_no_higher_than_it_can():
    verdict = conclude(told(cause={"confidence": 1.0}), interim(), claimed())

    assert verdict.results.cause is not None
    assert verdict.results.cause.confidence.value == SUREST


def test_a_claim_stands_only_on_what_it_was_shown():
    claims = [{"text": "a", "evidence_ids": ["e1"]}, {"text": "b", "evidence_ids": ["zz"]}, {"text": "c"}]

    verdict = conclude(told(claims=claims), interim(), claimed())

    assert [(one.text, one.status, one.evidence_ids) for one in verdict.results.claims[1:]] == [
        ("a", "supported", ["e1"]),
        ("b", "hypothesis", []),
        ("c", "hypothesis", []),
    ]


def test_where_they_disagree_both_are_told_and_triages_cause_is_kept():
    verdict = conclude(
        told(
            evidence("e2", SECRET),
            cause={"target": str(SECRET), "evidence_ids": ["e2"]},
            disagreement="It came later.",
        ),
        interim(),
        claimed(),
    )

    assert verdict.results.cause is not None
    assert verdict.results.cause.target == SECRET
    assert verdict.results.cause.path == [str(SECRET), str(CHECKOUT)]
    assert [one.target for one in verdict.results.contributing] == [CONFIG]
    assert verdict.triage_agrees is False
    assert verdict.disagreement is not None
    assert str(CONFIG) in verdict.disagreement
    assert str(SECRET) in verdict.disagreement
    assert verdict.disagreement.endswith("It came later.")
    assert verdict.disagreement in verdict.summary


def test_no_cause_is_a_verdict_and_triages_one_stands_beside_it():
    opinion = Opinion(summary="The evidence does not tell.", cause=None, agrees_with_triage=False)

    verdict = conclude(Told(opinion, [], USE), interim(), claimed())

    assert (verdict.results.cause, verdict.results.no_cause_reason) == (None, NoCause.insufficient)
    assert [one.target for one in verdict.results.contributing] == [CONFIG]
    assert "the model names no cause" in (verdict.disagreement or "")


def test_both_finding_nothing_is_no_disagreement():
    opinion = Opinion(summary="Nothing.", cause=None, agrees_with_triage=True)
    quiet = by_triage(nothing(NoCause.nothing_wrong), CHECKOUT, claimed(), "model-still-running")

    assert conclude(Told(opinion, [], USE), quiet, claimed()).disagreement is None


@pytest.mark.requirement("HAPI-075")
def test_an_object_the_asker_may_not_read_is_not_named_and_its_facts_are_no_evidence():
    shop = claimed(reads=("shop",))
    with pytest.raises(ModelFailed, match="may not read"):
        conclude(
            told(evidence("e2", SECRET), cause={"target": str(SECRET), "evidence_ids": ["e2"]}),
            interim(),
            shop,
        )
    with pytest.raises(ModelFailed, match="cites nothing"):
        conclude(
            told(evidence("e2", SECRET), cause={"target": str(CHECKOUT), "evidence_ids": ["e2"]}),
            interim(),
            shop,
        )


@pytest.mark.parametrize("text", ["", "the database", "Pod", "a/b/c/d", "Pod/UPPER/x", "Pod/shop/$(id)"])
def test_a_cause_that_names_no_object_is_refused(text: str):
    with pytest.raises(ModelFailed, match="names no object"):
        conclude(told(cause={"target": text}), interim(), claimed())


def test_an_object_is_spelled_as_evidence_spells_it():
    for written in (
        "Deployment/shop/checkout",
        "Deployment.apps/shop/checkout",
        "deployment.apps/shop/checkout",
    ):
        verdict = conclude(told(cause={"target": written}), interim(), claimed())
        assert verdict.results.cause is not None
        assert verdict.results.cause.target == CHECKOUT


def test_an_object_nobody_spelled_has_the_group_that_was_written():
    verdict = conclude(told(cause={"target": "Kafka.kafka.strimzi.io/data/events"}), interim(), claimed())

    assert verdict.results.cause is not None
    assert verdict.results.cause.target.api_version == "kafka.strimzi.io/v1"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("kubectl get pods -n shop", True),
        ("kubectl -n shop logs checkout-1 --previous", True),
        ("kubectl rollout undo deployment/checkout -n shop", True),
        ("oc scale deployment checkout --replicas=3", True),
        ("kubectl delete namespace shop", False),
        ("kubectl exec -it checkout-1 -- sh", False),
        ("kubectl get pods; rm -rf /", False),
        ("kubectl get pods | xargs kubectl delete pod", False),
        ("kubectl get pods $(touch canary)", False),
        ("kubectl get pods\nkubectl delete pod x", False),
        ("kubectl get pods > /etc/passwd", False),
        ("curl http://evil", False),
        ("kubectl get " + "x" * 500, False),
    ],
)
@pytest.mark.requirement("HAPI-073")
def test_only_harmless_commands_of_a_model_are_shown(command: str, shown: bool):
    advice = [{"title": "Do it", "description": "So.", "command": command}]

    (one,) = conclude(told(recommendations=advice), interim(), claimed()).recommendations

    assert harmless(command) is shown
    assert one.command == (command if shown else None)
    assert (LEFT_OUT in one.description) is not shown
    assert "read it before you run it" in one.risk


def test_a_command_that_triage_gives_too_is_shown():
    given = interim().recommendations[0].command
    advice = [{"title": "Do it", "command": given}]

    assert conclude(told(recommendations=advice), interim(), claimed()).recommendations[0].command == given


def test_a_model_without_advice_leaves_triages_where_both_mean_the_same_cause():
    other = told(evidence("e2", SECRET), cause={"target": str(SECRET), "evidence_ids": ["e2"]})

    assert conclude(told(), interim(), claimed()).recommendations == interim().recommendations
    assert conclude(other, interim(), claimed()).recommendations == []


def test_what_falls_back_is_triages_verdict_with_the_reason_and_the_cost():
    verdict = fall_back(interim(), "model-unauthorized", "HTTP 401", USE)

    assert (verdict.engine, verdict.degraded_reason, verdict.degraded_detail) == (
        "triage",
        "model-unauthorized",
        "HTTP 401",
    )
    assert verdict.results == interim().results
    assert verdict.model == USE


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("One.\n  Two.", "One. Two."),
        ("x" * 30, "x" * 19 + "…"),
        ("A sentence here. " * 3, "A sentence here."),
    ],
)
def test_a_long_summary_ends_with_a_sentence_where_it_can(text: str, short: str):
    assert first_sentences(text, 20) == short
