from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.context_api.domain.snapshot import KubeObject, NotRead, once, parse_time
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "INF-BR-TYPE-003")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.000006Z", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_a_time_of_the_api_server_is_an_instant(text: str, moment: datetime):
    assert parse_time(text) == moment


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "soon",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+10:00",
        [],
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ],
)
def test_what_is_no_time_reads_as_none(text: object):
    assert parse_time(text) is None


def test_an_object_of_a_wrong_shape_reads_as_empty():
    odd = KubeObject(
        "v1",
        "Pod",
        "shop",
        "a",
        "u",
        {"metadata": {"labels": [1], "ownerReferences": "x"}, "spec": None, "status": 7},
    )

    assert (odd.labels, odd.annotations, odd.owners, odd.spec, odd.status, odd.created_at) == (
        {},
        {},
        [],
        {},
        {},
        None,
    )
    assert str(odd) == "Pod/shop/a"


def test_objects_are_found_by_kind_namespace_name_and_group():
    seen = kube.snapshot(
        kube.service("api"),
        kube.thing("Service", "api", api="serving.knative.dev/v1"),
        kube.thing("Node", "n1", None),
    )

    assert (found := seen.get("Service", "shop", "api", group="serving.knative.dev"))
    assert found.group == "serving.knative.dev"
    assert seen.get("Service", "shop", "api", group="acme.io") is None
    assert seen.get("Service", "bank", "api") is None
    assert [item.name for item in seen.of_kind("Node")] == ["n1"]
    assert seen.by_uid(found.uid) is not None
    assert seen.by_uid("none") is None


def test_events_and_logs_are_found_by_what_they_are_about():
    pod, node = kube.pod("api-0"), kube.thing("Node", "n1", None)
    about_node = kube.thing("Event", "e2", "default", involvedObject={"kind": "Node", "name": "n1"})
    seen = kube.snapshot(
        pod, node, about_node,
        kube.thing("Event", "e1", involvedObject={"kind": "Pod", "namespace": "shop", "name": "api-0"}),
        kube.thing("Event", "odd", involvedObject="x"),
        logs=[kube.log(pod, "hello")],
    )  # fmt: skip

    assert [event.name for event in seen.events_about(kube.kube(pod))] == ["e1"]
    assert [event.name for event in seen.events_about(kube.kube(node))] == ["e2"]
    assert [log.text for log in seen.logs_of("shop", "api-0")] == ["hello"]
    assert seen.logs_of(None, "api-0") == []


def test_what_was_not_read_says_what_and_why():
    assert str(NotRead("a.yaml", "is no YAML")) == "a.yaml: is no YAML"


def test_a_reading_of_an_object_is_made_once_and_again_when_it_was_let_go_of():
    asked: list[str] = []

    @once
    def shouted(obj: KubeObject) -> str | None:
        asked.append(obj.name)
        return obj.name.upper() if obj.name != "b" else None

    one, other = (KubeObject("v1", "Pod", "shop", name, "", {}) for name in "ab")
    read = [shouted(one), shouted(one), shouted(other), shouted(other)]
    one.readings.clear()

    assert read == ["A", "A", None, None]
    assert shouted(one) == "A"
    assert asked == ["a", "b", "a"]
