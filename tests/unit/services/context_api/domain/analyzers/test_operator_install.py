"""Operators that OLM does not install."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import operator_install
from tests.support.kube import Doc, ago, pod, thing, waiting
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

GROUP = "operators.coreos.com/v1alpha1"


def group(name: str, age: float = 600) -> Doc:
    return thing("OperatorGroup", name, api="operators.coreos.com/v1", age=age, spec={})


def subscription(**status: object) -> Doc:
    return thing(
        "Subscription",
        "queue",
        api=GROUP,
        spec={"name": "queue", "source": "community", "sourceNamespace": "olm"},
        status=status,
    )


def catalogue(name: str = "community", state: str = "READY") -> Doc:
    return thing("CatalogSource", name, "olm", api=GROUP, spec={"image": "registry.example/index:1"}, status={"connectionState": {"lastObservedState": state, "lastConnect": ago(30)}})  # fmt: skip


def version(phase: str, reason: str, **status: object) -> Doc:
    return thing(
        "ClusterServiceVersion",
        "queue.v1",
        api=GROUP,
        spec={},
        status={"phase": phase, "reason": reason, **status},
    )


def test_the_newest_of_several_groups_is_at_fault():
    answer = causes(
        group("first", 9000), group("second", 30), subscription(), catalogue(),
        version("Failed", "TooManyOperatorGroups", message="csv created in namespace with multiple operatorgroups, can't pick one automatically"),
        target="ClusterServiceVersion/shop/queue.v1",
    )  # fmt: skip

    assert first(answer) == ("OperatorGroup/shop/second", "TooManyOperatorGroups")
    assert "first" in answer.ranked[0].text


@pytest.mark.parametrize(
    "objects",
    [
        [group("one"), subscription(), catalogue()],
        [group("one"), group("two")],
        [group("one"), group("two"), version("Succeeded", "Copied")],
    ],
    ids=["one-group", "nothing-to-install", "only-a-copy"],
)
def test_groups_that_stop_nothing_are_no_findings(objects: list[Doc]):
    assert seen(operator_install, *objects) == []


def test_a_namespace_without_a_group_is_told_by_the_version():
    assert said(seen(operator_install, version("Failed", "NoOperatorGroup"))) == [
        ("ClusterServiceVersion/shop/queue.v1", "NoOperatorGroup")
    ]


def test_a_catalogue_that_does_not_exist_is_told_with_those_that_do():
    (found,) = seen(operator_install, subscription(), catalogue("certified"))

    assert said([found]) == [("Subscription/shop/queue", "CatalogSourceNotFound")]
    assert "olm/certified" in found.text
    assert seen(operator_install, subscription()) == []


def test_a_catalogue_that_does_not_answer_leads_to_its_pod():
    deaf = catalogue(state="TRANSIENT_FAILURE")
    served = pod("community-x7k2p", "olm", labels={"olm.catalogSource": "community"}, statuses=[waiting(reason="ImagePullBackOff", message="registry.example/index:1: not found")], phase="Pending")  # fmt: skip

    assert [o.reason for o in seen(operator_install, subscription(), deaf)] == ["CatalogUnreachable"]
    answer = causes(subscription(), deaf, served, target="Subscription/shop/queue")
    assert first(answer)[0] == "Pod/olm/community-x7k2p"


def plan(approved: bool) -> Doc:
    return thing("InstallPlan", "install-x", api=GROUP, spec={"approval": "Manual", "approved": approved, "clusterServiceVersionNames": ["queue.v2"]}, status={"phase": "RequiresApproval" if not approved else "Complete"})  # fmt: skip


def test_a_plan_that_waits_for_approval_counts_where_nothing_is_installed():
    waits = subscription(installPlanRef={"name": "install-x", "namespace": "shop"})
    upgrade = subscription(installPlanRef={"name": "install-x", "namespace": "shop"}, installedCSV="queue.v1")

    assert [(o.reason, o.latent) for o in seen(operator_install, plan(False), waits, catalogue())] == [
        ("InstallPlanNeedsApproval", False)
    ]
    assert [(o.reason, o.latent) for o in seen(operator_install, plan(False), upgrade, catalogue())] == [
        ("InstallPlanNeedsApproval", True)
    ]
    assert seen(operator_install, plan(True), waits, catalogue()) == []


def test_requirements_that_are_not_there_are_listed():
    status = [{"kind": "CustomResourceDefinition", "name": "queues.example.com", "status": "NotPresent"}, {"kind": "ServiceAccount", "name": "q", "status": "Present"}]  # fmt: skip
    (found,) = seen(operator_install, version("Pending", "RequirementsNotMet", requirementStatus=status))

    assert found.reason == "RequirementsNotMet"
    assert "queues.example.com" in found.text
    assert "ServiceAccount" not in found.text
    assert seen(operator_install, version("Succeeded", "InstallSucceeded", requirementStatus=status)) == []
