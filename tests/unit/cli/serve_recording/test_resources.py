from __future__ import annotations

from typing import Any

import pytest

from cli.serve_recording.resources import Resource, resources_of
from services.context_api.domain.snapshot import ContainerLog
from tests.support.kube import Doc, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")


def definition(
    kind: str,
    plural: str,
    group: str = "example.com",
    *,
    scope: str = "Namespaced",
    versions: Any = None,
    **names: Any,
) -> Doc:
    spec = {
        "group": group,
        "scope": scope,
        "names": {"kind": kind, "plural": plural, **names},
        "versions": versions or [{"name": "v1", "served": True}],
    }
    return thing("CustomResourceDefinition", f"{plural}.{group}", None, api="apiextensions.k8s.io/v1", spec=spec)  # fmt: skip


def named(*documents: Any, **more: Any) -> dict[str, Resource]:
    return {
        f"{one.kind}.{one.version}.{one.group}": one for one in resources_of(snapshot(*documents, **more))
    }


def test_built_in_kinds_have_the_names_people_know():
    one = named(thing("Deployment", "api", api="apps/v1"))["Deployment.v1.apps"]

    assert (one.plural, one.singular, one.namespaced, list(one.short)) == (
        "deployments",
        "deployment",
        True,
        ["deploy"],
    )
    assert (one.categories, one.recorded, str(one)) == (("all",), True, "deployments.apps")


def test_a_custom_kind_is_called_as_its_definition_says():
    columns = [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]
    versions = [
        {"name": "v1beta1", "served": True},
        {"name": "v1", "served": True, "additionalPrinterColumns": columns, "selectableFields": [{"jsonPath": ".spec.color"}]},
    ]  # fmt: skip
    crd = definition(
        "Mouse", "mice", versions=versions, singular="mouse", shortNames=["mo"], categories=["zoo"]
    )
    found = named(crd, thing("Mouse", "m", api="example.com/v1"))
    one = found["Mouse.v1.example.com"]

    assert (one.plural, one.singular, list(one.short), list(one.categories)) == (
        "mice",
        "mouse",
        ["mo"],
        ["zoo"],
    )
    assert (one.columns, list(one.selectable)) == (columns, ["spec.color"])
    assert "Mouse.v1beta1.example.com" not in found


def test_a_definition_without_objects_is_served_stable_versions_first():
    versions = [
        {"name": n, "served": s} for n, s in (("v1alpha1", True), ("v2", True), ("v1", True), ("v3", False))
    ]
    found = [
        one
        for one in resources_of(snapshot(definition("Mouse", "mice", versions=versions)))
        if one.kind == "Mouse"
    ]

    assert [one.version for one in found] == ["v2", "v1", "v1alpha1"]
    assert not any(one.recorded or one.categories for one in found)


def test_an_older_definition_has_one_version_and_its_columns_at_the_top():
    crd = definition("Mouse", "mice")
    crd["spec"] |= {
        "versions": None,
        "version": "v1alpha1",
        "additionalPrinterColumns": [{"name": "A", "JSONPath": ".a"}],
    }
    one = named(crd)["Mouse.v1alpha1.example.com"]

    assert one.columns == [{"name": "A", "JSONPath": ".a"}]


def test_a_kind_nobody_describes_follows_the_rule_and_its_objects_scope():
    found = named(
        thing("Policy", "p", api="example.com/v1"), thing("Gateway", "g", None, api="example.com/v1alpha1")
    )

    assert (found["Policy.v1.example.com"].plural, found["Policy.v1.example.com"].namespaced) == (
        "policies",
        True,
    )
    assert (
        found["Gateway.v1alpha1.example.com"].plural,
        found["Gateway.v1alpha1.example.com"].namespaced,
    ) == ("gateways", False)


def test_a_recorded_discovery_document_has_the_first_word():
    resource = {
        "resource": "gateways2", "responseKind": {"kind": "Gateway"}, "scope": "Namespaced", "singularResource": "gw",
        "shortNames": ["g"], "verbs": ["list"],
    }  # fmt: skip
    told = thing("APIGroupDiscovery", "example.com", None, api="apidiscovery.k8s.io/v2", versions=[{"version": "v1", "resources": [resource, {"responseKind": {"kind": "Unseen"}, "resource": "unseens"}]}])  # fmt: skip
    found = named(told, thing("Gateway", "g", api="example.com/v1"))

    assert (found["Gateway.v1.example.com"].plural, list(found["Gateway.v1.example.com"].short)) == (
        "gateways2",
        ["g"],
    )
    assert not [key for key in found if "APIGroupDiscovery" in key or "Unseen" in key]


def test_a_discovery_document_leaves_a_definition_its_columns():
    columns = [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]
    crd = definition(
        "Mouse", "mice", versions=[{"name": "v1", "served": True, "additionalPrinterColumns": columns}]
    )
    resource = {"resource": "mouses", "responseKind": {"kind": "Mouse"}}
    told = thing(
        "APIGroupDiscovery",
        "example.com",
        None,
        api="apidiscovery.k8s.io/v2",
        versions=[{"resources": [resource]}],
    )
    one = named(crd, told, thing("Mouse", "m", api="example.com/v1"))["Mouse.v1.example.com"]

    assert (one.plural, one.columns) == ("mouses", columns)


def test_kinds_every_cluster_has_are_served_though_nothing_of_them_was_recorded():
    one = named()["CronJob.v1.batch"]

    assert not one.recorded
    assert not [key for key in named() if "openshift" in key]


def test_the_version_with_most_objects_is_preferred():
    objects = [thing("Mouse", f"m{n}", api=f"example.com/v{1 + (n > 0)}") for n in range(3)]
    found = [one.version for one in resources_of(snapshot(*objects)) if one.kind == "Mouse"]

    assert found == ["v2", "v1"]


def test_groups_come_as_an_api_server_orders_them():
    found = resources_of(
        snapshot(thing("Event", "e", api="events.k8s.io/v1"), thing("A", "a", api="a.example.com/v1"))
    )
    groups = list(dict.fromkeys(one.group for one in found))

    assert groups[0] == ""
    assert groups.index("events.k8s.io") < groups.index("a.example.com") == len(groups) - 1
    assert "Event.v1." in named(thing("Event", "e", api="events.k8s.io/v1"))


def test_two_kinds_with_one_plural_can_both_be_looked_at():
    found = resources_of(
        snapshot(thing("Mouse", "a", api="example.com/v1"), thing("MOUSE", "b", api="example.com/v1"))
    )

    assert sorted(one.plural for one in found if one.group == "example.com") == ["mouses", "mouses2"]


@pytest.mark.parametrize(
    "change", [{"group": "a/b"}, {"plural": "../x"}, {"kind": "no kind"}, {"plural": ""}, {"group": ""}]
)
def test_a_definition_with_names_that_no_path_may_have_defines_nothing(change: dict[str, str]):
    words = {"kind": "Mouse", "plural": "mice", "group": "example.com", **change}
    found = resources_of(snapshot(definition(words["kind"], words["plural"], words["group"])))

    assert not [one for one in found if not one.recorded and "mice" in one.plural]


def test_namespaces_can_be_told_of_by_a_log_alone():
    log = ContainerLog("shop", "api-0", "app", previous=False, text="x")
    odd = thing("Namespace", "odd", None, api="v2")

    assert "Namespace.v1." in named(odd, logs=[log])
