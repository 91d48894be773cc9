from __future__ import annotations

import json

import pytest

from cli.serve_recording.index import NOT_RECORDED, Index, Item, index_of
from services.context_api.domain.snapshot import ContainerLog
from tests.support.kube import pod, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-CAPI-006")


def names(index: Index, plural: str, group: str = "", version: str = "v1") -> list[str]:
    return [item.name for item in index.shelves[group, version, plural].items]


def test_objects_lie_in_the_order_an_api_server_lists_them():
    index = index_of(snapshot(pod("b"), pod("a"), pod("z", "bank")))

    assert names(index, "pods") == ["z", "a", "b"]


def test_an_object_is_kept_byte_for_byte_as_it_was_admitted():
    document = pod("a", labels={"app": "ü"})
    item = index_of(snapshot(document)).shelves["", "v1", "pods"].get("shop", "a")

    assert item is not None
    assert json.loads(item.raw) == document == item.body
    assert item.labels == {"app": "ü"}
    assert item.fields["spec.nodeName"] == "node-1"


def test_the_items_behind_a_place_are_found_without_looking_at_those_before():
    shelf = index_of(
        snapshot([pod(name, space) for space in ("a", "b", "c") for name in ("x", "y")])
    ).shelves["", "v1", "pods"]

    def after(place: tuple[str, str] | None, namespace: str | None) -> list[tuple[str | None, str]]:
        return [(item.namespace, item.name) for item in shelf.after(place, namespace)]

    assert len(after(None, None)) == 6
    assert after(None, "b") == [("b", "x"), ("b", "y")]
    assert after(("b", "x"), None) == [("b", "y"), ("c", "x"), ("c", "y")]
    assert after(("b", "x"), "b") == [("b", "y")]
    assert after(("a", "y"), "b") == [("b", "x"), ("b", "y")]
    assert after(("c", "y"), None) == after(None, "d") == []


def test_a_namespace_that_only_its_objects_tell_of_is_listed_and_marked():
    log = ContainerLog("logs-only", "p", "app", previous=False, text="")
    event = thing("Event", "e", "events-only")
    index = index_of(snapshot(pod("a"), event, thing("Namespace", "empty", None), logs=[log]))
    shelf = index.shelves["", "v1", "namespaces"]

    assert names(index, "namespaces") == ["empty", "events-only", "logs-only", "shop"]
    made = shelf.get(None, "shop")
    recorded = shelf.get(None, "empty")
    assert made is not None
    assert recorded is not None
    assert NOT_RECORDED in made.body["metadata"]["annotations"]
    assert "status" not in made.body
    assert NOT_RECORDED not in recorded.body["metadata"]["annotations"]


def test_the_lists_version_is_the_newest_of_any_object():
    index = index_of(snapshot(thing("ConfigMap", "a", version=7), thing("ConfigMap", "b", version=99)))

    assert index.resource_version == 99
    odd = thing("ConfigMap", "a")
    odd["metadata"]["resourceVersion"] = "9" * 30
    assert index_of(snapshot(odd)).resource_version == 1


def test_events_of_the_newer_group_are_core_events_too():
    event = thing(
        "Event", "e", api="events.k8s.io/v1", note="it failed", regarding={"kind": "Pod", "name": "a"}
    )
    index = index_of(snapshot(event))
    core: Item = index.shelves["", "v1", "events"].items[0]

    assert core.body["message"] == "it failed"
    assert core.fields["involvedObject.name"] == "a"
    assert index.shelves["events.k8s.io", "v1", "events"].items[0].body == event


def test_other_versions_of_a_kind_are_known():
    index = index_of(snapshot(thing("Mouse", "a", api="example.com/v1"), thing("Mouse", "b", api="example.com/v2"), thing("Mouse", "c", api="example.com/v2")))  # fmt: skip
    other = index.elsewhere(index.shelves["example.com", "v2", "mouses"].resource)

    assert [shelf.resource.version for shelf in other] == ["v1"]
    assert index.elsewhere(index.shelves["", "v1", "pods"].resource) == []
