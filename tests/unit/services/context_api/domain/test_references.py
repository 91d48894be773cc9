"""What a pod spec names, and where."""

from __future__ import annotations

import pytest

from services.context_api.domain.references import references
from tests.support.kube import container

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

SPEC = {
    "containers": [
        container(
            "api",
            env=[
                {"name": "URL", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "url"}}},
                {
                    "name": "PW",
                    "valueFrom": {"secretKeyRef": {"name": "creds", "key": "pw", "optional": True}},
                },
                {"name": "PLAIN", "value": "x"},
            ],
            envFrom=[{"configMapRef": {"name": "all"}}, {"secretRef": {"name": "more"}}],
            volumeMounts=[
                {"name": "files", "mountPath": "/etc/app"},
                {"name": "one", "mountPath": "/etc/one.conf", "subPath": "one.conf"},
            ],
        )
    ],
    "volumes": [
        {"name": "files", "configMap": {"name": "files"}},
        {"name": "one", "configMap": {"name": "one", "items": [{"key": "one.conf", "path": "one.conf"}]}},
        {
            "name": "both",
            "projected": {"sources": [{"secret": {"name": "tls"}}, {"configMap": {"name": "ca"}}]},
        },
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
    ],
    "imagePullSecrets": [{"name": "registry"}],
    "serviceAccountName": "runner",
}


def test_every_name_is_found_with_the_place_that_names_it():
    found = {(r.kind, r.name): r for r in references(SPEC)}

    assert set(found) == {
        ("ConfigMap", "conf"), ("Secret", "creds"), ("ConfigMap", "all"), ("Secret", "more"), ("ConfigMap", "files"), ("ConfigMap", "one"),
        ("Secret", "tls"), ("ConfigMap", "ca"), ("PersistentVolumeClaim", "data"), ("Secret", "registry"), ("ServiceAccount", "runner"),
    }  # fmt: skip
    assert found["ConfigMap", "conf"].where == "env URL of container api"
    assert (found["ConfigMap", "conf"].key, found["ConfigMap", "conf"].variable) == ("url", "URL")
    assert found["Secret", "creds"].optional
    assert found["ConfigMap", "files"].where == "volume files at /etc/app"
    assert found["ConfigMap", "one"].key == "one.conf"


def test_only_a_mount_without_a_sub_path_follows_later_changes():
    found = {r.name: r.live for r in references(SPEC) if r.kind == "ConfigMap"}

    assert (found["files"], found["one"], found["conf"]) == (True, False, False)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"containers": None, "volumes": [None, {}]},
        {"containers": [{"env": [{"valueFrom": None}], "envFrom": [1]}]},
    ],
)
def test_half_a_spec_names_nothing(spec):
    assert list(references(spec)) == []


@pytest.mark.parametrize(
    ("argument", "name"),
    [
        ("--configmap=$(POD_NAMESPACE)/controller", "controller"),
        ("--configmap=edge/controller", "controller"),
        ("--tcp-services-configmap=tcp", "tcp"),
        ("--config=/etc/app.yaml", None),
        ("--configmap", None),
    ],
)
def test_a_controller_names_the_config_map_that_it_watches_in_an_argument(argument: str, name: str | None):
    found = list(references({"containers": [container("app", args=[argument])]}))

    assert [(r.kind, r.name, r.live, r.optional) for r in found] == (
        [("ConfigMap", name, True, True)] if name else []
    )
