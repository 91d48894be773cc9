"""Which workloads an alert leads to."""

from __future__ import annotations

import pytest

from services.context_api.domain.focus import alerted, concerned
from services.context_api.domain.scene import Scene
from services.context_api.domain.triage import observe
from tests.support.kube import crashing, deployment, log, pods_in, service, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-009")

WEB, API = deployment("web"), deployment("api")
INGRESS = thing("Ingress", "edge", spec={"defaultBackend": {"service": {"name": "web"}}})
OBJECTS = [
    *WEB,
    *API,
    *deployment("other", statuses=[crashing()]),
    *service("web", ready=2),
    *service("api", ready=2),
    INGRESS,
]
LOGS = [log(pods_in(WEB)[0], "POST http://api:80/pay failed: status 500")]


def scene_of(target: str | None) -> Scene:
    taken = snapshot(OBJECTS, logs=LOGS)
    scene = Scene(taken)
    if target is None:
        return scene
    kind, name = target.split("/")
    return Scene(taken, target=scene.graph.find(kind, "shop", name))


@pytest.mark.parametrize(
    ("target", "names"),
    [
        ("Deployment/web", ["web", "api"]),
        ("Ingress/edge", ["web", "api"]),
        ("Deployment/api", ["api"]),
        (None, []),
    ],
)
def test_complaints_are_followed_from_the_alert_outwards(target: str | None, names: list[str]):
    assert [o.name for o in alerted(scene_of(target))] == names


def test_whatever_is_in_trouble_is_of_concern_as_well():
    scene = scene_of("Deployment/api")

    assert {o.name for o in concerned(scene, observe(scene))} == {"other", "api"}
