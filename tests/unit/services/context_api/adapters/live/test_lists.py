from __future__ import annotations

import json
from typing import Any

import pytest

from services.context_api.adapters.live.discovery import Resource
from services.context_api.adapters.live.errors import ApiFailure, Why
from services.context_api.adapters.live.lists import Listed, Page, Room, read_page
from services.context_api.domain.snapshot import KubeObject
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

PODS = Resource("", "pods", "v1", "Pod", True)
SECRETS = Resource("", "secrets", "v1", "Secret", True)


def page(document: object, resource: Resource = PODS) -> Page:
    return read_page(json.dumps(document).encode(), resource, resource.path(), 1024 * 1024)


def listed(*items: Any, token: str = "") -> dict[str, Any]:
    return {"kind": "PodList", "metadata": {"continue": token}, "items": list(items)}


def test_items_get_the_kind_that_a_list_leaves_out():
    bare = {key: value for key, value in kube.pod("a").items() if key not in ("kind", "apiVersion")}

    (item,) = page(listed(bare)).items

    assert (item.api_version, item.kind, item.namespace, item.name) == ("v1", "Pod", "shop", "a")
    assert item.origin == "/api/v1/pods"


def test_an_object_stays_as_the_server_printed_it():
    document = kube.pod("a")
    document["metadata"]["managedFields"] = [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]
    document["spec"]["field-of-tomorrow"] = {"x": [1, 2]}

    (item,) = page(listed(document)).items

    assert item.body == document


@pytest.mark.requirement("INF-BR-SEC-005", "HAPI-110")
def test_a_secret_is_empty_when_it_leaves_the_page():
    read = page(
        listed({"metadata": {"name": "db", "namespace": "shop"}, "data": {"password": "Y2FuYXJ5"}}), SECRETS
    )

    assert "Y2FuYXJ5" not in repr(read)
    assert read.items[0].body["dataSummary"] == {"password": {"bytes": 6}}


def test_of_a_secret_only_what_is_kept_counts():
    secret = {"metadata": {"name": "release", "namespace": "shop"}, "data": {"release": "A" * 100_000}}

    assert page(listed(secret), SECRETS).size < 1_000


def test_one_impossible_object_is_named_and_the_others_stay():
    read = page(listed({"metadata": {"name": "../../etc"}}, 7, kube.pod("a")))

    assert [item.name for item in read.items] == ["a"]
    assert [gap.what for gap in read.gaps] == ["object 1 of a page of pods", "object 2 of a page of pods"]


def test_what_every_server_makes_for_itself_is_neither_kept_nor_missed():
    own = {"metadata": {"name": "v1.", "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}}}

    read = page(listed(own), Resource("apiregistration.k8s.io", "apiservices", "v1", "APIService", False))

    assert (list(read.items), list(read.gaps)) == ([], [])


def test_the_token_of_the_next_page_is_handed_on():
    assert page(listed(token="abc")).next == "abc"
    assert page({"items": None}).next == ""


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"kind":"Status"}', b'{"items":7}', b""])
def test_what_is_no_list_is_a_failure_and_not_an_empty_cluster(body: bytes):
    with pytest.raises(ApiFailure) as failed:
        read_page(body, PODS, "/api/v1/pods", 1024)

    assert failed.value.why is Why.broken


def test_the_same_object_has_the_same_digest_whatever_its_page():
    assert page(listed(kube.pod("a"), kube.pod("b"))).digests[1] == page(listed(kube.pod("b"))).digests[0]


def test_room_is_given_until_it_is_used_up():
    room = Room(bytes=10, objects=1)

    assert [room.take(6), room.take(6), room.take(4), room.take(1)] == [True, False, True, False]


def test_giving_up_names_what_is_there_and_what_is_not():
    nothing, some = (
        Listed(PODS, None),
        Listed(PODS, "shop", items=[KubeObject("v1", "Pod", "shop", "a", "", {})]),
    )

    nothing.give_up("no answer within 10 s")
    some.give_up("no answer within 10 s")

    assert str(nothing.gaps[0]) == "pods: no answer within 10 s"
    assert str(some.gaps[0]) == "pods in shop: only the first 1 were read: no answer within 10 s"
