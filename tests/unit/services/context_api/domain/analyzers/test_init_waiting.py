"""Init containers that do not come to their end."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import init_waiting
from tests.support.kube import container, deployment, env, log, pods_in, running, service, stateful_set
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
