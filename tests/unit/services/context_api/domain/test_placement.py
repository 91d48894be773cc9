"""Where a pod may go, and what keeps it away."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.placement import may_be_attached, may_go_to, untolerated
from tests.support.kube import kube, node, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

TAINT = {"key": "pool", "value": "gpu", "effect": "NoSchedule"}
NODE = kube(node("n1", labels={"zone": "a", "cores": "16"}, taints=[TAINT]))


def affinity(*expressions: dict[str, Any], fields: Any = ()) -> dict[str, Any]:
    term = {"matchExpressions": list(expressions), "matchFields": list(fields)}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": required}}


def wants(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"nodeSelector": {"zone": "a"}},
        affinity(wants("zone", "In", "a", "b"), wants("disk", "DoesNotExist"), wants("cores", "Gt", "8")),
        affinity(wants("zone", "NotIn", "c"), wants("zone", "Exists"), wants("cores", "Lt", "32")),
        affinity(fields=[wants("metadata.name", "In", "n1")]),
    ],
    ids=["asks nothing", "selector", "in, absent, greater", "not in, there, less", "by name"],
)
def test_a_node_that_fulfils_all_requirements_may_be_used(spec: dict[str, Any]):
    assert may_go_to(spec, NODE)


@pytest.mark.parametrize(
    "spec",
    [
        {"nodeSelector": {"zone": "b"}},
        {"nodeSelector": {"disk": "ssd"}},
        affinity(wants("zone", "In", "b")),
        affinity(wants("zone", "In", "a"), wants("cores", "Gt", "16")),
        affinity(wants("zone", "Near", "a")),
        affinity(),
    ],
    ids=[
        "other value",
        "no such label",
        "not in",
        "one of two",
        "unknown operator",
        "a term that asks nothing",
    ],
)
def test_a_node_that_misses_one_requirement_may_not(spec: dict[str, Any]):
    assert not may_go_to(spec, NODE)


@pytest.mark.parametrize(
    "toleration",
    [
        {"operator": "Exists"},
        {"key": "pool", "operator": "Exists"},
        {"key": "pool", "value": "gpu"},
        {"key": "pool", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"},
    ],
)
def test_a_tolerated_taint_keeps_nobody_away(toleration: dict[str, str]):
    assert untolerated({"tolerations": [toleration]}, NODE) == []


@pytest.mark.parametrize(
    "toleration",
    [
        {"key": "pool", "value": "cpu"},
        {"key": "other", "operator": "Exists"},
        {"key": "pool", "operator": "Exists", "effect": "NoExecute"},
    ],
)
def test_another_toleration_does_not_help(toleration: dict[str, str]):
    assert untolerated({"tolerations": [toleration]}, NODE) == [TAINT]


def test_a_preference_is_no_obstacle():
    soft = kube(node("n2", taints=[{"key": "pool", "effect": "PreferNoSchedule"}]))

    assert untolerated({}, soft) == []


@pytest.mark.parametrize(
    ("terms", "may"),
    [
        ([], True),
        ([{"matchExpressions": [wants("zone", "In", "a", "b")]}], True),
        ([{"matchExpressions": [wants("zone", "In", "c")]}], False),
        ([{"matchExpressions": [wants("zone", "In", "c")]}, {"matchExpressions": [wants("zone", "In", "a")]}], True),
        ([{"matchFields": [wants("metadata.name", "In", "n2")]}], False),
    ],
    ids=["anywhere", "its zone", "another zone", "one of two places", "another node"],
)  # fmt: skip
def test_a_volume_may_be_used_where_its_node_affinity_admits_it(terms: list[Any], may: bool):
    volume = kube(thing("PersistentVolume", "v", None, spec={"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}))  # fmt: skip

    assert may_be_attached(volume, NODE) is may
