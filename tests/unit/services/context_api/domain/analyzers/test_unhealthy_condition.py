"""Objects of any kind that say themselves that they are not well."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import unhealthy_condition
from tests.support.kube import Doc, ago, thing
from tests.support.triage import said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


@pytest.mark.parametrize(
    ("kind", "status", "reason"),
    [
        ("Certificate", {"conditions": [{"type": "Ready", "status": "False", "reason": "Failed", "message": "order is invalid", "lastTransitionTime": ago(30)}]}, "ReadyFalse"),
        ("ClusterOperator", {"conditions": [{"type": "Degraded", "status": "True", "reason": "X", "message": "quorum lost", "lastTransitionTime": ago(30)}]}, "DegradedTrue"),
        ("HTTPRoute", {"parents": [{"conditions": [{"type": "Accepted", "status": "False", "reason": "NoMatchingParent", "lastTransitionTime": ago(30)}]}]}, "AcceptedFalse"),
        ("Application", {"health": {"status": "Degraded", "message": "pods crash"}}, "Degraded"),
        ("ClusterServiceVersion", {"phase": "Failed", "message": "install strategy failed"}, "Failed"),
    ],
)  # fmt: skip
def test_objects_of_any_kind_that_say_they_are_not_well_are_heard(kind: str, status: Doc, reason: str):
    assert said(seen(unhealthy_condition, thing(kind, "x", api="example.com/v1", status=status))) == [
        (f"{kind}/shop/x", reason)
    ]


@pytest.mark.parametrize(
    "status",
    [
        {"conditions": [{"type": "Ready", "status": "True"}]},
        {"conditions": [{"type": "Degraded", "status": "False"}]},
        {"conditions": [{"type": "Ready", "status": "False", "reason": "Completed"}]},
        {"conditions": [{"type": "SomethingNobodyKnows", "status": "False"}]},
        {"phase": "Succeeded"},
        {"phase": "Failed", "completionTimestamp": ago(60 * 9)},
        {"phase": "Running"},
    ],
)
def test_well_and_unknown_conditions_are_left_alone(status: Doc):
    assert seen(unhealthy_condition, thing("Thing", "x", api="example.com/v1", status=status)) == []
