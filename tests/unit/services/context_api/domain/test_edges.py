"""What an object needs in order to work."""

from __future__ import annotations

import pytest

from services.context_api.domain.edges import TABLE, Needs, backends
from services.context_api.domain.scene import Scene
from tests.support.kube import (
    config_map,
    container,
    deployment,
    env,
    kube,
    node,
    pods_in,
    service,
    snapshot,
    stateful_set,
    thing,
)

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")


def needs(*objects, of: str) -> set[tuple[str, str]]:
    scene = Scene(snapshot(*objects))
    kind, namespace, name = of.split("/")
    found = scene.graph.find(kind, namespace, name)
    assert found
    return {(str(e.to), e.relation) for e in scene.needs.of(found)}


def test_a_workload_needs_its_configuration_its_volumes_its_dependencies_and_its_nodes():
    spec = {
        "volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}],
        "serviceAccountName": "runner",
    }
    uses = container(
        env=env(DB="db.shop-data:5432"),
        envFrom=[{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}],
    )
    others = [
        config_map("c"),
        thing("Secret", "s"),
        thing("PersistentVolumeClaim", "data"),
        thing("ServiceAccount", "runner"),
        node(),
    ]

    assert needs(deployment("api", containers=[uses], spec=spec), others, stateful_set("db"), service("db", "shop-data"), of="Deployment/shop/api") == {
        ("ConfigMap/shop/c", "config"), ("Secret/shop/s", "secret"), ("PersistentVolumeClaim/shop/data", "volume"), ("ServiceAccount/shop/runner", "account"),
        ("Node/_cluster/node-1", "node"), ("Service/shop-data/db", "named"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("obj", "edge"),
    [
        (
            thing(
                "HorizontalPodAutoscaler", "x", spec={"scaleTargetRef": {"kind": "Deployment", "name": "api"}}
            ),
            ("Deployment/shop/api", "scales"),
        ),
        (
            thing("PodDisruptionBudget", "x", spec={"selector": {"matchLabels": {"app": "api"}}}),
            ("Deployment/shop/api", "protects"),
        ),
        (
            thing(
                "Ingress",
                "x",
                spec={"rules": [{"http": {"paths": [{"backend": {"service": {"name": "api"}}}]}}]},
            ),
            ("Service/shop/api", "backend"),
        ),
        (
            thing("PersistentVolumeClaim", "x", spec={"storageClassName": "fast"}),
            ("StorageClass/_cluster/fast", "class"),
        ),
    ],
)
def test_objects_that_serve_workloads_need_them(obj, edge):
    everything = [deployment("api"), service("api"), thing("StorageClass", "fast", None), obj]
    place = obj["metadata"].get("namespace", "_cluster")

    assert edge in needs(everything, of=f"{obj['kind']}/{place}/{obj['metadata']['name']}")


def test_a_pod_leads_to_its_owner_and_a_service_to_what_it_selects():
    objects = [*deployment("api"), *service("api")]

    assert ("Deployment/shop/api", "owner") in needs(
        objects, of=f"Pod/shop/{pods_in(objects)[0]['metadata']['name']}"
    )
    assert needs(objects, of="Service/shop/api") == {("Deployment/shop/api", "selects")}


@pytest.mark.parametrize("of", ["Node/_cluster/node-1", "Namespace/_cluster/shop"])
def test_what_runs_on_a_node_or_lies_in_a_namespace_is_told_to_who_asks_about_it_alone(of: str):
    scene = Scene(snapshot(deployment("api"), node("node-1"), thing("Namespace", "shop", None)))
    kind, _, name = of.split("/")
    found = scene.graph.find(kind, None, name)
    assert found

    inside = {str(e.to) for e in scene.needs.whole(found) if e.relation == "contains"}

    assert "Deployment/shop/api" in inside
    assert not {e.relation for e in scene.needs.of(found)} & {"contains"}


@pytest.mark.parametrize(
    "spec",
    [
        {"defaultBackend": {"service": {"name": "api"}}},
        {"backend": {"serviceName": "api", "servicePort": 80}},
        {"to": {"kind": "Service", "name": "api"}},
        {"rules": [{"backendRefs": [{"name": "api", "port": 80}]}]},
        {"http": [{"route": [{"destination": {"host": "api.shop.svc.cluster.local"}}]}]},
        {"routes": [{"services": [{"name": "api"}]}]},
    ],
    ids=["ingress v1", "ingress v1beta1", "openshift route", "gateway route", "mesh", "traefik"],
)
def test_backends_of_every_kind_of_route_are_read(spec):
    assert [(b.namespace, b.service) for b in backends(kube(thing("Any", "x", spec=spec)))] == [
        ("shop", "api")
    ]


def test_every_relation_has_a_strength_between_none_and_certain():
    assert all(0 < strength <= 1 for strength in TABLE.values())
    assert Needs.__doc__


def test_a_platform_object_needs_what_it_names_and_what_it_writes_leads_back_to_it():
    issuer = thing("Issuer", "ca", api="cert-manager.io/v1")
    certificate = thing("Certificate", "tls", api="cert-manager.io/v1", spec={"issuerRef": {"name": "ca"}, "secretName": "tls"})  # fmt: skip
    objects = [issuer, certificate, thing("Secret", "tls")]

    assert needs(objects, of="Certificate/shop/tls") == {
        ("Issuer/shop/ca", "refers"),
        ("Secret/shop/tls", "applies"),
    }
    assert needs(objects, of="Secret/shop/tls") == {("Certificate/shop/tls", "made")}


@pytest.mark.parametrize(("mode", "shared"), [("ReadWriteMany", True), ("ReadWriteOnce", False)])
def test_who_mounts_the_same_claim_for_many_is_a_way_as_it_may_write_what_is_read_there(
    mode: str, shared: bool
):
    claim = thing("PersistentVolumeClaim", "tiles", spec={"accessModes": [mode]})
    mounts = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "tiles"}}]}
    objects = [claim, deployment("map", spec=mounts), deployment("render", spec=mounts), deployment("other")]

    ways = {("Deployment/shop/map", "shared"), ("Deployment/shop/render", "shared")}
    assert needs(objects, of="PersistentVolumeClaim/shop/tiles") == (ways if shared else set())


def test_a_scaler_of_any_kind_is_found_by_what_it_says_it_scales():
    scaler = thing("AnyScaler", "x", api="scale.example.com/v1", spec={"scaleTargetRef": {"name": "api"}})
    native = thing("HorizontalPodAutoscaler", "y", api="autoscaling/v2", spec={"scaleTargetRef": {"kind": "Deployment", "name": "api"}})  # fmt: skip
    scene = Scene(snapshot(scaler, native, deployment("api"), deployment("web")))
    api, web = (scene.graph.get("Deployment", "shop", name) for name in ("api", "web"))

    assert api is not None
    assert web is not None
    assert [str(s) for s in scene.needs.scalers(api)] == ["AnyScaler/shop/x"]
    assert scene.needs.scalers(web) == []


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((100, 0), ["stable"]), ((90, 10), ["stable", "canary"]), ((None, 0), ["stable"]), ((0, 0), ["stable", "canary"])],
    ids=["a canary at rest", "a canary", "the default beside it", "nobody gets any"],
)  # fmt: skip
def test_a_backend_that_gets_no_traffic_beside_others_is_none(weights, expected: list[str]):
    refs = [
        {"name": name, "port": 80, **({} if weight is None else {"weight": weight})}
        for name, weight in zip(("stable", "canary"), weights, strict=True)
    ]
    route = thing(
        "HTTPRoute", "web", api="gateway.networking.k8s.io/v1", spec={"rules": [{"backendRefs": refs}]}
    )

    assert [b.service for b in backends(kube(route))] == expected
