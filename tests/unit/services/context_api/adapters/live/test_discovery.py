from __future__ import annotations

from typing import Any

import pytest

from services.context_api.adapters.live.discovery import Resource, aggregated, chosen, of_version, versions_of

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def group(name: str, *versions: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name} if name else {}, "versions": list(versions)}


def version(word: str, *kinds: str, verbs: tuple[str, ...] = ("get", "list"), **more: Any) -> dict[str, Any]:
    resources = [
        {"resource": f"{kind.lower()}s", "responseKind": {"kind": kind}, "scope": "Namespaced", "verbs": list(verbs)}
        for kind in kinds
    ]  # fmt: skip
    return {"version": word, "freshness": "Current", "resources": resources, **more}


def test_custom_resources_are_found_beside_the_built_in_ones():
    found, gaps = aggregated(
        {"items": [group("", version("v1", "Pod")), group("example.com", version("v1", "Widget"))]}
    )

    assert [str(resource) for resource in found] == ["pods", "widgets.example.com"]
    assert gaps == []


def test_what_cannot_be_listed_is_no_resource():
    found, _ = aggregated(
        {"items": [group("authentication.k8s.io", version("v1", "TokenReview", verbs=("create",)))]}
    )

    assert found == []


def test_a_group_whose_own_server_does_not_answer_is_named():
    _, unanswered = aggregated({"items": [group("wardle.example.com", version("v1", freshness="Stale"))]})

    assert [(name, word) for name, word, _ in unanswered] == [("wardle.example.com", "v1")]


def test_each_resource_is_listed_in_the_version_the_server_prefers():
    found, _ = aggregated(
        {"items": [group("autoscaling", version("v2", "Hpa"), version("v1", "Hpa", "Old"))]}
    )

    assert [(r.kind, r.version) for r in chosen(found)] == [("Hpa", "v2"), ("Old", "v1")]


@pytest.mark.parametrize(
    ("name", "plural"),
    [("", "componentstatuses"), ("events.k8s.io", "events"), ("metrics.k8s.io", "pods"), ("project.openshift.io", "projects")],
)  # fmt: skip
def test_what_says_the_same_twice_or_is_computed_on_every_list_is_left_out(name: str, plural: str):
    kept = Resource("", "pods", "v1", "Pod", True)

    assert list(chosen([Resource(name, plural, "v1", "X", True), kept])) == [kept]


def test_subresources_of_an_older_servers_answer_are_no_resources():
    document = {
        "resources": [
            {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["list", "watch"]},
            {"name": "reports", "kind": "Report", "namespaced": True, "verbs": ["list"]},
            {"name": "pods/status", "kind": "Pod", "namespaced": True, "verbs": ["get", "list"]},
            {"name": "nodes", "kind": "Node", "namespaced": False, "verbs": ["get"]},
        ]
    }

    assert list(of_version(document, "", "v1")) == [
        Resource("", "pods", "v1", "Pod", True),
        Resource("", "reports", "v1", "Report", True, watchable=False),
    ]


def test_an_older_servers_preferred_version_comes_first():
    groups = {
        "groups": [
            {
                "name": "batch",
                "versions": [{"version": "v1beta1"}, {"version": "v1"}],
                "preferredVersion": {"version": "v1"},
            }
        ]
    }

    assert versions_of(groups) == [("batch", "v1"), ("batch", "v1beta1")]
    assert versions_of({"versions": ["v1"]}) == [("", "v1")]


@pytest.mark.parametrize(
    "document", [None, [], {}, {"items": None}, {"items": [{"versions": [{"resources": [1]}]}]}]
)
def test_a_misshapen_answer_holds_no_resource(document: object):
    assert aggregated(document)[0] == []


def test_a_resource_knows_its_paths():
    pods, apps = (
        Resource("", "pods", "v1", "Pod", True),
        Resource("apps", "deployments", "v1", "Deployment", True),
    )

    assert (pods.path(), pods.path("shop")) == ("/api/v1/pods", "/api/v1/namespaces/shop/pods")
    assert (apps.path("shop"), apps.api_version) == ("/apis/apps/v1/namespaces/shop/deployments", "apps/v1")
