"""Which objects the words of an error mean."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.graph import Graph
from services.context_api.domain.mentions import Mentions
from tests.support.kube import config_map, deployment, service, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")


def meant(
    words: str, *objects: Any, speaker: tuple[str, str | None, str] = ("Deployment", "shop", "api")
) -> list[str]:
    graph = Graph(snapshot(deployment("api"), *objects))
    about = graph.get(*speaker)
    assert about
    return [str(m.obj) for m in Mentions(graph).of(about, words)]


QUOTA = thing("ResourceQuota", "compute", spec={"hard": {"requests.cpu": "4"}})
HOOK = thing(
    "ValidatingWebhookConfiguration", "house", None, api="admissionregistration.k8s.io/v1",
    webhooks=[{"name": "pods.rules.example.com"}],
)  # fmt: skip


def test_a_common_word_means_an_object_where_its_kind_stands_before_it():
    assert meant("pods are forbidden: exceeded quota: compute, requested: cpu=2", QUOTA) == [
        "ResourceQuota/shop/compute"
    ]


def test_a_common_word_alone_means_nobody():
    assert meant("cannot compute the total of the order", QUOTA) == []


def test_a_quoted_name_means_the_object_that_bears_it():
    assert meant('secret "keys" has no entry', thing("Secret", "keys")) == ["Secret/shop/keys"]


def test_a_namesake_in_another_namespace_is_not_meant_unless_the_words_name_that_namespace():
    elsewhere = config_map("app-settings", "depot")

    assert meant("cannot read app-settings", elsewhere) == []
    assert meant("cannot read depot/app-settings", elsewhere) == ["ConfigMap/depot/app-settings"]


def test_what_only_one_object_declares_means_that_object():
    assert meant('failed calling webhook "pods.rules.example.com"', HOOK) == [
        "ValidatingWebhookConfiguration/_cluster/house"
    ]


def test_what_many_objects_declare_means_none_of_them():
    many = [
        thing("LimitRange", f"bounds-{n}", spec={"limits": [{"max": {"memory": "1Gi"}}]}) for n in range(5)
    ]

    assert meant("maximum memory usage is 1Gi", many[0]) == ["LimitRange/shop/bounds-0"]
    assert meant("maximum memory usage is 1Gi", *many) == []


def test_a_kind_of_two_words_means_the_few_of_that_kind_beside_the_speaker():
    group = thing("OperatorGroup", "blue", api="operators.coreos.com/v1")
    elsewhere = thing("OperatorGroup", "green", "depot", api="operators.coreos.com/v1")

    assert meant("created in namespace with multiple operatorgroups", group, elsewhere) == [
        "OperatorGroup/shop/blue"
    ]


def test_nobody_means_himself_or_what_he_made():
    assert meant('deployment "api" has pods that fail, see "api-7f"', thing("ReplicaSet", "api-7f")) == []


def test_addresses_and_numbers_are_no_names():
    policy = thing(
        "Gateway", "front", api="gateway.networking.k8s.io/v1", spec={"addresses": [{"value": "10.0.0.1"}]}
    )

    assert meant("dial tcp 10.0.0.1:443: refused after 3.5 s", policy) == []


def test_words_about_a_namespace_mean_what_lies_in_it():
    bucket = thing("Bucket", "assets", api="buckets.example.com/v1")
    objects = [thing("Namespace", "shop", None), bucket, service("web")]

    found = meant(
        "finalizers remaining: buckets.buckets.example.com has 1",
        *objects,
        speaker=("Namespace", None, "shop"),
    )

    assert found == ["Bucket/shop/assets"]
