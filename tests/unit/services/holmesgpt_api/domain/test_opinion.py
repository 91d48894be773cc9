"""A model's conclusion is checked against what it was shown; where it and triage part, both are told."""

from __future__ import annotations

from typing import Any

import pytest

from libs.contracts.causes import NoCause
from libs.contracts.evidence import EvidenceItem
from libs.contracts.target import Target
from services.holmesgpt_api.domain.advice import LEFT_OUT, NOT_SEEN, harmless
from services.holmesgpt_api.domain.model import ModelFailed, Told
from services.holmesgpt_api.domain.opinion import (
    PARTLY,
    SUREST,
    conclude,
    fall_back,
    first_sentences,
)
from services.holmesgpt_api.domain.triage import conclude as by_triage
from services.holmesgpt_api.domain.verdict import ModelUse, ToolUse, Verdict
from services.holmesgpt_api.engine.messages import Opinion, WrittenAdvice
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


def test_a_models_advice_is_as_sure_as_its_cause_and_says_on_what_ground():
    verdict = conclude(told(recommendations=[{"title": "Put it back"}]), interim(), claimed())

    (advice,) = verdict.recommendations
    assert verdict.results.cause is not None
    assert advice.confidence == verdict.results.cause.confidence.value
    assert advice.confidence_basis == [
        "as sure as its cause is: ConfigMap/data/orders-db-config (ConfigChanged)",
        *verdict.results.cause.confidence.basis,
    ]


def test_advice_without_a_cause_is_sure_of_nothing_and_says_so():
    opinion = Opinion(
        summary="It does not tell.",
        cause=None,
        recommendations=[WrittenAdvice(title="Look again")],
        agrees_with_triage=False,
    )

    (advice,) = conclude(Told(opinion, (), USE), interim(), claimed()).recommendations

    assert (advice.confidence, advice.confidence_basis) == (0.0, ["no cause is named that this could mend"])


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
    with pytest.raises(ModelFailed, match="is no object"):
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
        ("kubectl -n shop logs deployment/checkout --previous", True),
        ("kubectl rollout undo deployment/checkout -n shop", True),
        ("oc scale deployment checkout --replicas=3", True),
        ("kubectl get secret db-password -n data -o yaml", False),
        ("kubectl get secrets -A --output=json", False),
        ("kubectl edit secret/db-password -n data", False),
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


@pytest.mark.parametrize(
    ("command", "unseen"),
    [
        ("kubectl rollout undo deployment/billing -n shop", "deployment billing"),
        ("kubectl -n shop rollout undo deployment billing", "deployment billing"),
        ("kubectl scale statefulset/orders-db -n shop --replicas=0", "statefulset orders-db"),
        ("kubectl scale sts --replicas=0 -n payments", "namespace payments"),
        ("kubectl logs checkout-0 -n shop -c app", "pod checkout-0"),
        ("kubectl get pods -n=kube-system", "namespace kube-system"),
        ("kubectl get pods -nkube-system", "namespace kube-system"),
        ("kubectl get pod web-1 web-2 -n data", "pod web-1, pod web-2"),
        ("kubectl describe configmap/orders-db-config configmap/other -n data", "configmap other"),
        ("kubectl uncordon node-b", "node node-b"),
        ("kubectl set image deployment/checkout -n shop app=evil.example/x:1", "evil.example/x:1"),
        ("kubectl set env deployment/checkout -n shop HTTP_PROXY=http://evil.example", "http://evil.example"),
        ("oc get deploy/checkout 'x", "oc get deploy/checkout 'x"),
    ],
)
@pytest.mark.requirement("HAPI-073")
def test_a_command_that_names_what_nobody_looked_at_is_left_out(command: str, unseen: str):
    advice = [{"title": "Do it", "description": "So.", "command": command}]

    (one,) = conclude(
        told(evidence("e2", DATABASE), recommendations=advice), interim(), claimed()
    ).recommendations

    assert one.command is None
    assert one.description == f"So. {NOT_SEEN.format(unseen)}"


@pytest.mark.parametrize(
    "command",
    [
        "kubectl get configmap orders-db-config -n data -o yaml",
        "kubectl scale statefulset/orders-db -n data --replicas=1",
        "kubectl -n data logs statefulset/orders-db -c postgres --tail 50",
        "kubectl get events -n shop --sort-by=.lastTimestamp",
        "kubectl get deploy,cm checkout -n shop",
        "kubectl top pods -n shop",
        "kubectl explain pod.spec.containers",
    ],
)
def test_a_command_about_what_was_looked_at_is_shown(command: str):
    advice = [{"title": "Do it", "command": command}]

    (one,) = conclude(
        told(evidence("e2", DATABASE), recommendations=advice), interim(), claimed()
    ).recommendations

    assert one.command == command


def test_a_cause_with_an_invented_number_counts_less_and_says_so():
    verdict = conclude(told(cause={"text": "It has 512Mi.", "confidence": 0.9}), interim(), claimed())

    assert verdict.results.cause is not None
    assert verdict.results.cause.confidence.value == PARTLY
    assert 'of what it says: not-in-evidence: "512Mi"' in verdict.confidence_basis
    assert verdict.results.claims[0].reason == 'not-in-evidence: "512Mi"'


def test_a_cause_nobody_looked_at_counts_less_and_says_so():
    verdict = conclude(told(cause={"target": "Deployment/shop/billing"}), interim(), claimed())

    assert verdict.results.cause is not None
    assert verdict.results.cause.confidence.value == PARTLY
    assert "of what it says: nobody looked at Deployment/shop/billing" in verdict.confidence_basis


def test_what_of_a_summary_does_not_stand_is_left_out_and_told():
    verdict = conclude(
        told(summary="It was edited at 09:05. It has used 99 % of its memory."), interim(), claimed()
    )

    assert verdict.summary == "It was edited at 09:05."
    assert 'left out of the model\'s summary: not-in-evidence: "99 %"' in verdict.confidence_basis


def test_of_a_summary_without_a_true_sentence_the_cause_is_left():
    verdict = conclude(told(summary="Reboot node-x."), interim(), claimed())

    assert verdict.summary == f"The model names {CONFIG} (ConfigChanged)."


def test_what_a_tool_was_asked_about_was_looked_at_even_if_nothing_was_found():
    asked = ToolUse(tool="get_logs", arguments={"namespace": "shop", "pod": "checkout-0"}, ok=True)
    advice = [{"title": "Look", "command": "kubectl logs checkout-0 -n shop"}]
    use = USE.model_copy(update={"tools": [asked]})

    (one,) = conclude(Told(said(recommendations=advice), [], use), interim(), claimed()).recommendations

    assert one.command is not None


@pytest.mark.requirement("HAPI-012")
def test_what_a_foreign_system_was_asked_about_was_not_looked_at_for_that():
    target = "Pod/shop/checkout-0"
    asked = ToolUse(
        tool="cmdb__any", arguments={"target": target, "of": target}, ok=True, toolset="cmdb@1.2.0"
    )
    advice = [{"title": "Look", "command": "kubectl logs checkout-0 -n shop"}]
    use = USE.model_copy(update={"tools": [asked]})

    (one,) = conclude(Told(said(recommendations=advice), [], use), interim(), claimed()).recommendations

    assert one.command is None


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
