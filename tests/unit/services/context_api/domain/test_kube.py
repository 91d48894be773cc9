"""Reading objects without trusting their shape."""

from __future__ import annotations

import pytest

from services.context_api.domain import kube
from tests.support.kube import container, deployment, thing
from tests.support.kube import kube as made

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-SEC-006")


@pytest.mark.parametrize(
    ("printed", "value"),
    [
        ("500m", 0.5), ("2", 2.0), (2, 2.0), ("1Gi", 2**30), ("128Mi", 128 * 2**20), ("1G", 1e9), ("1e3", 1000.0), ("1.5Gi", 1.5 * 2**30), ("100k", 1e5),
        ("", None), ("lots", None), (None, None), ([], None), (True, None), ("1Zi", None), ("9" * 100, None),
    ],
)  # fmt: skip
def test_quantities_are_read_in_base_units(printed, value):
    assert kube.quantity(printed) == value


@pytest.mark.parametrize("odd", [None, 1, "x", [], [1], {"a": None}, True])
def test_misshapen_fields_read_as_empty(odd):
    assert kube.entries(odd) == []
    assert kube.strings({"a": 1}) == []
    assert kube.at(odd, "a", "b") is None
    assert kube.number(odd, 7) in (1, 7)
    assert kube.label_selector(odd) == ({}, [])


@pytest.mark.parametrize(
    ("value", "number"),
    [("12", 12), ("-3", -3), (4, 4), ("²", 7), ("--5", 7), ("٣", 7), ("1\n", 7), ("", 7), (1.5, 7)],
)
def test_a_whole_number_is_one_or_there_is_none(value: object, number: int):
    assert kube.number(value, 7) == number


def test_yaml_numbers_in_labels_become_the_words_that_were_meant():
    assert kube.flat({"a": 1, "b": True, "c": 1.5, "d": None, 2: "x"}) == {
        "a": "1",
        "b": "true",
        "c": "1.5",
        "d": "",
    }


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ({}, True), (None, True), ({"matchLabels": {"app": "api"}}, True), ({"matchLabels": {"app": "x"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["api", "b"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["api"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Near"}]}, False),
    ],
)  # fmt: skip
def test_label_selectors_select_as_the_api_says(selector, fits: bool):
    assert kube.selects(selector, {"app": "api"}) is fits


def test_the_pod_spec_is_found_in_every_kind_that_has_one():
    inner = {"containers": [container("x")]}
    cron = thing("CronJob", "c", spec={"jobTemplate": {"spec": {"template": {"spec": inner}}}})

    assert [c["name"] for c in kube.containers(kube.pod_spec(made(cron)))] == ["x"]
    assert [c["name"] for c in kube.containers(kube.pod_spec(made(deployment("d")[0])))] == ["app"]


def test_the_controller_is_the_owner_and_a_lone_owner_without_the_flag_counts():
    flagged = thing("Pod", "p")
    flagged["metadata"]["ownerReferences"] = [
        {"kind": "A", "name": "a"},
        {"kind": "B", "name": "b", "controller": True},
    ]
    lone, not_controlling = thing("Pod", "q"), thing("Pod", "r")
    lone["metadata"]["ownerReferences"] = [{"kind": "A", "name": "a"}]
    not_controlling["metadata"]["ownerReferences"] = [{"kind": "A", "name": "a", "controller": False}]

    owners = [kube.owner_reference(made(d)) for d in (flagged, lone, not_controlling)]

    assert [o and o["name"] for o in owners] == ["b", "a", None]


def test_lists_of_names_are_shortened():
    assert kube.listing(["a", "b", "c"]) == "a, b, c"
    assert kube.listing(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


def test_condition_status_is_compared_whatever_its_case():
    odd = made(thing("X", "x", status={"conditions": [{"type": "Ready", "status": "false"}, "junk"]}))

    found = kube.condition(odd, "Ready")

    assert found
    assert found.status == "False"
    assert kube.condition(odd, "Other") is None


def test_texts_that_would_steer_a_terminal_or_an_eye_are_made_harmless():
    assert kube.harmless("a\x1b[2Jb\x00\u202ec\ud800\x9b") == "a\ufffd[2Jb\ufffd\ufffdc?\ufffd"
    assert kube.harmless("naïve, two\nlines\tand a tab") == "naïve, two\nlines\tand a tab"


def test_conditions_of_each_parent_and_listener_are_reported_with_an_objects_own():
    route = thing(
        "HTTPRoute", "api",
        status={
            "conditions": [{"type": "Ready", "status": "True"}],
            "parents": [{"conditions": [{"type": "Accepted", "status": "false"}]}, "junk", {"conditions": None}],
            "listeners": [{"conditions": [{"type": "Programmed", "status": "True"}]}],
        },
    )  # fmt: skip

    found = [(state.type, state.status) for state in kube.reported(made(route))]

    assert found == [("Ready", "True"), ("Accepted", "False"), ("Programmed", "True")]
