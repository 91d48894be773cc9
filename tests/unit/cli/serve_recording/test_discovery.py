from __future__ import annotations

from typing import Any

import pytest

from cli.serve_recording import discovery
from cli.serve_recording.negotiation import Form
from cli.serve_recording.resources import resources_of
from tests.support.kube import kube, pod, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")

RESOURCES = resources_of(
    snapshot(pod("a"), thing("Mouse", "m", api="example.com/v2"), thing("Mouse", "n", api="example.com/v1"),
             thing("Mouse", "o", api="example.com/v2"))
)  # fmt: skip


def node(version: str) -> Any:
    return kube(thing("Node", "n", None, status={"nodeInfo": {"kubeletVersion": version}}))


def test_the_version_is_the_newest_kubelets_and_is_marked():
    said = discovery.version([node("v1.9.3"), node("v1.31.4-eks-1"), node("odd"), node("v1.31.10")])

    assert (said["major"], said["minor"], said["gitVersion"]) == ("1", "31", "v1.31.10+recording")
    assert discovery.version([])["gitVersion"] == "v0.0.0+recording"


def test_both_forms_of_discovery_tell_of_the_same_kinds():
    old = {
        (document["groupVersion"], one["name"])
        for group, version in {(one.group, one.version) for one in RESOURCES}
        if (document := discovery.resource_list(RESOURCES, group, version))
        for one in document["resources"]
        if "/" not in one["name"]
    }
    new = {
        (
            f"{name}/{version['version']}" if (name := item["metadata"]["name"]) else version["version"],
            one["resource"],
        )
        for core in (True, False)
        for item in discovery.aggregated(RESOURCES, Form.discovery, core=core)["items"]
        for version in item["versions"]
        for one in version["resources"]
    }

    assert old == new == {(one.api_version, one.plural) for one in RESOURCES}


def test_core_stands_in_one_list_and_the_named_groups_in_the_other():
    core = discovery.aggregated(RESOURCES, Form.discovery, core=True)
    named = discovery.aggregated(RESOURCES, Form.older_discovery, core=False)

    assert [item["metadata"]["name"] for item in core["items"]] == [""]
    assert core["apiVersion"] == "apidiscovery.k8s.io/v2"
    assert named["apiVersion"] == "apidiscovery.k8s.io/v2beta1"
    assert "" not in [item["metadata"]["name"] for item in named["items"]]
    assert discovery.api_versions(RESOURCES, "127.0.0.1:1")["versions"] == ["v1"]


def test_the_preferred_version_of_a_group_stands_first():
    group = discovery.group(RESOURCES, "example.com")

    assert group is not None
    assert group["preferredVersion"] == {"groupVersion": "example.com/v2", "version": "v2"}
    assert [one["version"] for one in group["versions"]] == ["v2", "v1"]
    assert [one for one in discovery.group_list(RESOURCES)["groups"] if one["name"] == "example.com"] == [
        {key: group[key] for key in ("name", "versions", "preferredVersion")}
    ]


def test_pods_have_logs_and_nothing_is_written():
    core = discovery.resource_list(RESOURCES, "", "v1")

    assert core is not None
    assert "pods/log" in [one["name"] for one in core["resources"]]
    assert {verb for one in core["resources"] for verb in one["verbs"]} == {"get", "list", "watch"}


@pytest.mark.parametrize("name", ["", "gone.example.com"])
def test_a_group_that_is_not_there_is_none(name: str):
    assert discovery.group(RESOURCES, name) is None
    assert discovery.resource_list(RESOURCES, name, "v9") is None
