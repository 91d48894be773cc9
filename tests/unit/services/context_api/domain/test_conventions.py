"""What custom resources of kinds nobody listed name and write."""

from __future__ import annotations

import pytest

from services.context_api.domain.conventions import named
from services.context_api.domain.graph import Graph
from tests.support.kube import Doc, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")
KINDS = ("Thing", "WideThing", "Deployment")
API = "platform.example.com/v1"


def read(
    spec: Doc, status: Doc | None = None, api: str = API, kind: str = "Wish"
) -> set[tuple[str, str, bool]]:
    graph = Graph(snapshot(thing(kind, "mine", api=api, spec=spec, status=status or {})))
    (obj,) = graph.snapshot.of_kind(kind)
    return {(n.kind, f"{n.namespace}/{n.name}", n.makes) for n in named(obj, KINDS)}


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"thingRef": {"name": "a"}}, ("Thing", "shop/a", False)),
        ({"thingRefs": [{"name": "a", "namespace": "other"}]}, ("Thing", "other/a", False)),
        ({"resourceRef": {"kind": "Thing", "name": "a"}}, ("Thing", "shop/a", False)),
        ({"auth": {"login": [{"passwordSecretRef": {"name": "a", "key": "p"}}]}}, ("Secret", "shop/a", False)),
        ({"bigWideThingName": "a"}, ("WideThing", "shop/a", False)),
        ({"secretName": "a"}, ("Secret", "shop/a", False)),
        ({"writeConnectionSecretToRef": {"name": "a"}}, ("Secret", "shop/a", True)),
        ({"outputSecretName": "a"}, ("Secret", "shop/a", True)),
        ({"connInfoSecretTarget": {"name": "a"}}, ("Secret", "shop/a", True)),
        ({"targetConfigMap": "a"}, ("ConfigMap", "shop/a", True)),
    ],
)  # fmt: skip
def test_a_field_that_is_called_a_reference_names_an_object(spec: Doc, found: tuple[str, str, bool]):
    assert read(spec) == {found}


@pytest.mark.parametrize("status", [{"binding": {"name": "a"}}, {"secret": "a"}, {"secretName": "a"}])
def test_a_status_tells_which_secret_was_written(status: Doc):
    assert read({}, status) == {("Secret", "shop/a", True)}


@pytest.mark.parametrize(
    "spec",
    [
        {"claimRef": {"kind": "Thing", "name": "a"}},
        {"targetRefs": [{"kind": "Thing", "name": "a"}]},
        {"scaleTargetRef": {"kind": "Deployment", "name": "a"}},
        {"deploymentRef": {"name": "a"}},
        {"strangeRef": {"name": "a"}},
        {"thingRef": {"name": ""}},
        {"thingRef": None, "thingRefs": "", "secretName": ""},
        {"preference": {"name": "a"}, "clusterName": "a"},
    ],
)
def test_what_leads_back_or_to_nothing_known_is_no_reference(spec: Doc):
    assert read(spec) == set()


@pytest.mark.parametrize(
    ("api", "kind"), [("v1", "Wish"), ("networking.k8s.io/v1", "Wish"), ("apps/v1", "Deployment"), ("argoproj.io/v1", "Rollout")]
)  # fmt: skip
def test_kubernetes_own_objects_and_workloads_are_read_by_others(api: str, kind: str):
    assert read({"thingRef": {"name": "a"}}, api=api, kind=kind) == set()


def test_a_spec_that_is_nested_without_end_is_read_in_bounded_time():
    deep: Doc = {"thingRef": {"name": "a"}}
    for _ in range(50):
        deep = {"more": deep}

    assert read(deep) == set()
