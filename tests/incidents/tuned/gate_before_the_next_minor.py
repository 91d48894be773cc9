"""An OpenShift cluster says that it may not be upgraded to the next minor version, which nobody has asked for."""

from __future__ import annotations

from datetime import datetime

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    config_map,
    container,
    daemon_set,
    deployment,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="ClusterNotUpgradeable since this noon's patch release: it asks for an administrator's word before 4.19, and nobody asks for 4.19",
    half=Half.tuned,
    story=(
        "The cluster went from 4.18.22 to 4.18.27 at noon, which was done in fifty minutes. As each late patch release, 4.18.27 brings a gate for the next minor version: an administrator has to"
        " acknowledge that removed APIs are not used. Until then Upgradeable is False, which holds back 4.19 and nothing else, neither patches nor what runs. The channel is stable-4.18. Every operator"
        " is available, none is degraded or progressing. The router has had a new number of pods since an hour."
    ),
    sources=[
        "https://docs.redhat.com/en/documentation/openshift_container_platform/4.18/html/updating_clusters/preparing-to-update-a-cluster",
        "https://github.com/openshift/cluster-version-operator/blob/main/install/0000_90_cluster-version-operator_02_servicemonitor.yaml",
        "https://github.com/openshift/runbooks/blob/master/alerts/cluster-monitoring-operator/ClusterOperatorDegraded.md",
    ],
    labels={
        "alertname": "ClusterNotUpgradeable", "severity": "info", "namespace": "openshift-cluster-version", "name": "version", "condition": "Upgradeable", "endpoint": "metrics",
    },
    annotations={
        "summary": "One or more cluster operators have been blocking minor version cluster upgrades for at least an hour.",
        "description": "In most cases, you will still be able to apply patch releases. Reason AdminAckRequired. For more information refer to 'oc adm upgrade' or https://console-openshift-console.apps.c7.example.com/settings/cluster/.",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["openshift resources", "openshift status"],
)  # fmt: skip

CONFIG = "config.openshift.io"
OLD, NEW = "4.18.22", "4.18.27"
OPERATORS = ("authentication", "console", "dns", "etcd", "image-registry", "ingress", "kube-apiserver", "machine-config", "monitoring", "network", "storage")  # fmt: skip
GATE = "ack-4.18-kube-1.32-api-removals-in-4.19"
WORDS = (
    "Kubernetes 1.32 and therefore OpenShift 4.19 remove several APIs which require admin consideration."
    " Please see the knowledge article https://access.example.com/articles/7130599 for details and instructions."
)


def play(stage: Stage) -> None:
    stage.crd(CONFIG, "v1", "ClusterVersion", "clusterversions", namespaced=False)
    stage.crd(CONFIG, "v1", "ClusterOperator", "clusteroperators", namespaced=False)
    stage.crd("apiserver.openshift.io", "v1", "APIRequestCount", "apirequestcounts", namespaced=False)
    stage.crd("route.openshift.io", "v1", "Route", "routes")
    stage.apply([
        *system(),
        {"apiVersion": f"{CONFIG}/v1", "kind": "ClusterVersion", "metadata": {"name": "version"}, "spec": {"channel": "stable-4.18", "clusterID": "6f0e2c8e-51b4-4f1d-9c33-0a7be1d2f984", "desiredUpdate": {"version": OLD}}},
        *({"apiVersion": f"{CONFIG}/v1", "kind": "ClusterOperator", "metadata": {"name": name}, "spec": {}} for name in OPERATORS),
        {"apiVersion": "apiserver.openshift.io/v1", "kind": "APIRequestCount", "metadata": {"name": "flowschemas.v1beta3.flowcontrol.apiserver.k8s.io"}, "spec": {"numberOfUsersToReport": 10}},
        config_map("openshift-config-managed/admin-gates", {}), config_map("openshift-config/admin-acks", {"ack-4.15-kube-1.29-api-removals-in-4.16": "true"}),
        deployment("openshift-cluster-version/cluster-version-operator", container("cluster-version-operator", f"ocp/cluster-version-operator:{OLD}", port=9099), replicas=1), service("openshift-cluster-version/cluster-version-operator", 9099),
        deployment("openshift-ingress/router-default", container("router", f"ocp/haproxy-router:{OLD}", port=443, ready="/healthz/ready")), service("openshift-ingress/router-internal-default", 443, selector={"app": "router-default"}),
        deployment("openshift-image-registry/image-registry", container("registry", f"ocp/docker-registry:{OLD}", port=5000, ready="/healthz"), replicas=1), service("openshift-image-registry/image-registry", 5000),
        daemon_set("openshift-dns/dns-default", container("dns", f"ocp/coredns:{OLD}", port=5353)),
        stateful_set("openshift-monitoring/prometheus-k8s", container("prometheus", f"ocp/prometheus:{OLD}", port=9090, memory=("1Gi", "2Gi"))), service("openshift-monitoring/prometheus-k8s", 9090, headless=True),
        {"apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": {"name": "cadastre", "namespace": "landregister"}, "spec": {"host": "cadastre.apps.c7.example.com", "to": {"kind": "Service", "name": "cadastre", "weight": 100}, "tls": {"termination": "edge"}}},
        deployment("landregister/cadastre", container("cadastre", "landregister/cadastre:5.5.2", port=8080, ready="/ready", env={"DB_HOST": "parcels-db.landregister.svc"}), replicas=3), service("landregister/cadastre", 8080),
        stateful_set("landregister/parcels-db", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("landregister/parcels-db", 5432, headless=True),
        deployment("landregister/extracts", container("extracts", "landregister/extracts:2.0.7", port=8080, ready="/ready")), service("landregister/extracts", 8080),
    ])  # fmt: skip
    stage.calm()
    begun = stage.now
    for name in OPERATORS:
        _operator(stage, name, OLD, begun)
    stage.status("routes.route.openshift.io/landregister/cadastre", {"ingress": [{"host": "cadastre.apps.c7.example.com", "routerName": "default", "conditions": [{"type": "Admitted", "status": "True", "lastTransitionTime": stage.stamp()}]}]}, manager="openshift-router")  # fmt: skip
    _version(stage, [_update(stage, OLD, begun, begun)], OLD, "", begun)
    stage.wait(days=30, hours=2, minutes=52)
    stage.edit(f"clusterversions.{CONFIG}/_cluster/version", lambda body: body["spec"]["desiredUpdate"].update(version=NEW), manager="oc")  # fmt: skip
    asked = stage.now
    stage.edit("configmaps/openshift-config-managed/admin-gates", lambda body: body.update(data={GATE: WORDS}), manager="cluster-version-operator")  # fmt: skip
    for place, called, image in (
        ("openshift-cluster-version/cluster-version-operator", "cluster-version-operator", "cluster-version-operator"),
        ("openshift-image-registry/image-registry", "registry", "docker-registry"),
        ("openshift-ingress/router-default", "router", "haproxy-router"),
    ):  # fmt: skip
        namespace, name = place.split("/")
        stage.kubectl("set", "image", f"deployment/{name}", f"{called}=registry.example.com/ocp/{image}:{NEW}", "-n", namespace, "--field-manager=cluster-version-operator")  # fmt: skip
        stage.calm()
        stage.wait(minutes=9)
    stage.kubectl("set", "image", "daemonset/dns-default", f"dns=registry.example.com/ocp/coredns:{NEW}", "-n", "openshift-dns", "--field-manager=dns-operator")  # fmt: skip
    stage.calm()
    stage.kubectl("set", "image", "statefulset/prometheus-k8s", f"prometheus=registry.example.com/ocp/prometheus:{NEW}", "-n", "openshift-monitoring", "--field-manager=prometheus-operator")  # fmt: skip
    stage.calm()
    stage.wait(minutes=22)
    for name in OPERATORS:
        _operator(stage, name, NEW, begun)
    done = stage.now
    _version(stage, [_update(stage, NEW, asked, done), _update(stage, OLD, begun, begun)], NEW, WORDS, begun)
    stage.wait(hours=1, minutes=12)
    stage.kubectl("scale", "deployment/router-default", "--replicas=3", "-n", "openshift-ingress")
    stage.calm()
    stage.wait(minutes=58)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=68)


def _condition(
    stage: Stage, kind: str, holds: bool, since: datetime, reason: str = "AsExpected", message: str = ""
) -> Body:
    return {"type": kind, "status": "True" if holds else "False", "reason": reason, "message": message, "lastTransitionTime": stage.stamp(at=since)}  # fmt: skip


def _operator(stage: Stage, name: str, version: str, begun: datetime) -> None:
    stage.status(f"clusteroperators.{CONFIG}/_cluster/{name}", {
        "conditions": [_condition(stage, "Available", True, begun), _condition(stage, "Progressing", False, stage.now), _condition(stage, "Degraded", False, begun), _condition(stage, "Upgradeable", True, begun)],
        "versions": [{"name": "operator", "version": version}], "relatedObjects": [{"group": "", "resource": "namespaces", "name": f"openshift-{name}"}],
    }, manager=f"{name}-operator")  # fmt: skip


def _update(stage: Stage, version: str, started: datetime, completed: datetime) -> Body:
    return {
        "state": "Completed", "version": version, "image": f"registry.example.com/ocp/release:{version}", "verified": True,
        "startedTime": stage.stamp(at=started), "completionTime": stage.stamp(at=completed),
    }  # fmt: skip


def _version(stage: Stage, history: list[Body], version: str, gate: str, begun: datetime) -> None:
    conditions = [
        _condition(stage, "Available", True, begun, "", f"Done applying {version}"), _condition(stage, "Progressing", False, stage.now, "", f"Cluster version is {version}"),
        _condition(stage, "Failing", False, begun, ""), _condition(stage, "RetrievedUpdates", True, begun, ""), _condition(stage, "ReleaseAccepted", True, begun, "PayloadLoaded", f'Payload loaded version="{version}" architecture="Multi"'),
    ]  # fmt: skip
    if gate:
        conditions.append(_condition(stage, "Upgradeable", False, stage.now, "AdminAckRequired", gate))
        stage.status("apirequestcounts.apiserver.openshift.io/_cluster/flowschemas.v1beta3.flowcontrol.apiserver.k8s.io", {"removedInRelease": "1.32", "requestCount": 0, "currentHour": {"requestCount": 0}, "last24h": [{"requestCount": 0} for _ in range(24)]}, manager="kube-apiserver")  # fmt: skip
    stage.status(f"clusterversions.{CONFIG}/_cluster/version", {
        "desired": {"version": version, "image": f"registry.example.com/ocp/release:{version}", "channels": ["candidate-4.18", "fast-4.18", "stable-4.18", "stable-4.19"]},
        "history": history, "conditions": conditions, "observedGeneration": 2 if gate else 1,
    }, manager="cluster-version-operator")  # fmt: skip


def _logs(stage: Stage) -> None:
    chatter(stage, "openshift-cluster-version/cluster-version-operator", [
        f'I<%m%d %H:%M:%S.%3>117       1 sync_worker.go:1028] Done syncing for clusteroperator "<100-899>" of 899 at {NEW}',
        f'I<%m%d %H:%M:%S.%3>417       1 upgradeable.go:446] Gate admin-gates "{GATE}" is applicable to current version "{NEW}" and not acknowledged.',
        'I<%m%d %H:%M:%S.%3>002       1 cvo.go:745] Started syncing available updates "openshift-cluster-version/version"',
    ], count=30, minutes=60)  # fmt: skip
    chatter(stage, "openshift-ingress/router-default", [
        'I<%m%d %H:%M:%S.%3>310       1 router.go:665] "msg"="router reloaded" "logger"="template" "output"=" - Checking http://localhost:80 using PROXY protocol ...\\n - Health check ok : 0 retry attempt(s).\\n"',
        "W<%m%d %H:%M:%S.%3>114       1 reflector.go:561] watch of *v1.EndpointSlice ended with: too old resource version, a new one is started",
    ], count=8, minutes=50)  # fmt: skip
    chatter(stage, "openshift-image-registry/image-registry", ['time="<%Y-%m-%dT%H:%M:%S.%3>Z" level=info msg=response http.request.method=GET http.request.uri=/healthz http.response.status=200'], count=16)  # fmt: skip
    chatter(stage, "openshift-dns/dns-default", ["[INFO] plugin/reload: Running configuration SHA512 = 3b0e77d1<1000-9999>"], count=2)  # fmt: skip
    chatter(stage, "landregister/cadastre-", ["INFO  cadastre - GET /parcels/<1000-9999> 200 <8-30>ms", "ERROR cadastre - search 'x' refused: fewer than three letters"], count=30, minutes=60)  # fmt: skip
    chatter(stage, "landregister/extracts-", ["INFO  extracts - extract <1000-9999> printed in <80-300>ms"], count=20, minutes=60)  # fmt: skip
    chatter(stage, "landregister/parcels-db", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=5, minutes=60)  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every five minutes for a day; the patch release was there two hours and ten minutes ago."""
    count, since = 288, 26
    stage.metric("upgradeable", 'cluster_operator_conditions{name="version",condition="Upgradeable"}', [
        ({"namespace": "openshift-cluster-version", "name": "version", "condition": "Upgradeable", "endpoint": "metrics"}, [*[1.0] * (count - since), *[0.0] * since]),
    ], step_s=300)  # fmt: skip
    for called, query in (
        ("up", "cluster_operator_up"),
        ("degraded", 'cluster_operator_conditions{condition="Degraded"}'),
    ):
        more = {"condition": "Degraded"} if called == "degraded" else {}
        stage.metric(called, query, [({"namespace": "openshift-cluster-version", "name": name, "version": NEW, **more}, [0.0 if more else 1.0] * count) for name in OPERATORS], step_s=300)  # fmt: skip
    stage.metric("removed", "sum by (resource) (increase(apiserver_request_total{version=\"v1beta3\",group=\"flowcontrol.apiserver.k8s.io\"}[1h]))", [({"resource": "flowschemas"}, [0.0] * count)], step_s=300)  # fmt: skip
    stage.metric("cadastre", 'sum by (route) (rate(haproxy_server_http_responses_total{code="5xx"}[5m])) / sum by (route) (rate(haproxy_server_http_responses_total[5m]))', [({"route": "cadastre"}, about(0.0002, count, noise=0.8))], step_s=300)  # fmt: skip
