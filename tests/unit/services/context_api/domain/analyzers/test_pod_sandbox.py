"""Pods that get no network."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import pod_sandbox
from tests.support.kube import container, crashing, event, pod, thing, waiting
from tests.support.triage import causes, first, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

MESSAGE = 'Failed to create pod sandbox: plugin type="calico" failed (add): error getting ClusterInformation: connection is unauthorized'


def test_the_plugin_is_named_and_its_daemon_set_blamed_when_it_fails():
    stuck = pod("web-0", statuses=[waiting()], phase="Pending")
    plugin = thing(
        "DaemonSet",
        "calico-node",
        "kube-system",
        api="apps/v1",
        spec={"template": {"spec": {"containers": [container()]}}},
        status={"desiredNumberScheduled": 1, "numberReady": 0},
    )
    broken = pod(
        "calico-node-x", "kube-system", owner=plugin, statuses=[crashing(code=137, reason="OOMKilled")]
    )
    told = event(stuck, "FailedCreatePodSandBox", MESSAGE)

    (found,) = seen(pod_sandbox, stuck, told)
    assert found.reason == "SandboxNotCreated"
    assert "network plugin calico" in found.text
    assert first(causes(stuck, told, plugin, broken, target="Pod/shop/web-0")) == (
        "DaemonSet/kube-system/calico-node",
        "OOMKilled",
    )


def test_a_sandbox_error_of_a_pod_that_runs_is_history():
    healthy = pod("web-0")

    assert seen(pod_sandbox, healthy, event(healthy, "FailedCreatePodSandBox", MESSAGE)) == []


@pytest.mark.parametrize(
    ("age", "since", "found"),
    [(30, None, True), (0.5, None, False), (30, "Pulling", False)],
    ids=["it has none", "the pod was just made", "it has one now and pulls its image"],
)
def test_a_sandbox_that_came_at_a_later_try_is_no_finding(age: float, since: str | None, found: bool):
    one = pod("web-0", statuses=[waiting()], phase="Pending", age=age)
    told = [event(one, "FailedCreatePodSandBox", MESSAGE, first=age, last=age * 0.9)]
    if since is not None:
        told.append(
            event(one, since, 'Pulling image "registry.example/app:1.0"', first=2, last=2, type_="Normal")
        )

    assert bool(seen(pod_sandbox, one, told)) is found
