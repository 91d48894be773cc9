"""Who is led to one port of a Service."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.kube import entries
from services.context_api.domain.led import is_led_to
from services.context_api.domain.scene import Scene
from tests.support.kube import Doc, container, deployment, env, log, pods_in, service, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def front(**spec: Any) -> list[Doc]:
    """A Service with a port for everybody, and one for those who know it."""
    made = service("api", target="web", ready=2)
    made[0]["spec"]["ports"].append({"name": "admin", "port": 9090, "targetPort": "manage"})
    made[0]["spec"].update(spec)
    return made


def led(*objects: Any, said: str = "", **spec: Any) -> bool:
    caller = deployment("web")
    logs = [log(pods_in(caller)[0], said)] if said else []
    known = Scene(snapshot(deployment("api"), caller, front(**spec), *objects, logs=logs))
    found = known.graph.get("Service", "shop", "api")
    assert found is not None
    return is_led_to(known, found, entries(found.spec.get("ports"))[1])


def ingress(**port: Any) -> Doc:
    backend = {"service": {"name": "api", "port": port}}
    return thing("Ingress", "api", api="networking.k8s.io/v1", spec={"rules": [{"http": {"paths": [{"backend": backend}]}}]})  # fmt: skip


def route(port: str | int) -> Doc:
    spec = {"to": {"kind": "Service", "name": "api"}, "port": {"targetPort": port}}
    return thing("Route", "api", api="route.openshift.io/v1", spec=spec)


def http_route(port: int, namespace: str = "shop") -> Doc:
    backend = {"name": "api", "namespace": "shop", "port": port}
    return thing("HTTPRoute", "api", namespace, api="gateway.networking.k8s.io/v1", spec={"rules": [{"backendRefs": [backend]}]})  # fmt: skip


def hook(**more: Any) -> Doc:
    called = {"clientConfig": {"service": {"name": "api", "namespace": "shop", **more}}}
    return thing("ValidatingWebhookConfiguration", "api", None, api="admissionregistration.k8s.io/v1", webhooks=[called])  # fmt: skip


def calls(url: str) -> list[Doc]:
    return deployment("shop", containers=[container(env=env(API_URL=url))])


@pytest.mark.parametrize(
    "objects",
    [
        ingress(number=9090), ingress(name="admin"), route("admin"), route("manage"), http_route(9090), http_route(9090, "edge"),
        hook(port=9090), calls("http://api:9090/v2"),
    ],
    ids=[
        "Ingress by number", "Ingress by name", "Route by name", "Route by target", "HTTPRoute", "one of another namespace",
        "webhook", "setting",
    ],
)  # fmt: skip
def test_who_names_a_port_leads_there(objects: Any):
    assert led(objects)


@pytest.mark.parametrize(
    "objects",
    [[], ingress(number=80), route("http"), http_route(80), hook(), calls("http://api/v1"), calls("http://api:80/v1")],
    ids=["nobody", "Ingress", "Route", "HTTPRoute", "webhook of the usual port", "setting without a port", "setting"],
)  # fmt: skip
def test_who_names_another_port_does_not(objects: Any):
    assert not led(objects)


@pytest.mark.parametrize("kind", ["NodePort", "LoadBalancer"])
def test_all_ports_of_a_service_that_is_reached_from_outside_are_doors(kind: str):
    assert led(type=kind)


@pytest.mark.parametrize(("port", "expected"), [(9090, True), (80, False)], ids=["there", "at the other"])
def test_a_log_that_complains_of_a_port_was_led_there(port: int, expected: bool):
    assert led(said=f"GET http://api:{port}/v2 failed: connection refused") is expected


def test_who_names_no_port_means_the_first():
    known = Scene(snapshot(deployment("api"), front(), calls("http://api/v1")))
    found = known.graph.get("Service", "shop", "api")
    assert found is not None

    assert is_led_to(known, found, entries(found.spec.get("ports"))[0])
