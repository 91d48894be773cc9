"""Services nothing answers behind, and those that are empty on purpose."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import service_without_endpoints as analyzer
from tests.support.kube import (
    container,
    crashing,
    deployment,
    pods_in,
    running,
    service,
    stateful_set,
    template,
    thing,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def test_a_selector_that_misses_its_pods_by_one_label_is_told_with_both_values():
    objects = deployment("api", labels={"app": "api", "tier": "web"})

    (found,) = seen(analyzer, objects, service("api", selector={"app": "api", "tier": "frontend"}))

    assert said([found]) == [("Service/shop/api", "SelectorMatchesNoPods")]
    assert "`tier=frontend`" in found.text
    assert "`tier=web`" in found.text
    assert not found.latent


def test_not_ready_pods_blame_their_workload():
    objects = deployment("api", statuses=[crashing()])

    (found,) = seen(analyzer, objects, service("api", not_ready=2))

    assert found.reason == "NoReadyEndpoints"
    assert [str(b.on) for b in found.blames] == ["Deployment/shop/api"]


def test_endpoints_of_the_older_api_are_read_too():
    old = thing("Endpoints", "api", subsets=[{"notReadyAddresses": [{"ip": "10.0.0.1"}], "addresses": None}])

    assert said(seen(analyzer, deployment("api"), service("api"), old)) == [
        ("Service/shop/api", "NoReadyEndpoints")
    ]


def test_a_named_target_port_no_container_has_is_told():
    objects = deployment("api", containers=[container(ports=[{"name": "web", "containerPort": 8080}])])

    (found,) = seen(analyzer, objects, service("api", target="http", ready=2))

    assert found.reason == "TargetPortMismatch"
    assert "`http`" in found.text
    assert "web:8080" in found.text


def test_a_target_port_no_container_declares_counts_only_when_somebody_misses_it():
    objects = [
        deployment("api", containers=[container(ports=[{"containerPort": 8080}])]),
        service("api", target=9090, ready=2),
    ]

    (found,) = seen(analyzer, *objects)

    assert found.latent
    assert causes(*objects).no_cause
    assert first(causes(*objects, target="Service/shop/api")) == ("Service/shop/api", "TargetPortMismatch")


@pytest.mark.parametrize(
    "objects",
    [
        [deployment("api"), service("api", ready=2)],
        [service("manual", selector={})],
        [stateful_set("db"), service("db", "shop-data")],
    ],
    ids=["endpoints are ready", "endpoints are kept by hand", "no endpoints recorded, pods ready"],
)
def test_services_that_serve_are_no_findings(objects):
    assert seen(analyzer, objects) == []


def test_an_external_name_needs_no_endpoints():
    external = service("pay")
    external[0]["spec"].update(type="ExternalName", externalName="pay.example.com")

    assert seen(analyzer, external) == []


def test_a_service_before_a_workload_scaled_to_zero_is_no_fault_by_itself():
    objects = [deployment("api", replicas=0), service("api")]

    assert causes(*objects).no_cause
    assert first(causes(*objects, target="Service/shop/api")) == ("Deployment/shop/api", "ScaledToZero")


def test_a_leftover_service_that_resembles_no_workload_is_no_fault_by_itself():
    assert causes(deployment("api"), service("legacy-import")).no_cause


def test_a_service_that_publishes_pods_that_are_not_ready_serves():
    objects = service("db", "shop-data", not_ready=1)
    objects[0]["spec"]["publishNotReadyAddresses"] = True

    assert seen(analyzer, stateful_set("db", statuses=[crashing("db")]), objects) == []


@pytest.mark.parametrize(
    "selector",
    [{"app": "db", "role": "replica"}, {"app": "api", "color": "green"}],
    ids=["a role nobody has now", "a colour not rolled out"],
)
def test_a_service_that_waits_for_pods_to_come_is_no_fault_by_itself(selector):
    objects = [
        stateful_set("db", "shop"), service("db", ready=1), deployment("api", labels={"app": "api", "color": "blue"}), service("api-blue", selector={"color": "blue"}, ready=2),
    ]  # fmt: skip

    assert causes(objects, service("waiting", selector=selector)).no_cause


def test_a_rollout_that_took_the_selected_label_off_its_pods_is_to_blame():
    objects = deployment(
        "api", labels={"app": "api"}, before=[container()], containers=[container()], rolled_out=20
    )
    for one in objects:
        if (
            one["kind"] == "ReplicaSet"
            and one["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
        ):
            one["spec"]["template"]["metadata"]["labels"]["tier"] = "web"

    answer = causes(
        objects, service("api", selector={"app": "api", "tier": "web"}), target="Service/shop/api"
    )

    assert first(answer) == ("Deployment/shop/api", "SelectorMatchesNoPods")
    assert "removed `web`" in answer.ranked[0].text


@pytest.mark.parametrize("ready", [2, None])
def test_pods_that_were_not_recorded_are_not_missed_where_others_say_that_they_serve(ready):
    workload, replica_set, *_ = deployment("api")

    assert seen(analyzer, workload, replica_set, service("api", ready=ready)) == []


def test_endpoints_and_conditions_nobody_can_read_are_no_lack_of_endpoints():
    made, piece = service("api", ready=2)
    objects = deployment("api")
    for one in pods_in(objects):
        one["status"]["conditions"] = ["?"]
    piece["endpoints"] = [["?"]]

    assert seen(analyzer, objects, made, piece) == []


@pytest.mark.parametrize(("minutes", "found"), [(6, []), (20, ["NoReadyEndpoints"])], ids=["in time", "late"])
def test_a_service_whose_pods_are_still_given_time_to_start_lacks_nothing(minutes: float, found: list[str]):
    status = running(minutes=minutes, ready=False)
    status["started"] = False
    slow = container(startupProbe={"periodSeconds": 10, "failureThreshold": 60})
    objects = deployment("api", containers=[slow], statuses=[status], pod_age=minutes, unready_since=minutes)

    assert [o.reason for o in seen(analyzer, objects, service("api", not_ready=2))] == found


@pytest.mark.parametrize(("wanted", "latent"), [(0, True), (2, False)], ids=["for no node", "for two"])
def test_pods_of_every_node_that_no_node_is_for_are_missed_by_nobody(wanted: int, latent: bool):
    labels = {"app": "gpu"}
    every = thing(
        "DaemonSet", "gpu", api="apps/v1", spec={"template": template(labels, [container()])},
        status={"desiredNumberScheduled": wanted, "numberReady": 0},
    )  # fmt: skip

    (found,) = seen(analyzer, every, service("gpu", ready=0))

    assert (found.reason, found.latent) == ("NoPodsBehindService", latent)


@pytest.mark.parametrize(
    ("second", "latent"), [("metrics", True), (None, False)], ids=["beside one that fits", "its only one"]
)
def test_a_second_port_that_no_container_has_and_nobody_is_led_to_counts_where_somebody_misses_it(
    second: str | None, latent: bool
):
    objects = deployment("api", containers=[container(ports=[{"name": "http", "containerPort": 8080}])])
    front = service("api", target="http" if second else "web", ready=2)
    if second:
        front[0]["spec"]["ports"].append({"port": 9090, "targetPort": second})

    (found,) = seen(analyzer, objects, front)

    assert (found.reason, found.latent) == ("TargetPortMismatch", latent)


@pytest.mark.parametrize(
    ("asked", "latent"), [("http://api:9090/v2", False), ("http://api:80/v1", True)], ids=["there", "at the other"]
)  # fmt: skip
def test_a_second_port_that_no_container_has_is_a_fault_where_somebody_is_led_to_it(asked: str, latent: bool):
    objects = deployment("api", containers=[container(ports=[{"name": "http", "containerPort": 8080}])])
    front = service("api", target="http", ready=2)
    front[0]["spec"]["ports"].append({"name": "admin", "port": 9090, "targetPort": "admin"})
    caller = deployment("web", containers=[container(env=[{"name": "API_URL", "value": asked}])])

    (found,) = seen(analyzer, objects, front, caller)

    assert (found.reason, found.latent) == ("TargetPortMismatch", latent)
