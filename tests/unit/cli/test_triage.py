from __future__ import annotations

from datetime import UTC, datetime

import pytest

from cli.alert_file import Alert
from cli.triage import BadTarget, Question, Report, _target, document, questions_of, triage
from libs.contracts.causes import Cause, CausesAnswer, Confidence, FindingSeverity, NoCause
from libs.contracts.evidence import EvidenceItem, EvidenceKind
from libs.contracts.target import Target
from services.context_api.domain.graph import Graph
from services.context_api.domain.snapshot import KubeObject, Snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-001")

NOW = datetime(2026, 1, 1, 10, tzinfo=UTC)


def kube(
    kind: str, name: str, namespace: str | None = "shop", version: str = "v1", owner: KubeObject | None = None
):
    metadata: dict[str, object] = {"name": name, "namespace": namespace, "uid": f"{kind}-{name}"}
    if owner:
        metadata["ownerReferences"] = [
            {
                "apiVersion": owner.api_version,
                "kind": owner.kind,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
            }
        ]
    return KubeObject(version, kind, namespace, name, f"{kind}-{name}", {"metadata": metadata})


OWNER = kube("StatefulSet", "db", version="apps/v1")
SNAPSHOT = Snapshot(
    captured_at=NOW, objects=[OWNER, kube("Pod", "db-0", owner=OWNER), kube("Pod", "db-1", owner=OWNER)]
)


def cause(name: str, reason: str = "CrashLoopBackOff", evidence: tuple[str, ...] = ()) -> Cause:
    return Cause(
        target=Target(kind="Pod", namespace="shop", name=name),
        reason=reason,
        text="it crashes",
        severity=FindingSeverity.critical,
        confidence=Confidence(value=0.9, basis=["seen"]),
        evidence_ids=list(evidence),
    )


def item(id_: str) -> EvidenceItem:
    return EvidenceItem(
        id=id_, source="recording", kind=EvidenceKind.log, content_hash="0", summary=f"fact {id_}", body={}
    )


def report(*answers: CausesAnswer) -> Report:
    return Report(SNAPSHOT, [Question(None)], answers)


def test_without_alert_and_target_the_whole_cluster_is_asked_about():
    assert questions_of(Graph(SNAPSHOT), [], None) == [Question(None)]


def test_alerts_of_the_same_owner_are_one_question():
    alerts = [Alert({"alertname": "A", "namespace": "shop", "pod": pod}, NOW) for pod in ("db-0", "db-1")]

    (question,) = questions_of(Graph(SNAPSHOT), alerts, None)

    assert (str(question.target), question.onset, question.alert, question.reason) == (
        "Pod/shop/db-0",
        NOW,
        "A",
        "label:pod",
    )


def test_a_target_given_by_hand_takes_only_the_time_from_the_alerts():
    named = Target(kind="Service", namespace="shop", name="db")
    alerts = [Alert({"alertname": "A", "pod": "db-0"}, NOW), Alert({"alertname": "B"}, None)]

    assert questions_of(Graph(SNAPSHOT), alerts, named) == [Question(named, NOW, "A", "given")]


def test_every_question_is_answered():
    answered = triage(SNAPSHOT, [Alert({"alertname": "A", "namespace": "shop", "pod": "db-0"}, NOW)], None)

    assert len(answered.answers) == len(answered.questions) == 1
    assert answered.causes == []


def test_causes_of_several_questions_are_merged_and_the_first_questions_come_first():
    merged = report(
        CausesAnswer(ranked=[cause("a"), cause("b")], no_cause=False),
        CausesAnswer(ranked=[cause("c"), cause("a"), cause("a", "OOMKilled")], no_cause=False),
    )

    assert [(c.target.name, c.reason) for c in merged.causes] == [
        ("a", "CrashLoopBackOff"), ("b", "CrashLoopBackOff"), ("c", "CrashLoopBackOff"), ("a", "OOMKilled"),
    ]  # fmt: skip


def test_a_cause_carries_the_evidence_it_cites_and_no_other():
    answer = CausesAnswer(
        ranked=[cause("a", evidence=("e1", "gone"))], no_cause=False, evidence=[item("e1"), item("e2")]
    )

    (ranked,) = document(report(answer))["ranked"]

    assert [fact["id"] for fact in ranked["evidence"]] == ["e1"]
    assert (ranked["kind"], ranked["namespace"], ranked["name"]) == ("Pod", "shop", "a")
    assert (ranked["confidence"], ranked["confidence_basis"], ranked["remediation"]) == (0.9, ["seen"], None)


def test_without_a_cause_the_document_says_which_kind_of_nothing_it_is():
    answer = CausesAnswer(
        ranked=[],
        no_cause=True,
        no_cause_reason=NoCause.recovered,
        no_cause_text="Well since ten.",
        not_looked_at=["x", "x", "y"],
    )

    said = document(report(answer))

    assert (said["ranked"], said["no_cause"], said["no_cause_reason"]) == ([], True, "already-recovered")
    assert said["no_cause_text"] == "Well since ten."
    assert said["not_looked_at"] == ["x", "y"]


@pytest.mark.parametrize("text", ["pod", "a/b/c/d", "Pod/Shop/x", "P-d/shop/x", "Pod/shop/-x"])
def test_a_target_of_another_shape_is_refused(text: str):
    with pytest.raises(BadTarget, match="--target"):
        _target(text)
