"""What an object is asked to be, in one fact."""

from __future__ import annotations

import pytest

from services.context_api.domain import evidence
from services.context_api.domain.outline import MOST_LEAVES, PATH, is_outline, outline
from tests.support.kube import container, deployment, kube, pod, pods_in, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-004")


def test_a_workload_is_told_with_image_bounds_and_probes():
    api = deployment(
        "api", replicas=3,
        containers=[container(image="registry.example/app:2.1", resources={"limits": {"cpu": "250m"}},
                              livenessProbe={"httpGet": {"path": "/live"}, "initialDelaySeconds": 10})],
    )  # fmt: skip
    (obj,) = [kube(doc) for doc in api if doc["kind"] == "Deployment"]

    fact = outline(obj)

    assert fact is not None
    assert fact.summary.startswith("Deployment shop/api is to be: replicas 3")
    for words in (
        "app.image registry.example/app:2.1",
        "app.limits.cpu 250m",
        "livenessProbe.initialDelaySeconds 10",
    ):
        assert words in fact.summary
    assert fact.body["path"] == PATH


def test_a_cron_job_is_told_with_its_schedule():
    job = thing(
        "CronJob", "nightly", api="batch/v1",
        spec={"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": {"spec": {"containers": [container()]}}}}},
    )  # fmt: skip

    fact = outline(kube(job))

    assert fact is not None
    assert "schedule */5 * * * *" in fact.summary


def test_of_anything_else_a_short_spec_is_told_and_a_long_one_is_not():
    short = thing(
        "PodDisruptionBudget",
        "api",
        spec={"minAvailable": 3, "selector": {"matchLabels": {"app": "api"}}},
    )
    long = thing("Widget", "api", spec={f"field{n}": n for n in range(MOST_LEAVES + 1)})

    told = outline(kube(short))

    assert told is not None
    assert (
        told.summary == "PodDisruptionBudget shop/api is to be: minAvailable 3, selector.matchLabels.app api"
    )
    assert outline(kube(long)) is None


def test_secrets_in_a_spec_are_not_told():
    claim = thing("Widget", "api", spec={"password": "hunter2-hunter2", "size": "5Gi"})

    fact = outline(kube(claim))

    assert fact is not None
    assert "hunter2" not in f"{fact.summary} {fact.body}"
    assert "size 5Gi" in fact.summary


def test_a_spec_of_any_depth_and_shape_is_told_within_bounds():
    deep: dict[str, object] = {"type": "x"}
    for _ in range(5_000):
        deep = {"in": deep}
    spec = {
        "replicas": [None],
        "strategy": deep,
        "template": {"spec": {"containers": [container(), {"name": 7, "resources": "no"}]}},
    }

    fact = outline(kube(thing("Deployment", "api", api="apps/v1", spec=spec)))

    assert fact is not None
    assert len(fact.summary) < 700


def test_what_has_no_spec_and_a_pod_that_something_made_has_no_outline():
    made = pods_in(deployment("api"))[0]

    assert outline(kube(thing("ConfigMap", "settings", data={"a": "b"}))) is None
    assert outline(kube(made)) is None
    assert outline(kube(pod("alone"))) is not None


def test_an_outline_is_known_as_one():
    taken = snapshot(pod("alone"))
    fact = outline(taken.objects[0])
    assert fact is not None

    assert is_outline(evidence.item(fact, taken))
    other = evidence.field(taken.objects[0], "spec", {}, "its spec")
    assert not is_outline(evidence.item(other, taken))
