from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.adapters.recording.limits import MIB
from services.context_api.adapters.recording.objects import (
    Admitted,
    admit,
    better,
    is_alert,
    is_kubernetes,
    unpack,
)

pytestmark = pytest.mark.requirement("INF-BR-REL-008", "INF-BR-TYPE-003")


def pod(name: str = "api-0", **changes: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"} | changes}


def admitted(document: dict[str, Any]) -> Admitted:
    return admit(document, origin="f.yaml", object_bytes=MIB)[0]


def refusal(document: dict[str, Any]) -> str:
    with pytest.raises(NotUsable) as refused:
        admitted(document)
    return refused.value.reason


def test_a_list_gives_its_items_in_order():
    document = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [pod("a"), {"kind": "List", "items": [pod("b")]}, pod("c")],
    }

    assert list(unpack(document)) == [pod("a"), pod("b"), pod("c")]


def test_items_of_a_typed_list_get_its_kind():
    document = {"apiVersion": "apps/v1", "kind": "DeploymentList", "items": [{"metadata": {"name": "a"}}]}

    assert list(unpack(document)) == [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}
    ]


@pytest.mark.parametrize("items", [[], None])
def test_an_empty_list_gives_nothing(items: object):
    assert list(unpack({"apiVersion": "v1", "kind": "PodList", "items": items})) == []


def test_a_custom_resource_that_is_only_called_a_list_is_an_object():
    document = {
        "apiVersion": "example.com/v1",
        "kind": "AllowList",
        "metadata": {"name": "a"},
        "spec": {"items": []},
    }

    assert list(unpack(document)) == [document]


def test_a_thousand_lists_in_each_other_are_unpacked():
    document: Any = pod()
    for _ in range(1000):
        document = {"kind": "List", "items": [document]}

    assert list(unpack(document)) == [pod()]


def test_an_admitted_object_keeps_what_was_printed():
    document = pod(uid="u-1", resourceVersion="7") | {
        "spec": {"nodeName": "n"},
        "status": {"phase": "Running"},
    }

    item = admitted(document).object

    assert (item.api_version, item.kind, item.namespace, item.name, item.uid) == (
        "v1",
        "Pod",
        "shop",
        "api-0",
        "u-1",
    )
    assert item.body == document
    assert item.origin == "f.yaml"


def test_an_unknown_kind_is_kept_as_it_is():
    document = {
        "apiVersion": "acme.example/v1",
        "kind": "Rocket",
        "metadata": {"name": "a"},
        "spec": {"fuel": [1, 2]},
    }

    assert admitted(document).object.body == document
    assert admitted(document).object.namespace is None


@pytest.mark.parametrize("name", ["system:node-1", "v1.apps", "a" * 253, "nginx:1.25", "aggregate_to.view"])
def test_names_that_clusters_really_have_are_admitted(name: str):
    assert admitted(pod(name)).object.name == name


@pytest.mark.parametrize(
    ("document", "word"),
    [
        (pod("../../etc/passwd"), "name"),
        (pod("a" * 254), "name"),
        (pod(""), "name"),
        (pod("a\x1b[31m"), "name"),
        (pod(7), "name"),  # type: ignore[arg-type]
        (pod(namespace="Not A Namespace"), "namespace"),
        (pod(namespace=["a"]), "namespace"),
        (pod() | {"kind": "Pod/exec"}, "kind"),
        (pod() | {"kind": {"a": 1}}, "kind"),
        (pod() | {"apiVersion": 1}, "apiVersion"),
        (pod() | {"metadata": None}, "metadata"),
        (pod() | {"metadata": [1]}, "metadata"),
        (pod(labels={"a": {"b": 1}}), "labels"),
        (pod(annotations={"a": None}), "annotations"),
        (pod() | {"spec": {"a": 2**70}}, "64-bit"),
        (pod() | {"spec": {("a", "b"): 1}}, "JSON"),
        (pod() | {"data": {"a": "x" * MIB}}, "1 MiB"),
    ],
)
def test_an_impossible_object_is_refused_by_its_field(document: dict[str, Any], word: str):
    assert word in refusal(document)


def test_nesting_beyond_what_json_writers_take_is_refused():
    deep: Any = 1
    for _ in range(300):
        deep = [deep]

    assert "JSON" in refusal(pod() | {"spec": {"a": deep}})


def test_labels_written_by_hand_become_texts():
    item = admitted(pod(labels={"version": 1.5, "on": True, "n": 7, "app": "api"})).object

    assert item.labels == {"version": "1.5", "on": "true", "n": "7", "app": "api"}


def test_keys_that_are_no_texts_become_texts():
    assert admitted(pod() | {"data": {2: "a", True: "b"}}).object.body["data"] == {"2": "a", "true": "b"}


def test_nul_never_reaches_the_database():
    item = admitted(pod() | {"data": {"a": "x\0y", "b": "\\u0000"}}).object

    assert item.body["data"] == {"a": "x\ufffdy", "b": "\\u0000"}


def test_a_secret_keeps_no_data():
    document = pod() | {"kind": "Secret", "data": {"password": "aHVudGVyMg=="}}

    item, raw = admit(document, origin="", object_bytes=MIB)

    assert item.object.body["dataSummary"] == {"password": {"bytes": 7}}
    assert b"aHVudGVyMg" not in raw
    assert "data" not in item.object.body
    assert document["data"], "the caller's document is not ours to change"


def test_a_secret_inside_another_object_keeps_no_data():
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s"},
        "stringData": {"password": "hunter2"},
    }
    applied = '{"apiVersion":"v1","kind":"Secret","data":{"password":"aHVudGVyMg=="}}'
    template = {
        "apiVersion": "template.openshift.io/v1",
        "kind": "Template",
        "metadata": {
            "name": "t",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied},
        },
        "objects": [secret],
    }

    item, raw = admit(template, origin="", object_bytes=MIB)

    assert b"hunter2" not in raw
    assert b"aHVudGVyMg" not in raw
    assert item.object.body["objects"][0]["dataSummary"] == {"password": {"bytes": 7}}


def test_the_newer_copy_is_better():
    old, new = (admitted(pod(resourceVersion=version)) for version in ("9", "10"))

    assert better(old, new) is new
    assert better(new, old) is new


def test_of_equal_age_the_more_complete_copy_is_better():
    short, whole = admitted(pod()), admitted(pod() | {"status": {"phase": "Running"}})

    assert better(short, whole) is whole
    assert better(whole, short) is whole


def test_of_equal_copies_the_first_stays():
    first, second = admitted(pod()), admitted(pod())

    assert better(first, second) is first


@pytest.mark.parametrize("version", ["", "abc", "-1", "9" * 30, "²"])
def test_a_version_that_is_no_number_is_older_than_any(version: str):
    numbered = admitted(pod(resourceVersion="1"))

    assert better(admitted(pod(resourceVersion=version)), numbered) is numbered


def test_an_event_of_either_api_group_is_one_event():
    core, grouped = (
        {"apiVersion": v, "kind": "Event", "metadata": {"name": "e", "namespace": "shop"}}
        for v in ("v1", "events.k8s.io/v1")
    )

    assert admitted(core).key == admitted(grouped).key
    assert admitted(core).is_event
    assert admitted(grouped).is_event


def test_equal_kinds_of_different_groups_are_different_objects():
    knative = pod() | {"apiVersion": "serving.knative.dev/v1", "kind": "Service"}

    assert admitted(pod() | {"kind": "Service"}).key != admitted(knative).key
    assert not admitted(pod() | {"apiVersion": "acme.example/v1", "kind": "Event"}).is_event


def test_what_is_no_kubernetes_object_is_told_apart():
    assert is_kubernetes(pod())
    assert not is_kubernetes({"replicaCount": 2})
    assert not is_kubernetes("text")
    assert is_alert({"alerts": [], "version": "4"})
    assert is_alert({"labels": {}, "startsAt": ""})
    assert not is_alert(["alerts"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "apiVersion": st.just("v1") | JSON,
            "kind": st.sampled_from(["Pod", "Secret", "List", "Event"]) | JSON,
        },
        optional={
            "metadata": st.fixed_dictionaries(
                {"name": st.just("a") | JSON},
                optional=dict.fromkeys(
                    ("namespace", "labels", "annotations", "resourceVersion", "uid"), JSON
                ),
            )
            | JSON,
            **dict.fromkeys(("spec", "status", "data", "stringData", "items"), JSON),
        },
    )
)
def test_whatever_is_in_a_document_it_is_admitted_or_refused_with_a_word(document: dict[str, Any]):
    for item in unpack(document):
        if isinstance(item, dict) and is_kubernetes(item):
            try:
                found, raw = admit(item, origin="", object_bytes=MIB)
            except NotUsable as refused:
                word = refused.reason
            else:
                word = found.object.kind
                assert better(found, found) is found
                assert b"\\u0000" not in raw.replace(b"\\\\", b"")
            assert word
