"""Deletions that hang."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import stuck_deletion
from tests.support.kube import ago, container, deployment, edit, node, pod, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def deleted(obj, minutes: float, *finalizers: str):
    obj["metadata"].update(deletionTimestamp=ago(minutes), finalizers=list(finalizers))
    return obj


def test_the_finalizer_and_the_time_are_told():
    (found,) = seen(
        stuck_deletion,
        deleted(
            thing("PersistentVolumeClaim", "data", status={"phase": "Bound"}),
            90,
            "kubernetes.io/pvc-protection",
        ),
    )

    assert said([found]) == [("PersistentVolumeClaim/shop/data", "FinalizerStuck")]
    assert "`kubernetes.io/pvc-protection`" in found.text
    assert "90 min" in found.text


def test_a_namespace_says_what_is_left_in_it():
    left = thing(
        "Namespace",
        "old",
        None,
        spec={"finalizers": ["kubernetes"]},
        status={
            "conditions": [
                {
                    "type": "NamespaceContentRemaining",
                    "status": "True",
                    "message": "widgets.example.com has 3 resource instances",
                }
            ]
        },
    )

    assert "3 resource instances" in seen(stuck_deletion, deleted(left, 60))[0].text


def test_a_pod_that_hangs_on_a_dead_node_is_the_nodes_fault():
    objects = [deleted(pod("db-0"), 30), node(ready="Unknown", since=40)]

    assert first(causes(objects, target="Pod/shop/db-0")) == ("Node/_cluster/node-1", "NodeNotReady")


def test_a_deletion_under_way_is_healthy():
    assert seen(stuck_deletion, deleted(pod("web-0"), 0.5), pod("web-1")) == []


def kept(manager: str):
    """A custom resource whose finalizer that manager set."""
    obj = deleted(thing("Queue", "orders", api="mq.example.com/v1"), 60, "mq.example.com/cleanup")
    obj["metadata"]["managedFields"] = [
        {
            "manager": manager,
            "operation": "Update",
            "time": ago(900),
            "fieldsV1": {"f:metadata": {"f:finalizers": {".": {}, 'v:"mq.example.com/cleanup"': {}}}},
        }
    ]
    return obj


def test_the_controller_that_set_the_finalizer_and_no_longer_runs_is_the_cause():
    keeper = deployment("mq-operator", "platform", replicas=0, edits=[edit(90, "spec/replicas")])

    answer = causes(kept("mq-operator"), keeper, target="Queue/shop/orders")

    assert first(answer) == ("Deployment/platform/mq-operator", "ScaledToZero")
    assert "Queue/shop/orders: FinalizerStuck" in answer.ranked[0].explains


def test_a_controller_that_runs_is_not_blamed_for_taking_its_time():
    answer = causes(kept("mq-operator"), deployment("mq-operator", "platform"), target="Queue/shop/orders")

    assert first(answer) == ("Queue/shop/orders", "FinalizerStuck")
    assert "which Deployment platform/mq-operator set" in answer.ranked[0].text


@pytest.mark.parametrize("manager", ["kubectl-edit", "other-operator", "manager"])
def test_nobody_is_named_who_did_not_set_it(manager: str):
    keeper = deployment("mq-operator", "platform", replicas=0, containers=[container("manager")])

    (found,) = seen(stuck_deletion, kept(manager), keeper)

    assert found.blames == ()


def test_a_namespace_leads_to_what_hangs_in_it():
    left = thing(
        "Namespace", "shop", None, spec={"finalizers": ["kubernetes"]},
        status={"conditions": [{"type": "NamespaceFinalizersRemaining", "status": "True",
                                "message": "Some content in the namespace has finalizers remaining: mq.example.com/cleanup in 1 resource instances"}]},
    )  # fmt: skip

    answer = causes(deleted(left, 60), kept("x"), target="Namespace/_cluster/shop")

    assert first(answer) == ("Queue/shop/orders", "FinalizerStuck")
    assert "Namespace/_cluster/shop: FinalizerStuck" in answer.ranked[0].explains


def namespace(minutes: float):
    return deleted(thing("Namespace", "old", None, spec={"finalizers": ["kubernetes"]}), minutes)


def test_a_namespace_waits_for_what_is_left_in_it_and_that_is_the_cause():
    bucket = deleted(
        thing("Bucket", "assets", "old", api="storage.example.com/v1"), 90, "example.com/release"
    )

    answer = causes(namespace(90), bucket, target="Namespace/_cluster/old")

    assert first(answer) == ("Bucket/old/assets", "FinalizerStuck")
    assert "`example.com/release`" in answer.ranked[0].text


def test_what_goes_elsewhere_or_stays_is_not_what_a_namespace_waits_for():
    other = deleted(thing("Bucket", "assets", "new", api="storage.example.com/v1"), 90, "example.com/release")

    (found,) = [
        o
        for o in seen(stuck_deletion, namespace(90), other, thing("ConfigMap", "c", "old"))
        if o.about.kind == "Namespace"
    ]

    assert found.blames == ()


def test_a_claim_that_is_still_used_names_who_uses_it():
    def user(claim: str):
        return deployment(
            "web", spec={"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": claim}}]}
        )

    claim = deleted(
        thing("PersistentVolumeClaim", "data", status={"phase": "Bound"}), 90, "kubernetes.io/pvc-protection"
    )

    assert "Deployment shop/web still uses it" in seen(stuck_deletion, claim, user("data"))[0].text
    assert "uses it" not in seen(stuck_deletion, claim, user("other"))[0].text
