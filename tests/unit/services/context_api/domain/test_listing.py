from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.errors import UnknownObject
from services.context_api.domain.listing import LARGEST_ANSWER, LONGEST_TEXT, listing, shown
from services.context_api.domain.selector import parse_selector
from services.context_api.domain.snapshot import NotRead, Snapshot
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-CAPI-006", "INF-BR-SEC-005")

SNAPSHOT = kube.snapshot(
    kube.pod("api-0", labels={"app": "api"}),
    kube.pod("web-0", labels={"app": "web"}),
    kube.pod("api-0", "bank"),
    kube.thing("Node", "n1", None),
    kube.thing("Rocket", "api-0", api="acme.example/v1"),
    kube.thing("Event", "e1", involvedObject={"kind": "Pod", "name": "api-0"}),
    not_read=[NotRead("a.yaml", "is no YAML")],
)


def asked(
    resource: str, namespace: str | None = "shop", labels: str = "", snapshot: Snapshot = SNAPSHOT
) -> dict[str, Any]:
    return listing(snapshot, namespace, resource, parse_selector(labels)).context


def names(context: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item["kind"], item["metadata"]["name"]) for item in context["items"]]


def test_objects_of_a_kind_in_one_namespace_are_listed():
    assert names(asked("pods")) == [("Pod", "api-0"), ("Pod", "web-0")]
    assert asked("pods")["total"] == 2


def test_labels_narrow_the_list():
    answer = listing(SNAPSHOT, "shop", "pods", parse_selector("app=api"))

    assert names(answer.context) == [("Pod", "api-0")]
    assert answer.labels == {"app": "api"}


def test_objects_without_a_namespace_are_listed_under_the_cluster():
    assert names(asked("nodes", None)) == [("Node", "n1")]
    assert asked("nodes", "shop")["items"] == []


def test_events_are_listed_too():
    assert names(asked("events")) == [("Event", "e1")]


def test_a_name_lists_every_object_called_that():
    assert names(asked("api-0")) == [("Pod", "api-0"), ("Rocket", "api-0")]


def test_a_kind_without_objects_is_an_empty_list_and_an_unknown_word_is_not():
    assert asked("deployments")["items"] == []
    with pytest.raises(UnknownObject, match="nonsense in shop"):
        asked("nonsense")


def test_the_answer_says_when_it_was_true_and_what_is_missing():
    answer = listing(SNAPSHOT, "shop", "pods", parse_selector(""))

    assert answer.timestamp == answer.context["snapshot_at"] == kube.NOW
    assert answer.context["not_looked_at"] == ["a.yaml: is no YAML"]


def test_an_answer_is_cut_and_says_so():
    many = kube.snapshot([kube.config_map(f"c{n}", a="x" * 4000) for n in range(100)])

    context = asked("configmaps", snapshot=many)

    assert 0 < len(context["items"]) < 100
    assert context["total"] == 100
    assert context["cut"].startswith(f"{len(context['items'])} of 100 shown")
    assert len(repr(context["items"])) < LARGEST_ANSWER * 1.2


def test_what_only_controllers_read_is_left_out():
    document = kube.thing(
        "ConfigMap", "c", annotations=kube.applied({"a": 1}) | {"team": "shop"}, edits=[kube.edit(1, "data")]
    )

    metadata = shown(kube.kube(document))["metadata"]

    assert metadata["annotations"] == {"team": "shop"}
    assert "managedFields" not in metadata


def test_secrets_are_taken_out_of_what_is_shown():
    canary = "hunter2-canary"
    container = kube.container(env=[{"name": "DB_PASSWORD", "value": canary}, {"name": "LEVEL", "value": "info"},
                                    {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}])  # fmt: skip
    pod = kube.pod(
        "p", containers=[container], spec={"volumes": [{"name": "v", "secret": {"secretName": "db"}}]}
    )
    config = kube.thing(
        "ConfigMap", "c", data={"db.password": canary, "url": f"postgres://app:{canary}@db/x", "mode": "fast"}
    )

    text = repr([shown(kube.kube(pod)), shown(kube.kube(config))])

    assert canary not in text
    for kept in ("'value': 'info'", "'secretName': 'db'", "'key': 'password'", "'mode': 'fast'"):
        assert kept in text


def test_a_long_text_is_cut_and_says_by_how_much():
    body = shown(kube.kube(kube.config_map("c", a="y" * (LONGEST_TEXT + 5))))

    assert body["data"]["a"].endswith("y… [5 characters cut]")
