"""Which workloads an alert leads to."""

from __future__ import annotations

import pytest

from services.context_api.domain.focus import alerted, carried, concerned, outspoken
from services.context_api.domain.scene import Scene
from services.context_api.domain.triage import observe
from tests.support.kube import crashing, deployment, log, pod, pods_in, service, snapshot, thing

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


def test_an_alert_about_a_namespace_leads_to_the_workloads_in_it():
    taken = snapshot([*OBJECTS, *deployment("far", "elsewhere"), thing("Namespace", "shop", None)], logs=LOGS)
    scene = Scene(taken)

    found = alerted(Scene(taken, target=scene.graph.get("Namespace", None, "shop")))

    assert {o.name for o in found} == {"web", "api", "other"}


def test_an_alert_about_a_node_does_not_lead_to_workloads_by_their_namespace():
    taken = snapshot([*OBJECTS, thing("Node", "shop", None)], logs=LOGS)
    scene = Scene(taken)

    assert alerted(Scene(taken, target=scene.graph.get("Node", None, "shop"))) == []


@pytest.mark.parametrize(
    ("target", "names"), [(None, ["other", "web"]), ("Deployment/api", ["api", "other"])]
)
def test_where_nobody_is_named_everybody_whose_log_was_recorded_is_heard(
    target: str | None, names: list[str]
):
    scene = scene_of(target)

    assert sorted(o.name for o in outspoken(scene, observe(scene))) == names


def test_a_route_leads_to_the_controller_that_carries_it():
    balanced = {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}]}}
    route = thing("Ingress", "edge", spec={"defaultBackend": {"service": {"name": "web"}}}, status=balanced)
    front = service("front", ready=2)
    front[0]["status"] = balanced
    taken = snapshot(route, WEB, service("web", ready=2), front, deployment("front"))
    scene = Scene(taken)

    found = alerted(Scene(taken, target=scene.graph.find("Ingress", "shop", "edge")))

    assert sorted(o.name for o in found) == ["front", "web"]


AGENT = thing(
    "DaemonSet", "net-agent", "kube-system", api="apps/v1",
    spec={
        "selector": {"matchLabels": {"app": "net-agent"}},
        "template": {"metadata": {"labels": {"app": "net-agent"}}, "spec": {
            "hostNetwork": True, "priorityClassName": "system-node-critical", "containers": [{"name": "app"}],
        }},
    },
)  # fmt: skip
AGENT_POD = pod("net-agent-1", "kube-system", owner=AGENT, labels={"app": "net-agent"})


@pytest.mark.parametrize(
    ("words", "led"),
    [("Get http://api:80/: connect: no route to host", True), ("POST http://api:80/pay failed: status 500", False)],
    ids=["its calls go astray", "its calls are answered"],
)  # fmt: skip
def test_whoever_carries_calls_is_on_the_way_of_those_whose_calls_go_astray(words: str, led: bool):
    taken = snapshot(OBJECTS, AGENT, AGENT_POD, logs=[log(pods_in(WEB)[0], f"ERROR {words}")])
    graph = Scene(taken).graph
    scene = Scene(taken, target=graph.find("Deployment", "shop", "web"), graph=graph)
    (agent,) = graph.of_kind("DaemonSet")

    assert (agent in alerted(scene)) is led
    assert [o.name for o in carried(scene, agent)] == (["web"] if led else [])
