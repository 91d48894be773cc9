"""Words that all analyzers share."""

from __future__ import annotations

import pytest

from services.context_api.domain.scene import Scene
from services.context_api.domain.wording import by_top, clock, how_many, name_of, pods_by_top, size, span
from tests.support.kube import crashing, deployment, kube, moment, node, pod, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-001")


def test_objects_are_named_with_their_namespace_if_they_have_one():
    assert (name_of(kube(pod("a"))), name_of(kube(node("n")))) == ("Pod shop/a", "Node n")


def test_pods_are_counted_against_all_of_their_workload():
    scene = Scene(snapshot(deployment("api", replicas=3)))
    top = scene.graph.workloads[0]

    assert how_many(scene, top, scene.graph.pods[:1]).startswith("1 of 3 pods of Deployment shop/api (api-")
    assert how_many(scene, scene.graph.pods[0], scene.graph.pods[:1]).startswith("Pod shop/api-")


def test_groups_are_by_top_owner():
    scene = Scene(snapshot(*(deployment(name, statuses=[crashing()] * 2) for name in ("api", "web"))))

    assert [(t.name, len(p)) for t, p in pods_by_top(scene, scene.graph.pods)] == [("api", 2), ("web", 2)]
    assert [(t.name, len(c)) for t, c in by_top(scene, scene.graph.restless)] == [("api", 2), ("web", 2)]


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "unknown"), (512, "512"), (128 * 2**20, "128Mi"), (1.5 * 2**30, "1.5Gi"), (2048, "2Ki")],
)
def test_sizes(value, words: str):
    assert size(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(45, "45 s"), (600, "10 min"), (10800, "3 h"), (200000, "2 d")]
)
def test_spans(seconds: float, words: str):
    assert span(seconds) == words


def test_times_are_in_utc_and_missing_ones_are_said():
    assert clock(moment(0)) == "2026-11-18 09:30:00 UTC"
    assert clock(None) == "an unknown time"
