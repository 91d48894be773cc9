"""A recording of a real control plane, served, beside that control plane: tables, refusals and selections are the same."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.served_recording import WITHIN_S, ServedRecording, serving
from tests.support.source import ROOT
from tests.testbed.cluster import Cluster

pytestmark = [pytest.mark.needs("testbed"), pytest.mark.requirement("API-BR-CAPI-005", "API-BR-CAPI-006")]

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}

AGES = frozenset({"Age", "Duration", "Last Schedule", "Last Seen", "First Seen"})
"""Columns that go on counting on the living side."""

IMAGE = "registry.example.com/app:1.0"
LABELS = {"app": "web", "tier": "front"}
TEMPLATE = {
    "metadata": {"labels": LABELS},
    "spec": {"containers": [{"name": "app", "image": IMAGE}, {"name": "proxy", "image": IMAGE}]},
}
NEVER = {
    "metadata": {"labels": {"app": "task"}},
    "spec": {"restartPolicy": "Never", "containers": [{"name": "task", "image": IMAGE}]},
}
PORT = {"port": 80, "name": "http"}
GROUP = "parity.example.com"


def obj(kind: str, name: str, api: str = "v1", **body: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "labels": LABELS}, **body}


def selecting(**spec: Any) -> dict[str, Any]:
    return {"selector": {"matchLabels": LABELS}, "template": TEMPLATE, **spec}


CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
}
MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}},
}
SCALED = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}

OBJECTS = [
    obj("Deployment", "web", "apps/v1", spec=selecting(replicas=2)),
    obj("StatefulSet", "db", "apps/v1", spec={
        **selecting(replicas=1, serviceName="db"),
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "kwok-volume",
                                                                         "resources": {"requests": {"storage": "1Gi"}}}}]}),
    obj("DaemonSet", "agent", "apps/v1", spec={
        "selector": {"matchLabels": {"app": "agent"}},
        "template": {"metadata": {"labels": {"app": "agent"}}, "spec": {"nodeSelector": {"disk": "ssd"}, "containers": [{"name": "a", "image": IMAGE}]}}}),
    obj("ReplicationController", "old", spec={"replicas": 0, "selector": {"app": "old"},
                                              "template": {"metadata": {"labels": {"app": "old"}}, "spec": TEMPLATE["spec"]}}),
    obj("Job", "once", "batch/v1", spec={"template": NEVER}),
    obj("Job", "many", "batch/v1", spec={"template": NEVER, "completions": 3, "parallelism": 2, "suspend": True}),
    obj("Job", "queue", "batch/v1", spec={"template": NEVER, "parallelism": 2, "suspend": True}),
    obj("CronJob", "nightly", "batch/v1", spec={"schedule": "0 3 * * *", "timeZone": "Etc/UTC", "suspend": True, "jobTemplate": {"spec": {"template": NEVER}}}),
    obj("Pod", "stuck", spec={"nodeSelector": {"no": "where"}, "containers": [{"name": "app", "image": IMAGE}],
                              "readinessGates": [{"conditionType": "example.com/x"}]}),
    obj("Pod", "gated", spec={"schedulingGates": [{"name": "example.com/x"}], "containers": [{"name": "app", "image": IMAGE}]}),
    obj("Service", "web", spec={"selector": LABELS, "ports": [PORT, {"port": 53, "protocol": "UDP", "name": "dns"}]}),
    obj("Service", "headless", spec={"clusterIP": "None", "selector": LABELS, "ports": [PORT]}),
    obj("Service", "open", spec={"type": "NodePort", "selector": LABELS, "ports": [PORT]}),
    obj("Service", "balanced", spec={"type": "LoadBalancer", "externalIPs": ["192.0.2.7"], "ports": [PORT]}),
    obj("Service", "outside", spec={"type": "ExternalName", "externalName": "db.example.com"}),
    obj("Ingress", "web", "networking.k8s.io/v1", spec={
        "ingressClassName": "nginx", "tls": [{"hosts": ["a.example.com"]}],
        "rules": [{"host": f"{n}.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}
                  for n in "abcde"]}),
    obj("Ingress", "fallback", "networking.k8s.io/v1", spec={"defaultBackend": {"service": {"name": "web", "port": {"number": 80}}}}),
    obj("NetworkPolicy", "web", "networking.k8s.io/v1", spec={
        "podSelector": {"matchLabels": LABELS, "matchExpressions": [{"key": "z", "operator": "NotIn", "values": ["b", "a"]}, {"key": "a", "operator": "Exists"}]}}),
    obj("NetworkPolicy", "all", "networking.k8s.io/v1", spec={"podSelector": {}}),
    obj("ConfigMap", "settings", data={"a": "1", "b": "2"}),
    obj("Secret", "token", type="Opaque", stringData={"a": "1"}),
    obj("PersistentVolumeClaim", "pending", spec={"accessModes": ["ReadWriteMany"], "storageClassName": "none", "resources": {"requests": {"storage": "1Gi"}}}),
    obj("HorizontalPodAutoscaler", "web", "autoscaling/v2", spec={"scaleTargetRef": SCALED, "minReplicas": 2, "maxReplicas": 5, "metrics": [CPU, MEMORY]}),
    obj("PodDisruptionBudget", "web", "policy/v1", spec={"minAvailable": "50%", "selector": {"matchLabels": LABELS}}),
    obj("ResourceQuota", "all", spec={"hard": {"pods": "20", "requests.cpu": "4", "limits.memory": "8Gi"}}),
    obj("LimitRange", "all", spec={"limits": [{"type": "Container", "default": {"memory": "1Gi"}, "defaultRequest": {"cpu": "10m"}}]}),
    obj("Role", "reader", "rbac.authorization.k8s.io/v1", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]),
    obj("RoleBinding", "reader", "rbac.authorization.k8s.io/v1", roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}, subjects=[
        {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}, {"kind": "Group", "name": "g", "apiGroup": "rbac.authorization.k8s.io"},
        {"kind": "ServiceAccount", "name": "default", "namespace": "default"}]),
    obj("Widget", "w", f"{GROUP}/v1", spec={"size": 3, "color": "red"}, status={"conditions": [{"type": "Ready", "status": "False"}]}),
    obj("Widget", "bare", f"{GROUP}/v1"),
]  # fmt: skip

CLUSTER_WIDE = [
    obj("StorageClass", "parity", "storage.k8s.io/v1", provisioner="example.com/p", volumeBindingMode="WaitForFirstConsumer", allowVolumeExpansion=True),
    obj("PriorityClass", "parity", "scheduling.k8s.io/v1", value=7),
    obj("IngressClass", "parity", "networking.k8s.io/v1", spec={
        "controller": "example.com/c", "parameters": {"apiGroup": "k.example.com", "kind": "Config", "name": "c", "scope": "Cluster"}}),
    obj("PersistentVolume", "parity", spec={"capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "hostPath": {"path": "/x"},
                                            "storageClassName": "parity"}),
]  # fmt: skip

DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"widgets.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wi"], "categories": ["all"]},
        "versions": [{
            "name": "v1", "served": True, "storage": True, "selectableFields": [{"jsonPath": ".spec.color"}],
            "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": True,
                "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"color": {"type": "string"}}}}}},
            "additionalPrinterColumns": [
                {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                {"name": "Ready", "type": "string", "jsonPath": '.status.conditions[?(@.type=="Ready")].status'},
                {"name": "Color", "type": "string", "jsonPath": ".spec.color", "priority": 1},
                {"name": "Born", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
            ],
        }],
    },
}  # fmt: skip


@dataclass(frozen=True)
class Both:
    """The control plane, and a recording of it served."""

    cluster: Cluster
    served: ServedRecording
    client: httpx.Client
    namespace: str

    def ask(
        self, path: str, headers: Mapping[str, str] | None = None
    ) -> tuple[httpx.Response, httpx.Response]:
        return (
            self.cluster.http.get(path, headers=dict(headers or {})),
            self.client.get(path, headers=dict(headers or {})),
        )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A control plane of its own: it is halted, so that nothing moves after it was recorded."""
    with Cluster() as cluster:
        cluster.add_node(
            "node-1", cpu="32", memory="64Gi", labels={"disk": "ssd", "node-role.kubernetes.io/worker": ""}
        )
        cluster.add_node("node-2")
        cluster.kubectl("cordon", "node-2")
        cluster.apply(DEFINITION)
        cluster.kubectl("wait", "--for=condition=Established", f"crd/widgets.{GROUP}", "--timeout=60s")
        cluster.until(
            "widgets are listed", lambda: f"widgets.{GROUP}" in cluster.kubectl("api-resources", "-o", "name")
        )
        with cluster.namespace("parity") as namespace:
            cluster.apply(*CLUSTER_WIDE)
            cluster.apply(*OBJECTS, namespace=namespace)
            cluster.kubectl("rollout", "status", "-n", namespace, "deployment/web", "--timeout=60s")
            cluster.kubectl("rollout", "status", "-n", namespace, "statefulset/db", "--timeout=60s")
            cluster.kubectl("wait", "-n", namespace, "--for=condition=Complete", "job/once", "--timeout=60s")
            cluster.until(
                "the quota is counted",
                lambda: "used" in cluster.get("quota", "all", "-n", namespace)["status"],
            )
            cluster.until("an event tells of the pod that fits nowhere",
                          lambda: cluster.get("events", "-n", namespace, "--field-selector", "involvedObject.name=stuck")["items"])  # fmt: skip
            cluster.halt()
            recording = tmp_path_factory.mktemp("parity") / "recording"
            done = subprocess.run(
                [str(ROOT / "kubernaut"), "record", "--out", str(recording), "--kubeconfig", str(cluster.kubeconfig)],
                capture_output=True, text=True, timeout=WITHIN_S, env=dict(os.environ),
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            with serving(recording) as served, httpx.Client(base_url=served.url, timeout=WITHIN_S) as client:
                yield Both(cluster, served, client, namespace)


def paths(both: Both) -> list[str]:
    """Where the served recording lists something of which it holds any object."""
    found = []
    for root in (
        "/api/v1",
        *(
            f"/apis/{group['preferredVersion']['groupVersion']}"
            for group in both.client.get("/apis").json()["groups"]
        ),
    ):
        for one in both.client.get(root).json()["resources"]:
            path = f"{root}/{one['name']}"
            if "/" not in one["name"] and both.client.get(path).json()["items"]:
                found.append(path)
    return found


def rows(table: Any) -> dict[str, dict[str, Any]]:
    """Name to cells, by their columns' names; those that go on counting are left out."""
    names = [column["name"] for column in table["columnDefinitions"]]
    found = {}
    for row in table["rows"]:
        meta = row["object"]["metadata"]
        cells = dict(zip(names, row["cells"], strict=True))
        if "Restarts" in cells:
            cells["Restarts"] = str(cells["Restarts"]).partition(" ")[0]
        found[f"{meta.get('namespace')}/{meta['name']}"] = {
            name: cell for name, cell in cells.items() if name not in AGES and name != "Born"
        }
    return found


UNLIKE = {
    "secrets": "a recorded Secret has no data; how many keys it has is told",
    "ipaddresses": "the server sends a cell more than it has columns",
    "flowschemas": "name and age: nobody on call looks at these",
    "prioritylevelconfigurations": "name and age: nobody on call looks at these",
}
"""Resources whose columns are not the server's."""


def test_tables_are_the_servers_own(both: Both):
    compared: set[str] = set()
    unlike: dict[str, Any] = {}
    for path in paths(both):
        plural = path.rpartition("/")[2]
        if plural in UNLIKE and plural != "secrets":
            continue
        live, served = (answer.json() for answer in both.ask(path, TABLE))
        columns = [
            [(c["name"], c["priority"], c["format"]) for c in table["columnDefinitions"]]
            for table in (live, served)
        ]
        if columns[0] != columns[1]:
            unlike[path] = columns
            continue
        ours, theirs = rows(served), rows(live)
        unlike |= {
            f"{path} {name}": (theirs[name], cells) for name, cells in ours.items() if theirs[name] != cells
        }
        compared.add(plural)

    assert unlike == {}
    assert {"pods", "deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "services", "endpoints", "endpointslices", "ingresses",
            "networkpolicies", "configmaps", "secrets", "nodes", "namespaces", "events", "persistentvolumes", "persistentvolumeclaims", "storageclasses",
            "horizontalpodautoscalers", "poddisruptionbudgets", "resourcequotas", "limitranges", "roles", "rolebindings", "serviceaccounts",
            "customresourcedefinitions", "priorityclasses", "ingressclasses", "widgets", "controllerrevisions"} <= compared  # fmt: skip


def test_objects_are_the_servers_own(both: Both):
    for plural in ("pods", "services", "configmaps"):
        live, served = (answer.json() for answer in both.ask(f"/api/v1/namespaces/{both.namespace}/{plural}"))
        kind = {"apiVersion": "v1", "kind": served["kind"].removesuffix("List")}
        assert served["items"] == [{**kind, **item} for item in live["items"]]


SELECTIONS = [
    "pods?labelSelector=app%3Dweb", "pods?labelSelector=app%20in%20(web,agent)", "pods?labelSelector=app%20notin%20(web)", "pods?labelSelector=!tier",
    "pods?labelSelector=tier,app!%3Dagent", "pods?fieldSelector=spec.nodeName%3Dnode-1", "pods?fieldSelector=status.phase!%3DRunning",
    "pods?fieldSelector=metadata.name%3Dstuck", "pods?fieldSelector=spec.restartPolicy%3DNever,spec.hostNetwork%3Dfalse",
    "pods?fieldSelector=spec.schedulerName%3Ddefault-scheduler", "pods?fieldSelector=spec.serviceAccountName%3Ddefault", "events?fieldSelector=type%3DWarning",
    "events?fieldSelector=involvedObject.name%3Dstuck,reason%3DFailedScheduling", "events?fieldSelector=source%3Ddefault-scheduler",
    "events?fieldSelector=reportingComponent%3Ddefault-scheduler", "services?fieldSelector=spec.type%3DNodePort", "services?fieldSelector=spec.clusterIP%3DNone",
    "secrets?fieldSelector=type%3DOpaque", "replicationcontrollers?fieldSelector=status.replicas%3D0", "pods?labelSelector=pod-template-generation%3E0",
    "pods?labelSelector=pod-template-generation%3C1",
]  # fmt: skip


def test_selections_are_the_servers_own(both: Both):
    for selection in SELECTIONS:
        live, served = (
            answer.json() for answer in both.ask(f"/api/v1/namespaces/{both.namespace}/{selection}")
        )
        assert "items" in live, (selection, live)
        assert "items" in served, (selection, served)
        names = [[item["metadata"]["name"] for item in document["items"]] for document in (live, served)]
        assert names[1] == names[0], selection
    for path in ("/api/v1/nodes?fieldSelector=spec.unschedulable%3Dtrue",
                 f"/apis/batch/v1/namespaces/{both.namespace}/jobs?fieldSelector=status.successful%3D1", "/api/v1/namespaces?fieldSelector=status.phase%3DActive",
                 f"/apis/{GROUP}/v1/namespaces/{both.namespace}/widgets?fieldSelector=spec.color%3Dred"):  # fmt: skip
        live, served = (answer.json() for answer in both.ask(path))
        assert [item["metadata"]["name"] for item in served["items"]] == [
            item["metadata"]["name"] for item in live["items"]
        ], path
        assert served["items"], path


REFUSED_ALIKE = [
    "/api/v1/namespaces/NS/pods/nope", "/apis/apps/v1/namespaces/NS/deployments/nope", "/api/v1/nodes/nope", f"/apis/{GROUP}/v1/namespaces/NS/widgets/nope",
    "/api/v1/namespaces/nope", "/api/v1/widgets", "/apis/apps/v1/widgets", "/api/v1/namespaces/NS/nodes", "/api/v1/pods/stuck",
    "/api/v1/pods?fieldSelector=spec.foo%3D1", "/api/v1/pods?fieldSelector=status.phase", "/apis/apps/v1/deployments?fieldSelector=spec.replicas%3D2",
    "/api/v1/configmaps?fieldSelector=data%3D1", "/api/v1/nodes?fieldSelector=metadata.namespace%3Dx", f"/apis/{GROUP}/v1/widgets?fieldSelector=spec.size%3D3",
    "/apis/batch/v1/jobs?fieldSelector=x%3D1", "/apis/apps/v1/replicasets?fieldSelector=status.replicas%3D2", "/apis/storage.k8s.io/v1/storageclasses?fieldSelector=x%3D1",
    "/api/v1/namespaces?fieldSelector=metadata.namespace%3Dx", "/api/v1/pods?fieldSelector=metadata.name%3Da%5Cb", "/api/v1/pods?timeoutSeconds=x",
    "/api/v1/pods?limit=99999999999999999999", "/api/v1/pods?resourceVersion=x", "/api/v1/pods?resourceVersion=1&resourceVersionMatch=Half",
    "/api/v1/pods?resourceVersionMatch=Exact", "/api/v1/namespaces/NS/services/web/nope",
    "/api/v1/pods?limit=x", "/api/v1/pods?fieldSelector=metadata.name%3Da%3Db",
    "/api/v1/namespaces/NS/pods/nope/log", "/api/v1/namespaces/NS/pods/PAIR/log?container=nope", "/api/v1/namespaces/NS/pods/PAIR/log",
    "/api/v1/namespaces/NS/pods/PAIR/log?container=app&tailLines=-1", "/api/v1/namespaces/NS/pods/PAIR/log?container=app&limitBytes=0",
    "/api/v1/namespaces/NS/pods/PAIR/log?container=app&sinceSeconds=0",
]  # fmt: skip
"""Asked of both; code, reason and message have to be the same."""

REFUSED_TOO = [
    "/api/v1/pods?labelSelector=a%20b", "/api/v1/pods?labelSelector=a%3D%3D%3Db", "/api/v1/pods?labelSelector=a%20in%20b", "/api/v1/pods?labelSelector=-",
    "/api/v1/pods?continue=x", "/api/v1/pods?continue=" + quote("e30"), "/api/v1/pods?resourceVersion=x", "/api/v1/pods?resourceVersion=1&resourceVersionMatch=Half",
    "/api/v1/pods?limit=1&continue=%ff", "/apis/nope", "/apis/nope/v1/things", "/api/v2", "/nowhere", "/api/v1/pods?fieldSelector=a%5Cb%3D1",
]  # fmt: skip
"""Asked of both; refused by both with the same code, in words of our own."""


def test_refusals_are_the_servers_own(both: Both):
    pair = both.cluster.get("pods", "-n", both.namespace, "-l", "app=web,tier=front")["items"][0]["metadata"][
        "name"
    ]
    unlike = {}
    for path in REFUSED_ALIKE:
        filled = path.replace("NS", both.namespace).replace("PAIR", pair)
        found = [
            {key: answer.json().get(key) for key in ("code", "reason", "message", "details")}
            for answer in both.ask(filled)
        ]
        if found[0] != found[1]:
            unlike[path] = found

    assert unlike == {}


def test_what_the_server_refuses_is_refused_too(both: Both):
    codes = {path: tuple(answer.status_code for answer in both.ask(path)) for path in REFUSED_TOO}

    assert {path: found for path, found in codes.items() if found[0] != found[1]} == {}
    assert all(400 <= found[1] < 500 for found in codes.values())


def test_kubectl_prints_the_same_of_both(both: Both):
    """Every line but those of ages, which go on counting."""
    for command in (
        ("get", "deployments,services,ingresses", "-n", both.namespace, "-o", "custom-columns=K:.kind,N:.metadata.name,V:.metadata.resourceVersion"),
        ("get", "pods", "-n", both.namespace, "-o", "jsonpath={.items[*].spec.containers[*].name}"),
        ("get", "all", "-n", both.namespace, "-o", "name"),
        ("get", "wi", "-n", both.namespace, "-o", "yaml"),
        ("rollout", "history", "deployment/web", "-n", both.namespace),
        ("auth", "can-i", "get", "pods"),
    ):  # fmt: skip
        assert both.served.kubectl(*command).out == both.cluster.kubectl(*command), command


def test_the_names_of_kinds_are_the_servers_own(both: Both):
    def named(document: Any) -> dict[str, Any]:
        keys = ("kind", "namespaced", "singularName", "shortNames", "categories")
        return {
            one["name"]: {key: one.get(key) for key in keys}
            for one in document["resources"]
            if "/" not in one["name"]
        }

    for root in ("/api/v1", "/apis/apps/v1", "/apis/batch/v1", "/apis/networking.k8s.io/v1", "/apis/policy/v1", "/apis/autoscaling/v2", "/apis/storage.k8s.io/v1",
                 "/apis/rbac.authorization.k8s.io/v1", "/apis/apiextensions.k8s.io/v1", "/apis/discovery.k8s.io/v1", "/apis/scheduling.k8s.io/v1", f"/apis/{GROUP}/v1"):  # fmt: skip
        live, served = (named(answer.json()) for answer in both.ask(root))
        for plural, one in served.items():
            theirs = live[plural]
            held = both.client.get(f"{root}/{plural}").json()["items"]
            # A kind of which nothing was recorded is left out of `get all`, and "api-extensions" groups nothing people ask for.
            wanted = {
                **theirs,
                "categories": [c for c in theirs["categories"] or () if c == "all"] or None if held else None,
            }
            assert one == wanted, plural


def test_recorded_kinds_are_all_listed(both: Both):
    live = {
        line.split(".")[0]
        for line in both.cluster.kubectl("api-resources", "-o", "name", "--verbs", "list").split()
    }
    served = {line.split(".")[0] for line in both.served.kubectl("api-resources", "-o", "name").out.split()}

    assert served <= live


def test_a_page_of_the_server_and_one_of_ours_end_alike(both: Both):
    path = f"/api/v1/namespaces/{both.namespace}/pods?limit=2"
    live, served = (answer.json() for answer in both.ask(path))

    assert served["metadata"]["remainingItemCount"] == live["metadata"]["remainingItemCount"]
    assert [item["metadata"]["name"] for item in served["items"]] == [
        item["metadata"]["name"] for item in live["items"]
    ]
    again = both.client.get(f"{path}&continue={quote(served['metadata']['continue'])}").json()
    assert json.dumps(again["items"][0]) != json.dumps(served["items"][0])


def test_nothing_secret_was_recorded_or_is_served(both: Both):
    said = both.served.kubectl("get", "secret", "token", "-n", both.namespace, "-o", "json")
    table = both.served.kubectl("get", "secret", "token", "-n", both.namespace, "--no-headers")

    assert "data" not in json.loads(said.out)
    assert json.loads(said.out)["dataSummary"] == {"a": {"bytes": 1}}
    assert table.out.split()[:3] == ["token", "Opaque", "1"]
