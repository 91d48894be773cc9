from __future__ import annotations

import pytest

from services.context_api.adapters.recording.layout import Place, Role, place_of

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def log(namespace: str | None, pod: str, container: str, previous: bool = False) -> Place:
    return Place(Role.log, namespace, pod, container, previous)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("namespaces/shop/pods/api-0/api/api/logs/current.log", log("shop", "api-0", "api")),
        ("namespaces/shop/pods/api-0/api/api/logs/previous.log", log("shop", "api-0", "api", True)),
        ("namespaces/shop/pods/api-0/api/api/logs/previous.insecure.log", log("shop", "api-0", "api", True)),
        ("mg.local.1/quay-io-x/namespaces/shop/pods/a/b/b/logs/current.log.gz", log("shop", "a", "b")),
        ("pods/api-0/api/current.log", log(None, "api-0", "api")),
        ("namespaces/pods/pods/pods/pods/pods/logs/current.log", log("pods", "pods", "pods")),
        ("logs/shop/api-0/api.log", log("shop", "api-0", "api")),
        ("logs/shop/api-0/api.previous.log", log("shop", "api-0", "api", True)),
        ("rec/logs/shop/api-0/api.log.gz", log("shop", "api-0", "api")),
        ("logs/pods/api-0/current.log", log("pods", "api-0", "current")),
        ("namespaces/shop/pods/logs/logs/logs/logs/current.log", log("shop", "logs", "logs")),
        ("shop/api-0/logs.txt", Place(Role.dump_log, "shop", "api-0")),
    ],
)
def test_a_log_belongs_to_the_container_its_path_names(path: str, place: Place):
    assert place_of(path) == place


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("namespaces/shop/core/pods.yaml", Role.objects),
        ("cluster-scoped-resources/core/nodes/a.yaml", Role.objects),
        ("shop/pods.json", Role.objects),
        ("objects/metrics/pod.json", Role.objects),
        ("rec/objects/metrics/pod.json.gz", Role.objects),
        ("everything.yml.gz", Role.objects),
        ("metrics/restarts.json", Role.metrics),
        ("rec/metrics/restarts.json.gz", Role.metrics),
        ("metrics/rules.yaml", Role.objects),
        ("snapshot.yaml", Role.about),
        ("rec/snapshot.yaml", Role.about),
        ("a/b/snapshot.yaml", Role.objects),
        ("audit_logs/kube-apiserver/audit.log.gz", Role.other),
        ("event-filter.html", Role.other),
        ("version", Role.other),
        ("README.md", Role.prose),
        ("logs.txt", Role.other),
        ("", Role.other),
    ],
)
def test_a_files_role_is_told_from_its_path(path: str, role: Role):
    assert place_of(path).role is role
