"""Init containers that do not come to their end."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import init_waiting
from tests.support.kube import (
    container,
    deployment,
    ended,
    env,
    log,
    pods_in,
    running,
    service,
    stateful_set,
    waiting,
)
from tests.support.kube import crashing as crashed
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def waiting_for(minutes: float, **spec):
    objects = deployment(
        "api",
        spec={"initContainers": [container("wait", **spec)]},
        statuses=[
            {
                "name": "app",
                "ready": False,
                "restartCount": 0,
                "state": {"waiting": {"reason": "PodInitializing"}},
            }
        ],
    )
    for one in pods_in(objects):
        one["status"]["initContainerStatuses"] = [running("wait", minutes=minutes, ready=False)]
    return objects


def test_what_it_waits_for_is_told_and_followed():
    objects = waiting_for(20, env=env(DB="db.shop-data:5432"))
    logs = [log(pods_in(objects)[0], "waiting for db.shop-data:5432: connection refused", container="wait")]
    db = [
        stateful_set("db", statuses=[crashed("db", 137, reason="OOMKilled")]),
        service("db", "shop-data", not_ready=1),
    ]

    (found,) = seen(init_waiting, objects, logs=logs)
    assert said([found]) == [("Deployment/shop/api", "InitContainerWaiting")]
    assert "20 min" in found.text

    assert first(causes(objects, db, target="Deployment/shop/api", logs=logs)) == (
        "StatefulSet/shop-data/db",
        "OOMKilled",
    )


def test_an_init_container_that_just_began_and_a_sidecar_are_healthy():
    sidecar = deployment("web", spec={"initContainers": [container("mesh", restartPolicy="Always")]})
    for one in pods_in(sidecar):
        one["status"]["initContainerStatuses"] = [running("mesh")]

    assert seen(init_waiting, waiting_for(1), sidecar) == []


@pytest.mark.parametrize(("took", "told"), [(22, False), (4, True)], ids=["as long", "far shorter"])
def test_one_that_took_as_long_in_the_pods_that_are_ready_is_no_finding(took: float, told: bool):
    objects = deployment("api", pods=3, spec={"initContainers": [container("fetch")]})
    begun, *ready = pods_in(objects)
    begun["status"]["conditions"][1]["status"] = "False"
    begun["status"]["containerStatuses"] = [waiting("app", "PodInitializing")]
    begun["status"]["initContainerStatuses"] = [running("fetch", minutes=20, ready=False)]
    for one in ready:
        done = {"terminated": ended(0, "Completed", minutes=600, lived=took)}
        one["status"]["initContainerStatuses"] = [
            {"name": "fetch", "ready": True, "restartCount": 0, "state": done}
        ]

    assert bool(seen(init_waiting, objects)) is told
