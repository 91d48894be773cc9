"""A real control plane, read and recorded: what the API server prints is what comes out, and causes are the same."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.context_api.adapters.live import (
    Access,
    Gathering,
    KubeApi,
    LiveLimits,
    Scope,
)
from services.context_api.adapters.live.connect import connect
from services.context_api.adapters.recording import load_recording
from services.context_api.domain.snapshot import Snapshot
from tests.support.source import ROOT
from tests.testbed.cluster import Cluster
from tests.testbed.kubelet import Kubelet, terminated, waiting

pytestmark = [
    pytest.mark.needs("testbed"),
    pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008", "INT-BR-TEST-005"),
]

CANARY = f"canary-{secrets.token_hex(8)}"
LIMITS = LiveLimits()
READ = {"verbs": ["get", "list"]}


def snapshot(
    cluster: Cluster, namespace: str = "", *, kubeconfig: Path | None = None, limits: LiveLimits = LIMITS
) -> Snapshot:
    async def read() -> Snapshot:
        access = Access(str(kubeconfig or cluster.kubeconfig))
        api = KubeApi(lambda: connect(access), limits)
        try:
            return await Gathering(api, limits, Scope((namespace,) if namespace else ())).snapshot()
        finally:
            await api.close()

    return asyncio.run(read())


def kubernaut(cluster: Cluster, *arguments: str | Path, code: int = 0) -> str:
    done = subprocess.run(
        [str(ROOT / "kubernaut"), *map(str, arguments)],
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def pod(name: str, **spec: Any) -> dict[str, Any]:
    containers = [{"name": "app", "image": "example.com/app:1"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": containers, **spec},
    }


@pytest.fixture
def crashing(cluster: Cluster, namespace: str) -> Iterator[str]:
    """A pod that a kubelet reports to end again and again; its name."""
    node = f"alone-{secrets.token_hex(4)}"
    cluster.add_node(node, managed_by_kwok=False)
    # Nothing else is to be placed there.
    cluster.kubectl("taint", "node", node, "test=alone:NoSchedule")
    cluster.apply(pod("api-0", nodeName=node), namespace=namespace)
    kubelet = Kubelet(cluster, node)
    (placed,) = kubelet.pods()
    now = datetime.now(UTC)
    last = terminated(1, now - timedelta(seconds=70), now - timedelta(seconds=60))
    kubelet.report(
        placed, {"app": waiting("CrashLoopBackOff", "back-off 5m0s", restarts=6, last=last)}, at=now
    )
    kubelet.tell(
        placed, "BackOff", "Back-off restarting failed container app", at=now, type_="Warning", count=9
    )
    yield "api-0"
    cluster.remove_node(node)


@pytest.fixture
def widgets(cluster: Cluster) -> Iterator[str]:
    """A custom kind; its plural and group."""
    group = f"g{secrets.token_hex(4)}.example.com"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    cluster.apply(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"widgets.{group}"},
            "spec": {
                "group": group,
                "scope": "Namespaced",
                "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
                "versions": [
                    {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
                ],
            },
        }
    )
    cluster.kubectl("wait", "--for=condition=Established", f"crd/widgets.{group}", "--timeout=60s")
    yield f"widgets.{group}"
    cluster.kubectl("delete", "crd", f"widgets.{group}", "--wait=false")


@pytest.mark.requirement("HAPI-176")
def test_objects_are_as_the_server_prints_them(cluster: Cluster, namespace: str):
    cluster.kubectl("create", "configmap", "settings", "--from-literal=a=1", "-n", namespace)
    cluster.apply(pod("a"), namespace=namespace)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/a", "-n", namespace, "--timeout=60s")

    seen = snapshot(cluster, namespace)

    for kind in ("pods", "configmaps", "serviceaccounts"):
        printed = json.loads(
            cluster.kubectl("get", kind, "-n", namespace, "-o", "json", "--show-managed-fields")
        )
        for document in printed["items"]:
            found = seen.get(document["kind"], namespace, document["metadata"]["name"])
            assert found is not None
            assert found.body == document
    written_by = seen.get("ConfigMap", namespace, "settings")
    assert written_by is not None
    assert written_by.metadata["managedFields"][0]["manager"] == "kubectl-create"


def test_custom_kinds_are_found_and_cluster_scoped_ones_too(cluster: Cluster, namespace: str, widgets: str):
    group = widgets.partition(".")[2]
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"size": 3}}
    # The API's address book may be a moment behind the definition.
    cluster.until(
        "the custom kind is listed", lambda: widgets in cluster.kubectl("api-resources", "-o", "name")
    )
    cluster.apply(widget, namespace=namespace)

    seen = snapshot(cluster, namespace)

    (found,) = seen.of_kind("Widget")
    assert (found.api_version, found.body["spec"]) == (f"{group}/v1", {"size": 3})
    assert {"Node", "Namespace", "StorageClass", "CustomResourceDefinition", "ClusterRole"} <= set(seen.kinds)
    assert [item.name for item in seen.of_kind("Namespace")] == [namespace]


def test_the_clock_is_the_servers_and_nothing_happened_after_it(cluster: Cluster):
    before = datetime.now(UTC).replace(microsecond=0)

    seen = snapshot(cluster)

    assert before <= seen.captured_at <= datetime.now(UTC)
    assert all(item.created_at is None or item.created_at <= seen.captured_at for item in seen.objects)


def test_small_pages_give_the_same_list(cluster: Cluster, namespace: str):
    for n in range(7):
        cluster.kubectl("create", "configmap", f"c-{n}", "-n", namespace)

    small = snapshot(cluster, namespace, limits=replace(LIMITS, page=2))

    names = {f"c-{n}" for n in range(7)}
    assert names <= {item.name for item in small.of_kind("ConfigMap", namespace)}
    # More roles than fit on a page come with every API server.
    assert len(list(small.of_kind("ClusterRole"))) == len(cluster.get("clusterroles")["items"]) > 50


def account(cluster: Cluster, namespace: str, rules: list[Mapping[str, Any]]) -> Path:
    """A service account that may do only this, in this namespace; its kubeconfig."""
    api = "rbac.authorization.k8s.io"
    cluster.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "viewer"}},
        {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": {"name": "viewer"}, "rules": rules},
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "viewer"},
            "roleRef": {"apiGroup": api, "kind": "Role", "name": "viewer"},
            "subjects": [{"kind": "ServiceAccount", "name": "viewer", "namespace": namespace}],
        },
        namespace=namespace,
    )
    return cluster.kubeconfig_for(namespace, "viewer")


@pytest.mark.requirement("HAPI-177")
def test_what_the_account_may_not_list_is_named_and_the_rest_is_read(cluster: Cluster, namespace: str):
    cluster.apply(pod("a"), namespace=namespace)
    kubeconfig = account(
        cluster, namespace, [{"apiGroups": [""], "resources": ["pods", "configmaps"], **READ}]
    )

    seen = snapshot(cluster, namespace, kubeconfig=kubeconfig)

    assert [item.name for item in seen.of_kind("Pod")] == ["a"]
    assert set(seen.kinds) == {"Pod", "ConfigMap"}
    gaps = {gap.what: gap.why for gap in seen.not_read}
    assert "cannot list resource" in gaps[f"secrets in {namespace}"]
    assert f"system:serviceaccount:{namespace}:viewer" in gaps["nodes"]


@pytest.mark.requirement("INF-BR-SEC-005", "HAPI-110")
def test_a_secrets_data_is_neither_in_the_snapshot_nor_on_the_disk(
    cluster: Cluster, namespace: str, tmp_path: Path
):
    cluster.kubectl("create", "secret", "generic", "db", f"--from-literal=password={CANARY}", "-n", namespace)
    applied = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "applied"},
        "stringData": {"key": CANARY},
    }
    cluster.apply(applied, namespace=namespace)

    seen = snapshot(cluster, namespace)
    kubernaut(cluster, "record", "--out", tmp_path / "r", "-n", namespace)

    written = b"".join(path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file())
    for hidden in (CANARY, b64encode(CANARY.encode()).decode()):
        assert hidden not in repr(seen)
        assert hidden.encode() not in written
    again = load_recording(tmp_path / "r")
    for found in (seen, again):
        secret = found.get("Secret", namespace, "db")
        assert secret is not None
        assert secret.body["dataSummary"] == {"password": {"bytes": len(CANARY)}}


def test_the_recording_and_the_cluster_have_the_same_causes(
    cluster: Cluster, namespace: str, crashing: str, tmp_path: Path
):
    impossible = pod("stuck", nodeSelector={"disk": "nvme"})
    cluster.apply(impossible, namespace=namespace)
    cluster.until(
        "the scheduler has spoken",
        lambda: "FailedScheduling" in cluster.kubectl("get", "events", "-n", namespace),
    )

    told = kubernaut(cluster, "record", "--out", tmp_path / "r", "-n", namespace)
    live = json.loads(kubernaut(cluster, "triage", "--live", "-n", namespace, "--json"))
    recorded = json.loads(kubernaut(cluster, "triage", tmp_path / "r", "--json"))

    assert causes(live) == causes(recorded)
    assert {cause["name"] for cause in live["ranked"]} == {crashing, "stuck"}
    assert live["not_looked_at"] == recorded["not_looked_at"]
    # The node has no kubelet that could be asked.
    assert f"log of {namespace}/{crashing}/app" in told


def causes(answer: Mapping[str, Any]) -> list[Any]:
    """What was found, without the ids and ages of evidence, which tell where and when it was seen."""
    return [
        [c["kind"], c["namespace"], c["name"], c["reason"], c["text"], c["confidence"], [e["body"] for e in c["evidence"]]]
        for c in answer["ranked"]
    ]  # fmt: skip


def test_a_namespace_that_is_not_there_is_no_healthy_cluster(cluster: Cluster, tmp_path: Path):
    kubernaut(cluster, "triage", "--live", "-n", "no-such-namespace", code=2)
    kubernaut(cluster, "record", "--out", tmp_path / "r", "-n", "no-such-namespace", code=2)

    assert list(tmp_path.iterdir()) == []
