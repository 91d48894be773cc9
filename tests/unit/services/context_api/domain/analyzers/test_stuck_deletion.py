"""Deletions that hang."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import stuck_deletion
from tests.support.kube import ago, node, pod, thing
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
