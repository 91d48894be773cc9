"""Recommendations are the causes' remediations, few, in order, and never twice."""

from __future__ import annotations

import pytest

from libs.contracts.alerts import Priority
from libs.contracts.causes import Confidence, Remediation
from services.holmesgpt_api.domain.recommend import AT_MOST, action_type, recommendations, title
from tests.support.investigations import CHECKOUT, DATABASE, cause

pytestmark = pytest.mark.requirement("HAPI-004")


def test_the_first_recommendation_carries_the_causes_remedy_risk_and_confidence():
    (first,) = recommendations([cause()], Priority.p0)

    assert first.title == "Put the old value back (ConfigMap/data/orders-db-config)"
    assert first.description == (
        "Put the old value back. Then delete the pod. For ConfigMap/data/orders-db-config: "
        "ConfigChangedBeforeOnset. To undo it: edit it again"
    )
    assert (first.priority, first.confidence, first.risk) == ("critical", 0.9, "the database restarts")
    assert (first.action_type, first.command) == (
        "configure",
        "kubectl edit configmap orders-db-config -n data",
    )


def test_later_causes_come_later_and_with_less_urgency():
    second = cause(
        DATABASE, confidence=Confidence(value=0.3, basis=[]), remediation=Remediation(text="Look at the log.")
    )

    found = recommendations([cause(), second], Priority.p0)

    assert [(one.priority, one.confidence) for one in found] == [("critical", 0.9), ("low", 0.3)]
    assert (found[1].action_type, found[1].command) == ("manual", None)


def test_each_recommendation_says_what_its_confidence_rests_on():
    second = cause(
        DATABASE,
        confidence=Confidence(value=0.3, basis=["it restarts"]),
        remediation=Remediation(text="Look at the log."),
    )

    first, other = recommendations([cause(), second], Priority.p0)

    assert first.confidence_basis == [
        "as sure as its cause is: ConfigMap/data/orders-db-config (ConfigChangedBeforeOnset)",
        "changed just before",
        "the log names the file",
    ]
    assert other.confidence_basis[1:] == ["it restarts"]
    assert "StatefulSet/data/orders-db" in other.confidence_basis[0]


def test_the_same_remedy_is_recommended_once_and_none_where_there_is_none():
    assert len(recommendations([cause(), cause(CHECKOUT), cause(remediation=None)], Priority.p1)) == 1


def test_there_are_few():
    many = [cause(remediation=Remediation(text=f"Do {number}.")) for number in range(20)]

    assert len(recommendations(many, Priority.p1)) == AT_MOST


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("kubectl -n shop rollout undo deployment/checkout", "rollback"),
        ("kubectl rollout restart deployment/checkout", "restart"),
        ("kubectl delete pod orders-db-0 -n data", "restart"),
        ("kubectl -n shop scale deployment/checkout --replicas=3", "scale"),
        ("kubectl -n data edit configmap orders-db-config", "configure"),
        ("oc set image deployment/checkout checkout=x", "configure"),
        ("kubectl uncordon worker-1", "schedule"),
        ("kubectl logs -n shop checkout-1 --previous", "inspect"),
        ("systemctl restart kubelet", "manual"),
        (None, "manual"),
    ],
)
def test_a_command_is_named_by_what_it_does(command: str | None, kind: str):
    assert action_type(command) == kind


def test_a_title_is_the_first_sentence_and_short_and_says_what_it_is_about():
    assert title("Restart checkout. Then wait.", CHECKOUT) == "Restart checkout"
    assert title("Restart it. Then wait.", CHECKOUT) == "Restart it (Deployment/shop/checkout)"
    assert len(title("checkout " * 100, CHECKOUT)) <= 120
