"""Faults that nobody else can feel, and those that somebody can."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.scene import Scene
from services.context_api.domain.unfelt import Unfelt
from tests.support.kube import (
    ago,
    config_map,
    container,
    deployment,
    env,
    log,
    moment,
    pods_in,
    running,
    service,
    snapshot,
    stateful_set,
    thing,
    waiting,
)
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")

CLAIM = thing(
    "PersistentVolumeClaim",
    "slips",
    spec={"storageClassName": "gone", "accessModes": ["ReadWriteOnce"]},
    status={"phase": "Pending"},
)
CLASS = thing("StorageClass", "fast", None, api="storage.k8s.io/v1", provisioner="x.example")


def mounts(claim: str) -> dict[str, Any]:
    return {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]}


def why(kind: str, name: str, *objects: Any, logs: Any = ()) -> str:
    scene = Scene(snapshot(*objects, logs=logs))
    found = scene.graph.get(kind, "shop", name)
    assert found
    return Unfelt(scene).why(found)


# -- what is used ----------------------------------------------------------------------------------

MONITOR = thing("ServiceMonitor", "m", api="monitoring.coreos.com/v1", spec={"target": "old"})
ROUTE = thing(
    "Ingress", "i", api="networking.k8s.io/v1",
    spec={"tls": [{"secretName": "seal"}], "rules": [{"http": {"paths": [{"path": "/", "backend": {"service": {"name": "old", "port": {"number": 80}}}}]}}]},
)  # fmt: skip
TEMPLATES = {"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}


@pytest.mark.parametrize(
    ("kind", "name", "objects"),
    [
        ("PersistentVolumeClaim", "slips", [CLAIM, deployment("api")]),
        ("Secret", "seal", [thing("Secret", "seal"), deployment("api")]),
        ("ConfigMap", "notes", [config_map("notes"), deployment("api", containers=[container(env=env(A="notes-2"))])]),
        ("Service", "old", [service("old"), deployment("api", containers=[container(env=env(A="http://older:80"))])]),
        ("Deployment", "trial", [deployment("trial", replicas=0), service("trial"), deployment("api")]),
    ],
    ids=["a claim", "a Secret", "a ConfigMap", "a Service", "a workload at zero"],
)  # fmt: skip
def test_what_nothing_recorded_names_is_felt_by_nobody(kind: str, name: str, objects: list[Any]):
    assert why(kind, name, *objects) == f"nothing that was recorded uses {kind} {name}"


@pytest.mark.parametrize(
    ("kind", "name", "objects"),
    [
        ("PersistentVolumeClaim", "slips", [CLAIM, deployment("api", spec=mounts("slips"), replicas=0)]),
        (
            "PersistentVolumeClaim",
            "data-db-0",
            [thing("PersistentVolumeClaim", "data-db-0"), thing("StatefulSet", "db", api="apps/v1", spec={**TEMPLATES, "template": {"spec": {}}})],
        ),
        ("Secret", "seal", [thing("Secret", "seal"), ROUTE]),
        ("ConfigMap", "notes", [config_map("notes"), deployment("api", containers=[container(envFrom=[{"configMapRef": {"name": "notes"}}])])]),
        ("Service", "old", [service("old"), deployment("api", containers=[container(env=env(A="http://old:80"))])]),
        ("Service", "old", [service("old"), ROUTE]),
        ("Service", "old", [service("old"), MONITOR]),
        ("Deployment", "trial", [deployment("trial", replicas=0), service("trial"), deployment("api", containers=[container(env=env(A="http://trial:80"))])]),
    ],
    ids=["mounted by what does not run", "made for a set", "of a route", "read as environment", "called", "routed to", "named by a platform", "at zero and called"],
)  # fmt: skip
def test_what_somebody_names_may_be_felt(kind: str, name: str, objects: list[Any]):
    assert why(kind, name, *objects) == ""


def test_a_service_of_which_a_log_speaks_may_be_felt():
    api = deployment("api")

    assert why("Service", "old", service("old"), api, logs=[log(pods_in(api)[0], f"{ago(3)} INFO asking old")]) == ""  # fmt: skip


# -- rollouts that reached nobody ------------------------------------------------------------------


def held(*, old: int = 2, fresh: Any = None, **more: Any) -> list[Any]:
    return deployment(
        "api", before=[container(image="registry.example/app:0.9")], old_pods=old, pods=1, rolled_out=30,
        statuses=[fresh or waiting()], **more,
    )  # fmt: skip


def test_a_rollout_beside_which_as_many_old_pods_serve_as_are_wanted_is_felt_by_nobody():
    assert "serve on" in why("Deployment", "api", held())


@pytest.mark.parametrize(
    "objects",
    [held(old=1), held(fresh=running()), deployment("api"), deployment("api", statuses=[waiting()])],
    ids=["one old pod too few", "a new pod is ready", "no rollout", "none is ready"],
)
def test_a_rollout_that_took_pods_or_serves_may_be_felt(objects: list[Any]):
    assert why("Deployment", "api", *objects) == ""


def test_a_rollout_of_which_a_caller_complains_is_felt():
    web = deployment("web")
    said = log(pods_in(web)[0], f"{ago(3)} ERROR GET http://api/x: connection refused")

    assert why("Deployment", "api", *held(), web, service("api", ready=2), logs=[said]) == ""


# -- in an answer ----------------------------------------------------------------------------------


def test_a_claim_that_nobody_mounts_is_no_cause_for_its_neighbours():
    objects = (CLAIM, CLASS, deployment("api"), service("api", ready=2))

    for target in ("Service/shop/api", "Deployment/shop/api"):
        assert causes(*objects, target=target, onset=moment(60 * 24 - 5)).ranked == []
    assert first(causes(*objects, target="PersistentVolumeClaim/shop/slips")) == ("PersistentVolumeClaim/shop/slips", "StorageClassNotFound")  # fmt: skip


def test_an_alert_about_a_namespace_is_not_about_what_nobody_uses_there():
    space = thing("Namespace", "shop", None)

    assert causes(CLAIM, CLASS, space, deployment("api"), target="Namespace/_cluster/shop").ranked == []
    used = causes(CLAIM, CLASS, space, deployment("api", spec=mounts("slips")), target="Namespace/_cluster/shop")  # fmt: skip
    assert first(used)[0] == "PersistentVolumeClaim/shop/slips"


def test_who_is_called_in_vain_comes_before_a_rollout_that_reached_nobody():
    web = deployment("web", containers=[container(env=env(API="http://api", STORE="http://store"))])
    store = stateful_set("store", "shop", statuses=[running(ready=False)])
    lines = "\n".join(f"{ago(9 - n)} ERROR GET http://store/x: connection refused" for n in range(8))
    answer = causes(
        *held(), service("api", ready=2), web, store, service("store", not_ready=1),
        target="Deployment/shop/web", logs=[log(pods_in(web)[0], lines)],
    )  # fmt: skip

    assert first(answer)[0] == "StatefulSet/shop/store"
