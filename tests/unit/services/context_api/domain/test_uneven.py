"""Pods of one workload that fare unlike each other."""

from __future__ import annotations

import pytest

from services.context_api.domain.scene import Scene
from services.context_api.domain.uneven import Uneven, uneven
from tests.support.kube import ago, deployment, log, pods_in, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

BAD = "ERROR GET http://api:80/x: dial tcp 10.96.0.7:80: i/o timeout"
GOOD = "INFO served"


def lines(words: str, count: int = 6, start: float = 9) -> str:
    return "\n".join(f"{ago(start - n)} {words}" for n in range(count))


def on(nodes: list[str]):
    web = deployment("web", replicas=len(nodes))
    for pod, name in zip(pods_in(web), nodes, strict=True):
        pod["spec"]["nodeName"] = name
    return web


def sides(nodes: list[str], texts: list[str]) -> Uneven | None:
    web = on(nodes)
    logs = [log(p, t) for p, t in zip(pods_in(web), texts, strict=True) if t]
    scene = Scene(snapshot(web, logs=logs))
    top = scene.graph.get("Deployment", "shop", "web")
    assert top is not None
    return uneven(scene, top)


def test_pods_that_complain_are_told_from_those_that_are_well():
    found = sides(["a", "b", "c"], [lines(BAD), lines(GOOD), lines(GOOD)])

    assert found is not None
    assert [one.count for one in found.bad] == [6]
    assert len(found.good) == 2
    assert found.node == "a"


@pytest.mark.parametrize(
    ("nodes", "texts"),
    [
        (["a", "b"], [lines(BAD), lines(BAD)]),
        (["a", "b"], [lines(GOOD), lines(GOOD)]),
        (["a", "b"], [lines(BAD), ""]),
        (["a", "b"], [lines(BAD, start=60), lines(GOOD)]),
    ],
    ids=["all complain", "all are well", "the other has no log", "the complaint is an hour old"],
)
def test_pods_that_fare_alike_or_say_nothing_are_not_compared(nodes: list[str], texts: list[str]):
    assert sides(nodes, texts) is None


@pytest.mark.parametrize(
    ("nodes", "texts"),
    [
        (["a", "b", "c"], [lines(BAD), lines(BAD), lines(GOOD)]),
        (["a", "a", "c"], [lines(BAD), lines(GOOD), lines(GOOD)]),
    ],
    ids=["they complain on two nodes", "another on that node is well"],
)
def test_no_node_is_named_where_it_is_not_what_they_share(nodes: list[str], texts: list[str]):
    found = sides(nodes, texts)

    assert found is not None
    assert found.node == ""


def test_pods_of_an_older_template_are_no_comparison():
    web = deployment("web", replicas=1, before=[{"name": "app", "image": "old"}], rolled_out=20, old_pods=1)
    old, new = sorted(pods_in(web), key=lambda p: p["metadata"]["name"])
    scene = Scene(snapshot(web, logs=[log(new, lines(BAD)), log(old, lines(GOOD))]))
    top = scene.graph.get("Deployment", "shop", "web")
    assert top is not None

    assert uneven(scene, top) is None
