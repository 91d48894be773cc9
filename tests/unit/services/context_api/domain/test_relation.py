"""How near an object is to the alert, and by which path."""

from __future__ import annotations

import pytest

from libs.contracts.causes import FindingSeverity
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.relation import relate
from services.context_api.domain.scene import Scene
from tests.support.kube import config_map, container, deployment, env, node, pods_in, service, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-004")

OBJECTS = [
    *deployment("web", containers=[container(env=env(API="http://api:80"))]),
    *deployment("api"),
    *service("api", ready=2),
    *deployment("stranger"),
    config_map("c"),
    node(),
]


def relations(target: str, observations=()):
    scene = Scene(snapshot(OBJECTS))
    kind, name = target.split("/")
    start = scene.graph.find(kind, "shop", name)
    return scene, relate(scene, start, observations)


def near(scene: Scene, found, kind: str, name: str) -> float:
    obj = scene.graph.find(kind, "shop", name)
    assert obj
    return found.nearness(obj)


def test_nearness_falls_with_each_step_and_strangers_have_none():
    scene, found = relations("Deployment/web")

    assert near(scene, found, "Deployment", "web") == 1.0
    assert near(scene, found, "Service", "api") > near(scene, found, "Deployment", "api") > 0.5
    assert near(scene, found, "Deployment", "stranger") == 0.0


def test_what_was_reached_is_listed_from_near_to_far():
    _, found = relations("Deployment/web")
    reached = found.objects()

    assert str(reached[0]) == "Deployment/shop/web"
    assert "Deployment/shop/stranger" not in [str(o) for o in reached]
    distances = [found.nearness(o) for o in reached]
    assert distances == sorted(distances, reverse=True)


def test_what_else_runs_on_the_alerts_node_is_no_relation_unless_the_alert_is_about_the_node():
    scene, found = relations("Deployment/web")
    assert near(scene, found, "Node", "node-1") > 0

    scene, found = relations("Node/node-1")
    assert near(scene, found, "Deployment", "stranger") > 0


def test_the_path_runs_from_the_object_to_the_alert():
    pod = pods_in(OBJECTS)[0]["metadata"]["name"]
    scene, found = relations(f"Pod/{pod}")
    api = scene.graph.find("Deployment", "shop", "api")

    assert api
    assert [str(o) for o in found.path(api)] == [
        "Deployment/shop/api",
        "Service/shop/api",
        "Deployment/shop/web",
        f"Pod/shop/{pod}",
    ]


def test_a_claim_of_an_observation_is_a_way_too():
    scene = Scene(snapshot(OBJECTS))
    config, web = (scene.graph.find(k, "shop", n) for k, n in (("ConfigMap", "c"), ("Deployment", "web")))
    assert config
    assert web
    claim = Observation(
        config,
        "R",
        "",
        FindingSeverity.warning,
        "x",
        Depth.change,
        0.5,
        (),
        explains=(Explains(web, 0.8, "x"),),
    )

    assert relate(scene, web, [claim]).nearness(config) == 0.8
    assert relate(scene, None, [claim]).nearness(config) == 0.0


def test_the_ways_to_an_object_are_the_relations_on_its_path():
    scene, found = relations("Deployment/web")
    api, machine, service_ = (
        scene.graph.get(kind, place, name)
        for kind, place, name in (
            ("Deployment", "shop", "api"),
            ("Node", None, "node-1"),
            ("Service", "shop", "api"),
        )
    )
    assert api and machine and service_  # noqa: PT018 - one premise

    assert found.ways(api) == {"named", "selects"}
    assert found.ways(machine) == {"node"}
    assert found.ways(service_) == {"named"}
    assert found.ways(found.objects()[0]) == frozenset()
