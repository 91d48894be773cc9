"""Missing ConfigMaps, Secrets and keys: blamed on whoever must change."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import config_missing
from tests.support.kube import config_map, container, deployment, edit, event, pod, pods_in, thing, waiting
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def from_key(name: str, key: str, kind: str = "configMapKeyRef"):
    return container(env=[{"name": "DB_URL", "valueFrom": {kind: {"name": name, "key": key}}}])


def stuck(message: str):
    return [waiting(reason="CreateContainerConfigError", message=message)]


def test_a_workload_that_names_a_configmap_that_never_was_is_to_blame_and_a_near_name_is_offered():
    objects = deployment(
        "api", containers=[from_key("api-config", "url")], statuses=stuck('configmap "api-config" not found')
    )

    (found,) = seen(config_missing, objects, config_map("api-configs", url="x"))

    assert said([found]) == [("Deployment/shop/api", "ConfigMapNotFound")]
    assert "`api-configs`" in found.text
    assert "env DB_URL of container app" in found.text


def test_a_missing_key_is_blamed_on_the_configmap_that_was_edited():
    config = config_map("api-config", db_urls="x", edits=[edit(12, "data", "data/db_urls")])
    objects = deployment(
        "api",
        containers=[from_key("api-config", "db_url")],
        statuses=stuck("couldn't find key db_url in ConfigMap shop/api-config"),
    )

    answer = causes(objects, config, target="Deployment/shop/api")

    assert first(answer) == ("ConfigMap/shop/api-config", "ConfigMapKeyMissing")
    assert "db_urls" in answer.ranked[0].text
    assert answer.ranked[0].path[-1] == "Deployment/shop/api"


def test_a_secret_that_other_pods_still_run_with_was_deleted_and_is_the_cause():
    uses = from_key("creds", "password", "secretKeyRef")
    objects = deployment(
        "api",
        containers=[uses],
        before=[uses],
        old_pods=1,
        rolled_out=10,
        statuses=stuck('secret "creds" not found'),
        pods=1,
    )

    answer = causes(objects, target="Deployment/shop/api")

    assert first(answer) == ("Secret/shop/creds", "SecretNotFound")
    assert "deleted" in answer.ranked[0].text


def test_a_volume_that_waits_for_a_secret_is_read_from_the_kubelets_event():
    spec = {"volumes": [{"name": "tls", "secret": {"secretName": "api-tls"}}]}
    objects = deployment("api", spec=spec, statuses=[waiting()], node="node-1")
    for one in pods_in(objects):
        one["status"]["phase"] = "Pending"
    told = event(
        pods_in(objects)[0],
        "FailedMount",
        'MountVolume.SetUp failed for volume "tls" : secret "api-tls" not found',
    )

    (found,) = seen(config_missing, objects, told)

    assert found.reason == "SecretNotFound"
    assert "api-tls" in found.text


def test_the_custom_resource_that_should_make_the_secret_is_the_cause_when_it_says_it_cannot():
    maker = thing(
        "ExternalSecret", "api-tls", api="external-secrets.io/v1", spec={"target": {"name": "api-tls"}},
        status={"conditions": [{"type": "Ready", "status": "False", "reason": "SecretSyncedError", "message": "could not get provider client: vault is sealed", "lastTransitionTime": "2026-11-18T08:50:00Z"}]},
    )  # fmt: skip
    objects = deployment(
        "api",
        containers=[from_key("api-tls", "k", "secretKeyRef")],
        statuses=stuck('secret "api-tls" not found'),
    )

    answer = causes(objects, maker, target="Deployment/shop/api")

    assert str(answer.ranked[0].target) == "ExternalSecret/shop/api-tls"
    assert "vault is sealed" in answer.ranked[0].text


def test_an_old_mount_event_of_a_pod_that_is_ready_is_history():
    healthy = pod("web-0")

    assert seen(config_missing, healthy, event(healthy, "FailedMount", 'configmap "x" not found')) == []


def test_a_missing_optional_reference_that_stops_nobody_is_no_finding():
    optional = container(
        env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "a", "optional": True}}}]
    )

    assert seen(config_missing, deployment("api", containers=[optional])) == []


def test_a_claim_in_an_annotation_that_something_is_missing_is_not_believed():
    odd = pod("web-0", statuses=[waiting(reason="ContainerCreating")])
    odd["metadata"]["annotations"]["note"] = 'configmap "x" not found'

    assert seen(config_missing, odd) == []
