"""A MachineConfig in an Ignition version that the cluster does not read keeps a pool from being rendered."""

from __future__ import annotations

from typing import Any

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, daemon_set, deployment, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="99-worker-chrony is written for Ignition 4.0.0, and the worker pool can no longer be rendered",
    half=Half.tuned,
    story="Somebody applied a MachineConfig for the time servers, made by a newer tool. The render controller cannot parse it; the pool keeps its last configuration, the machine-config operator is degraded and says so for the pool, not for the file.",
    sources=[
        "https://docs.redhat.com/en/documentation/openshift_container_platform/4.20/html/machine_configuration/machine-configs-configure",
        "https://github.com/openshift/machine-config-operator/blob/main/docs/MachineConfigController.md",
        "https://github.com/openshift/machine-config-operator/blob/main/pkg/controller/render/render_controller.go",
        "https://coreos.github.io/ignition/specs/",
    ],
    labels={
        "alertname": "ClusterOperatorDegraded",
        "severity": "warning",
        "namespace": "openshift-cluster-version",
        "name": "machine-config",
        "reason": "RequiredPoolsFailed",
        "job": "cluster-version-operator",
    },
    causes=["MachineConfig/_cluster/99-worker-chrony"],
    says=[["4.0.0"], ["ignition"]],
    innocent=["ClusterOperator/_cluster/machine-config", "Deployment/openshift-machine-config-operator/machine-config-controller"],
    traits=frozenset({Trait.innocent}),
    authored=["machineconfigpool status", "clusteroperator status", "machine-config events"],
)  # fmt: skip

GROUP = "machineconfiguration.openshift.io"
RENDERED = {
    "worker": "rendered-worker-5d1c8a7b3f40e26918a0c4b7e6d3f219",
    "master": "rendered-master-a81b0e7d2c5f4693b7e1d0a9c8f65e42",
}
PROBLEM = "could not generate rendered MachineConfig: parsing Ignition config failed: unknown version. Supported spec versions: 2.2, 3.0, 3.1, 3.2, 3.3, 3.4, 3.5"


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "MachineConfig", "machineconfigs", namespaced=False)
    stage.crd(GROUP, "v1", "MachineConfigPool", "machineconfigpools", namespaced=False)
    stage.crd("config.openshift.io", "v1", "ClusterOperator", "clusteroperators", namespaced=False)
    for node in ("node-a", "node-b", "node-c"):
        stage.kubectl("label", "node", node, "node-role.kubernetes.io/worker=")
    for node in ("control-a", "control-b", "control-c"):
        stage.add_node(
            node, labels={"node-role.kubernetes.io/master": "", "node-role.kubernetes.io/control-plane": ""}
        )
        stage.kubectl("taint", "node", node, "node-role.kubernetes.io/master:NoSchedule")
    stage.apply([
        *system(),
        *(_config(f"{prefix}-{role}{suffix}", role) for role in RENDERED for prefix, suffix in _NAMES),
        *(_config(name, "", spec_role=role) for role, name in RENDERED.items()),
        *(_pool(role) for role in RENDERED),
        *({"apiVersion": "config.openshift.io/v1", "kind": "ClusterOperator", "metadata": {"name": name}, "spec": {}} for name in ("machine-config", "dns", "ingress", "network")),
        deployment("openshift-machine-config-operator/machine-config-operator", container("machine-config-operator", "openshift/machine-config-operator:4.20.6"), replicas=1),
        deployment("openshift-machine-config-operator/machine-config-controller", container("machine-config-controller", "openshift/machine-config-operator:4.20.6"), replicas=1),
        daemon_set("openshift-machine-config-operator/machine-config-daemon", container("machine-config-daemon", "openshift/machine-config-operator:4.20.6"), pod={"tolerations": [{"operator": "Exists"}]}),
        deployment("openshift-ingress/router-default", container("router", "openshift/haproxy-router:4.20.6", port=1936, ready="/healthz/ready")),
    ])  # fmt: skip
    stage.calm()
    for role in RENDERED:
        _pool_status(stage, role)
    for name in ("machine-config", "dns", "ingress", "network"):
        _operator_status(stage, name)
    stage.wait(days=51, hours=7)
    stage.apply([_config(
        "99-worker-chrony", "worker", version="4.0.0",
        files=[{"path": "/etc/chrony.conf", "mode": 420, "overwrite": True,
                "contents": {"source": "data:,server%20ntp.example.com%20iburst%0Adriftfile%20%2Fvar%2Flib%2Fchrony%2Fdrift%0A"}}],
    )])  # fmt: skip
    stage.wait(seconds=9)
    _pool_status(stage, "worker", problem=f"Failed to render configuration for pool worker: {PROBLEM}")
    stage.wait(minutes=7)
    wrong = (
        "error during syncRequiredMachineConfigPools: [context deadline exceeded, error required MachineConfigPool worker is not ready, retrying. "
        "Status: (total: 3, ready 3, updated: 3, unavailable: 0, degraded: 0), MachineConfigPool worker has not progressed to latest configuration: "
        f'pool is degraded because rendering fails with "": "Failed to render configuration for pool worker: {PROBLEM}"]'
    )
    _operator_status(stage, "machine-config", problem=f"Failed to resync 4.20.6 because: {wrong}")
    stage.wait(minutes=31)
    operator = stage.get("clusteroperators/_cluster/machine-config")
    stage.event(operator, "OperatorDegraded: RequiredPoolsFailed", f"Failed to resync 4.20.6 because: {wrong}",
                component="machineconfigoperator", count=3, minutes_ago=4)  # fmt: skip
    stage.log("openshift-machine-config-operator/machine-config-controller", printed(stage.ago(minutes=36), [
        "I<%m%d %H:%M:%S.%3>123       1 render_controller.go:380] Error syncing machineconfigpool worker: " + PROBLEM,
        "I<%m%d %H:%M:%S.%3>123       1 node_controller.go:584] Pool master: All nodes are updated",
    ] * 8, every_s=130))  # fmt: skip
    stage.log("openshift-machine-config-operator/machine-config-operator", printed(stage.ago(minutes=30), [
        f"E<%m%d %H:%M:%S.%3>207       1 operator.go:448] {wrong}",
    ] * 3, every_s=600))  # fmt: skip
    chatter(stage, "openshift-machine-config-operator/machine-config-daemon", [
        "I<%m%d %H:%M:%S.%3>044    2381 daemon.go:751] Node is in desired config, state Done",
    ], count=6)  # fmt: skip
    chatter(
        stage,
        "openshift-ingress/router-default",
        [
            'I<%m%d %H:%M:%S.%3>311       1 router.go:669] "msg"="router reloaded" "logger"="template" "output"=" - Checking http://localhost:80 using PROXY protocol ..."'
        ],
        count=4,
    )
    stage.fire(minutes_ago=1)


_NAMES = (
    ("00", ""),
    ("01", "-container-runtime"),
    ("01", "-kubelet"),
    ("97", "-generated-kubelet"),
    ("99", "-ssh"),
)


def _config(
    name: str, role: str, *, version: str = "3.5.0", spec_role: str = "", files: list[Body] | None = None
) -> Body:
    unit = {"name": "kubelet.service", "enabled": True}
    body: Body = {
        "apiVersion": f"{GROUP}/v1", "kind": "MachineConfig", "metadata": {"name": name},
        "spec": {"config": {
            "ignition": {"version": version},
            **({"storage": {"files": files}} if files else {"systemd": {"units": [unit]}}),
        }},
    }  # fmt: skip
    if role:
        body["metadata"]["labels"] = {f"{GROUP}/role": role}
    if not files and not name.endswith("-ssh"):
        body["metadata"]["annotations"] = {
            f"{GROUP}/generated-by-controller-version": "b0f3d1c9a47e852610cd7f3e9b8a4521d6c7e0fa"
        }
    if spec_role:
        body["metadata"]["annotations"] |= {f"{GROUP}/release-image-version": "4.20.6"}
    return body


def _pool(role: str) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "MachineConfigPool",
        "metadata": {"name": role, "labels": {f"pools.operator.{GROUP}/{role}": "", f"operator.{GROUP}/required-for-upgrade": ""}},
        "spec": {
            "machineConfigSelector": {"matchLabels": {f"{GROUP}/role": role}},
            "nodeSelector": {"matchLabels": {f"node-role.kubernetes.io/{role}": ""}},
            "configuration": {"name": RENDERED[role]}, "paused": False,
        },
    }  # fmt: skip


def _pool_status(stage: Stage, role: str, *, problem: str = "") -> None:
    sources = [
        {"apiVersion": f"{GROUP}/v1", "kind": "MachineConfig", "name": f"{prefix}-{role}{suffix}"}
        for prefix, suffix in _NAMES
    ]
    conditions = {
        "NodeDegraded": (False, "", ""), "RenderDegraded": (bool(problem), "", problem), "Degraded": (bool(problem), "", ""),
        "Updated": (True, "", f"All nodes are updated with MachineConfig {RENDERED[role]}"), "Updating": (False, "", ""),
    }  # fmt: skip
    past = {}
    if problem:
        past = {
            c["type"]: c for c in stage.get(f"machineconfigpools/_cluster/{role}")["status"]["conditions"]
        }
    count = 3
    stage.status(f"machineconfigpools/_cluster/{role}", {
        "observedGeneration": 2, "machineCount": count, "readyMachineCount": count, "updatedMachineCount": count,
        "unavailableMachineCount": 0, "degradedMachineCount": 0, "configuration": {"name": RENDERED[role], "source": sources},
        "conditions": [_condition(stage, kind, *state, past=past) for kind, state in conditions.items()],
    }, manager="machine-config-controller")  # fmt: skip


def _operator_status(stage: Stage, name: str, *, problem: str = "") -> None:
    conditions = {
        "Available": (True, "AsExpected", f"Cluster has deployed [{{operator 4.20.6}}] of {name}" if name == "machine-config" else ""),
        "Progressing": (False, "AsExpected", ""),
        "Degraded": (bool(problem), "RequiredPoolsFailed" if problem else "AsExpected", problem),
        "Upgradeable": (not problem, "DegradedPool" if problem else "AsExpected",
                        "One or more machine config pools are degraded, please see `oc get mcp` for further details and resolve before upgrading" if problem else ""),
    }  # fmt: skip
    past = {}
    if problem:
        past = {c["type"]: c for c in stage.get(f"clusteroperators/_cluster/{name}")["status"]["conditions"]}
    stage.status(f"clusteroperators/_cluster/{name}", {
        "conditions": [_condition(stage, kind, *state, past=past) for kind, state in conditions.items()],
        "versions": [{"name": "operator", "version": "4.20.6"}],
        "relatedObjects": [{"group": GROUP, "name": role, "resource": "machineconfigpools"} for role in RENDERED] if name == "machine-config" else [],
        **({"extension": {"lastSyncError": problem, "master": "all 3 nodes are at latest configuration " + RENDERED["master"],
                          "worker": f'pool is degraded because rendering fails with "": "Failed to render configuration for pool worker: {PROBLEM}"'}} if problem else {}),
    }, manager="machine-config-operator")  # fmt: skip


def _condition(
    stage: Stage, kind: str, true: bool, reason: str, message: str, *, past: dict[str, Body]
) -> Body:
    status = str(true)
    before = past.get(kind, {})
    since = before["lastTransitionTime"] if before.get("status") == status else stage.stamp()
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}
