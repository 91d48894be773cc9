"""Which recorded objects a pod spec means, and whose pods use one."""

from __future__ import annotations

import pytest

from services.context_api.domain.graph import Graph
from services.context_api.domain.uses import CLAIM, used_by, users_of_claim, uses, values_of
from tests.support.kube import config_map, container, deployment, kube, pod, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

ONE_KEY = container(
    env=[{"name": "MODE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "mode"}}}],
    envFrom=[{"secretRef": {"name": "login"}}, {"configMapRef": {"name": "gone"}}],
)
DATA = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}


def settings(namespace: str = "shop"):
    return config_map("settings", namespace, data={"mode": "fast", "other": "unread"})


def of(*documents, kind: str, name: str):
    graph = Graph(snapshot(*documents))
    found = graph.get(kind, "shop", name)
    assert found is not None
    return graph, found


def test_a_name_means_the_object_of_the_pods_own_namespace_where_one_was_recorded():
    login = thing("Secret", "login")
    graph, user = of(pod("x", containers=[ONE_KEY]), settings("elsewhere"), login, kind="Pod", name="x")

    assert [(use.where, found.name) for use, found in used_by(graph, user, "ConfigMap", "Secret")] == [
        ("envFrom of container app", "login")
    ]
    assert list(used_by(graph, user, "ConfigMap")) == []


def test_of_a_config_map_only_the_keys_that_are_used_reach_a_container():
    whole = container(envFrom=[{"configMapRef": {"name": "settings"}}])
    one, all_of_it = pod("one", containers=[ONE_KEY]), pod("all", containers=[whole])
    graph, user = of(one, all_of_it, settings(), kind="Pod", name="one")
    other = graph.get("Pod", "shop", "all")
    assert other is not None

    assert [(key, value, use.variable) for use, _, key, value in values_of(graph, user)] == [
        ("mode", "fast", "MODE")
    ]
    assert [(key, value) for _, _, key, value in values_of(graph, other)] == [
        ("mode", "fast"),
        ("other", "unread"),
    ]


def test_a_claim_is_used_by_the_uppermost_owners_of_the_pods_that_mount_it_each_told_once():
    owned = deployment("api", replicas=2, spec=DATA)
    alone, elsewhere = pod("alone", spec=DATA), pod("far", "elsewhere", spec=DATA)
    graph = Graph(snapshot(owned, alone, elsewhere, pod("without")))

    assert sorted((top.kind, top.name) for top in users_of_claim(graph, "shop", "data")) == [
        ("Deployment", "api"),
        ("Pod", "alone"),
    ]
    assert users_of_claim(graph, "shop", "other") == []


def test_a_pod_uses_what_it_names_whether_or_not_that_was_recorded():
    assert uses(kube(pod("x", spec=DATA)), CLAIM, "data")
    assert not uses(kube(pod("x", spec=DATA)), "Secret", "data")
