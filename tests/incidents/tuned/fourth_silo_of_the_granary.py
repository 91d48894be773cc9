"""An operator tells OLM not to replace it while it moves shards; the next version waits, and a rule calls that abnormal."""

from __future__ import annotations

from datetime import datetime

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="CsvAbnormalOver30Min of silo-operator 2.7.0: 2.6.1 holds it off by its OperatorCondition while shards move to a fourth node, which is two thirds done",
    half=Half.tuned,
    story=(
        "A person gave the store grain a fourth node this noon. Operator 2.6.1 moves 56 of 224 shards there and says Upgradeable=False as long as it does. The catalog brought 2.7.0 an hour later;"
        " OLM made its CSV and lets it stand at Pending, OperatorConditionNotUpgradeable, with 2.6.1 at Replacing. 2.6.1 works on, the shards go over at the pace of the move in spring, and readers"
        " are answered as ever. When the last one is there OLM goes on by itself. The mill was released in the morning, and a weigher was restarted last week."
    ),
    sources=[
        "https://olm.operatorframework.io/docs/advanced-tasks/communicating-operator-conditions-to-olm/",
        "https://github.com/operator-framework/operator-lifecycle-manager/pull/1885",
        "https://github.com/openshift/cluster-monitoring-operator/blob/master/Documentation/data-collection.md",
        "https://github.com/operator-framework/operator-lifecycle-manager/blob/master/pkg/metrics/metrics.go",
    ],
    labels={
        "alertname": "CsvAbnormalOver30Min", "severity": "warning", "namespace": "silo-system", "exported_namespace": "silo-system", "job": "olm-operator-metrics",
        "name": "silo-operator.v2.7.0", "version": "2.7.0", "phase": "Pending", "reason": "OperatorConditionNotUpgradeable",
    },
    annotations={
        "summary": "CSV abnormal for over 30 minutes",
        "message": "Failed to install Operator silo-operator.v2.7.0 version 2.7.0. Reason-OperatorConditionNotUpgradeable",
    },
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["olm status", "olm objects", "silo operator"],
)  # fmt: skip

OLM = "operators.coreos.com"
STORE = "silo.example.com"
TO_MOVE = 56


def _version(version: str, replaces: str) -> Body:
    return {
        "apiVersion": f"{OLM}/v1alpha1", "kind": "ClusterServiceVersion", "metadata": {"name": f"silo-operator.v{version}", "namespace": "silo-system"},
        "spec": {
            "displayName": "Silo", "version": version, "replaces": f"silo-operator.v{replaces}", "installModes": [{"type": "AllNamespaces", "supported": True}],
            "install": {"strategy": "deployment", "spec": {"deployments": [{"name": "silo-operator", "spec": {"replicas": 1}}]}},
            "customresourcedefinitions": {"owned": [{"name": f"stores.{STORE}", "kind": "Store", "version": "v1"}]},
        },
    }  # fmt: skip


def _condition_object(version: str) -> Body:
    return {"apiVersion": f"{OLM}/v2", "kind": "OperatorCondition", "metadata": {"name": f"silo-operator.v{version}", "namespace": "silo-system"}, "spec": {"deployments": ["silo-operator"], "serviceAccounts": ["silo-operator"]}}  # fmt: skip


def play(stage: Stage) -> None:
    for version, kind, plural in (
        ("v1", "OperatorGroup", "operatorgroups"),
        ("v1alpha1", "CatalogSource", "catalogsources"),
        ("v1alpha1", "Subscription", "subscriptions"),
        ("v1alpha1", "InstallPlan", "installplans"),
        ("v1alpha1", "ClusterServiceVersion", "clusterserviceversions"),
        ("v2", "OperatorCondition", "operatorconditions"),
    ):
        stage.crd(OLM, version, kind, plural)
    stage.crd(STORE, "v1", "Store", "stores")
    stage.apply([
        *system(),
        deployment("olm/olm-operator", container("olm-operator", "olm/olm:v0.38.0", port=8080, ready="/healthz", alive="/healthz"), replicas=1),
        deployment("olm/catalog-operator", container("catalog-operator", "olm/olm:v0.38.0", port=8080, ready="/healthz", alive="/healthz"), replicas=1),
        {"apiVersion": f"{OLM}/v1alpha1", "kind": "CatalogSource", "metadata": {"name": "vendors", "namespace": "olm"}, "spec": {"sourceType": "grpc", "image": "registry.example.com/olm/vendors-index:v1", "displayName": "Vendors", "updateStrategy": {"registryPoll": {"interval": "30m"}}}},
        {"apiVersion": f"{OLM}/v1", "kind": "OperatorGroup", "metadata": {"name": "silo-system", "namespace": "silo-system"}, "spec": {}},
        {"apiVersion": f"{OLM}/v1alpha1", "kind": "Subscription", "metadata": {"name": "silo-operator", "namespace": "silo-system"}, "spec": {"channel": "stable", "name": "silo-operator", "source": "vendors", "sourceNamespace": "olm", "installPlanApproval": "Automatic"}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "silo-operator", "namespace": "silo-system"}},
        deployment("silo-system/silo-operator", container("manager", "silo/operator:2.6.1", port=8081, ready="/readyz", alive="/healthz", env={"OPERATOR_CONDITION_NAME": "silo-operator.v2.6.1"}), replicas=1, labels={"olm.owner": "silo-operator.v2.6.1"}, pod={"serviceAccountName": "silo-operator"}),
        {"apiVersion": f"{STORE}/v1", "kind": "Store", "metadata": {"name": "grain", "namespace": "farms"}, "spec": {"nodes": 3, "shards": 224, "copies": 2, "rebalance": {"atOnce": 1}}},
        deployment("farms/mill", container("mill", "farms/mill:6.2.0", port=8080, ready="/ready", alive="/alive", env={"STORE": "grain.farms.svc:7700"}), replicas=3), service("farms/mill", 80, 8080),
        deployment("farms/weigher", container("weigher", "farms/weigher:2.0.3", port=8080, ready="/ready", env={"STORE": "grain.farms.svc:7700"})), service("farms/weigher", 80, 8080),
        config_map("farms/crops", {"crops.yaml": "wheat: 0.86\nrye: 0.87\n"}),
        deployment("markets/prices-board", container("board", "markets/prices-board:1.8.8", port=3000, ready="/up", env={"MILL_URL": "http://mill.farms.svc"})), service("markets/prices-board", 80, 3000),
    ])  # fmt: skip
    stage.apply([
        stateful_set("farms/grain", container("silo", "silo/server:14.3.0", port=7700, ready="/ready", cpu="300m", memory=("1Gi", "2Gi"), args=["--shards=224", "--copies=2"]), replicas=3), service("farms/grain", 7700, headless=True),
    ], manager="silo-operator")  # fmt: skip
    stage.apply([_version("2.6.1", "2.6.0"), _condition_object("2.6.1")], manager="olm")
    stage.calm()
    _phase(stage, "2.6.1", "Succeeded", "InstallSucceeded", "install strategy completed with no errors")
    _upgradeable(stage, "True", "Ready", "no shard is on its way")
    _store(stage, "Ready", "all shards are where they belong", 3, 0)
    _subscription(stage, "AtLatestKnown", "2.6.1", "2.6.1")
    stage.wait(days=12, hours=3)
    stage.recovered(f"farms/{stage.pods('farms/weigher')[0]['metadata']['name']}", restarts=1, code=1, lived_s=820000)  # fmt: skip
    stage.calm()
    stage.wait(days=6, hours=20)
    stage.kubectl("set", "image", "deployment/mill", "mill=registry.example.com/farms/mill:6.2.1", "-n", "farms")  # fmt: skip
    stage.calm()
    stage.wait(hours=5, minutes=50)
    stage.edit(f"stores.{STORE}/farms/grain", lambda body: body["spec"].update(nodes=4))
    stage.edit("statefulsets/farms/grain", lambda body: body["spec"].update(replicas=4), manager="silo-operator")  # fmt: skip
    stage.calm()
    began = stage.now
    _upgradeable(stage, "False", "Rebalancing", f"store farms/grain: {TO_MOVE} of 224 shards move to grain-3")
    _store(stage, "Rebalancing", f"0 of {TO_MOVE} shards moved to grain-3", 4, 0)
    stage.wait(minutes=64)
    _next_version(stage)
    stage.wait(hours=1, minutes=33)
    stage.edit("configmaps/farms/crops", lambda body: body["data"].update({"crops.yaml": "wheat: 0.86\nrye: 0.88\n"}))  # fmt: skip
    stage.wait(minutes=22)
    _store(stage, "Rebalancing", f"37 of {TO_MOVE} shards moved to grain-3", 4, 37)
    stage.event(stage.get(f"clusterserviceversions.{OLM}/silo-system/silo-operator.v2.7.0"), "OperatorConditionNotUpgradeable", NOT_YET, kind="Normal", component="operator-lifecycle-manager", count=12)  # fmt: skip
    stage.event(stage.get(f"stores.{STORE}/farms/grain"), "ShardMoved", "shard 0x8f moved from grain-1 to grain-3", kind="Normal", component="silo-operator", count=1, minutes_ago=2)  # fmt: skip
    stage.heartbeat()
    _logs(stage, began)
    _metrics(stage)
    stage.fire(minutes_ago=84)


NOT_YET = f"operator is not upgradeable: The operator is not upgradeable: store farms/grain: {TO_MOVE} of 224 shards move to grain-3"


def _next_version(stage: Stage) -> None:
    """What the catalog operator and OLM do with a newer version in the channel."""
    stage.apply([{
        "apiVersion": f"{OLM}/v1alpha1", "kind": "InstallPlan", "metadata": {"name": "install-7q2mw", "namespace": "silo-system"},
        "spec": {"approval": "Automatic", "approved": True, "clusterServiceVersionNames": ["silo-operator.v2.7.0"], "generation": 2},
    }], manager="catalog")  # fmt: skip
    stage.apply([_version("2.7.0", "2.6.1")], manager="catalog")
    now = stage.stamp()
    stage.status(f"installplans.{OLM}/silo-system/install-7q2mw", {
        "phase": "Complete", "catalogSources": ["vendors"],
        "conditions": [{"type": "Installed", "status": "True", "lastTransitionTime": now, "lastUpdateTime": now}],
        "plan": [{"resolving": "silo-operator.v2.7.0", "status": "Created", "resource": {"group": OLM, "version": "v1alpha1", "kind": "ClusterServiceVersion", "name": "silo-operator.v2.7.0", "sourceName": "vendors", "sourceNamespace": "olm"}}],
    }, manager="catalog")  # fmt: skip
    stage.apply([_condition_object("2.7.0")], manager="olm")
    _phase(stage, "2.6.1", "Replacing", "BeingReplaced", "being replaced by csv: silo-operator.v2.7.0")
    _phase(stage, "2.7.0", "Pending", "OperatorConditionNotUpgradeable", NOT_YET)
    _subscription(stage, "UpgradePending", "2.6.1", "2.7.0")


def _phase(stage: Stage, version: str, phase: str, reason: str, message: str) -> None:
    what = f"clusterserviceversions.{OLM}/silo-system/silo-operator.v{version}"
    now = stage.stamp()
    one = {"phase": phase, "reason": reason, "message": message, "lastTransitionTime": now, "lastUpdateTime": now}  # fmt: skip
    before = stage.get(what).get("status", {}).get("conditions", [])
    stage.status(what, {**one, "conditions": [*before, one]}, manager="olm")


def _upgradeable(stage: Stage, status: str, reason: str, message: str) -> None:
    """The operator writes it to the spec, OLM takes it over to the status."""
    what = f"operatorconditions.{OLM}/silo-system/silo-operator.v2.6.1"
    one = {"type": "Upgradeable", "status": status, "reason": reason, "message": message, "lastTransitionTime": stage.stamp()}  # fmt: skip
    stage.edit(what, lambda body: body["spec"].update(conditions=[one]), manager="silo-operator")
    stage.status(what, {"conditions": [{**one, "observedGeneration": stage.get(what)["metadata"]["generation"]}]}, manager="olm")  # fmt: skip


def _store(stage: Stage, phase: str, message: str, nodes: int, moved: int) -> None:
    stage.status(f"stores.{STORE}/farms/grain", {
        "phase": phase, "message": message, "readyNodes": nodes, "shards": {"total": 224, "underReplicated": 0, "lost": 0, "moved": moved, "toMove": TO_MOVE if nodes == 4 else 0},
        "observedGeneration": stage.get(f"stores.{STORE}/farms/grain")["metadata"]["generation"],
    }, manager="silo-operator")  # fmt: skip


def _subscription(stage: Stage, state: str, installed: str, current: str) -> None:
    stage.status(f"subscriptions.{OLM}/silo-system/silo-operator", {
        "state": state, "installedCSV": f"silo-operator.v{installed}", "currentCSV": f"silo-operator.v{current}", "lastUpdated": stage.stamp(),
        **({"installPlanRef": {"apiVersion": f"{OLM}/v1alpha1", "kind": "InstallPlan", "name": "install-7q2mw", "namespace": "silo-system"}} if installed != current else {}),
        "catalogHealth": [{"catalogSourceRef": {"kind": "CatalogSource", "name": "vendors", "namespace": "olm"}, "healthy": True, "lastUpdated": stage.stamp()}],
        "conditions": [{"type": "CatalogSourcesUnhealthy", "status": "False", "reason": "AllCatalogSourcesHealthy", "message": "all available catalogsources are healthy", "lastTransitionTime": stage.stamp()}],
    }, manager="catalog")  # fmt: skip
    stage.status(f"catalogsources.{OLM}/olm/vendors", {"connectionState": {"address": "vendors.olm.svc:50051", "lastConnect": stage.stamp(), "lastObservedState": "READY"}}, manager="catalog")  # fmt: skip


def _logs(stage: Stage, began: datetime) -> None:
    front = '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"store","msg":'
    lines = [front + f'"nodes changed from 3 to 4, {TO_MOVE} shards move to grain-3","store":"farms/grain"}}']
    for n in range(1, 38):
        lines.append(front + f'"shard moved","store":"farms/grain","to":"grain-3","seconds":<240-300>,"moved":{n},"of":{TO_MOVE}}}')  # fmt: skip
        if n in (9, 23):
            lines.append(front.replace("info", "error") + '"shard was written to while it was copied, copied again","store":"farms/grain","try":2}')  # fmt: skip
    stage.log("silo-system/silo-operator", printed(began, lines, every_s=268))
    chatter(stage, "olm/olm-operator", [
        'time="<%Y-%m-%dT%H:%M:%SZ>" level=info msg="operator is not upgradeable" csv=silo-operator.v2.7.0 namespace=silo-system phase=Pending',
        'time="<%Y-%m-%dT%H:%M:%SZ>" level=info msg="checking silo-operator.v2.6.1" csv=silo-operator.v2.6.1 namespace=silo-system phase=Replacing',
    ], count=24, minutes=58)  # fmt: skip
    chatter(stage, "olm/catalog-operator", [
        'time="<%Y-%m-%dT%H:%M:%SZ>" level=info msg="state.Key.Namespace=olm state.Key.Name=vendors state.State=READY"',
        'time="<%Y-%m-%dT%H:%M:%SZ>" level=warning msg="an error was encountered during reconciliation" error="Operation cannot be fulfilled on subscriptions: the object has been modified" event=update',
    ], count=10, minutes=58)  # fmt: skip
    chatter(stage, "farms/grain", ["<%H:%M:%S.%3> INFO  silo: flushed <3-9> segments in <40-200>ms", "<%H:%M:%S.%3> INFO  silo: shard 0x<10-99> is here and caught up", "<%H:%M:%S.%3> WARN  silo: read of shard 0x<10-99> forwarded to its new node"], count=30, minutes=58)  # fmt: skip
    chatter(stage, "farms/mill", ["INFO  mill: GET /lots/<1000-9999> 200 <8-30>ms", "WARN  mill: lot <1000-9999> is moist, graded B"], count=36, minutes=58)  # fmt: skip
    chatter(stage, "farms/weigher", ["INFO  weigher: lot <1000-9999>: <900-24000> kg"], count=24, minutes=58)
    chatter(stage, "markets/prices-board", ["GET /board 200 <9-30>ms"], count=16, minutes=58)


def _metrics(stage: Stage) -> None:
    """Every five minutes for two days; shards move for three hours, 2.7.0 is known for two."""
    count, step, moves, known = 576, 300, 36, 23
    store: Body = {"namespace": "farms", "store": "grain"}
    moved = whole(slope(0, 37, moves, noise=0))
    stage.metric("to-move", 'silo_shards_to_move{namespace="farms"}', [(store, [*[0.0] * (count - moves), *(TO_MOVE - one for one in moved)])], step_s=step)  # fmt: skip
    stage.metric("under-replicated", 'silo_shards_under_replicated{namespace="farms"}', [(store, [0.0] * count)], step_s=step)  # fmt: skip
    here: Body = {
        "exported_namespace": "silo-system",
        "namespace": "silo-system",
        "job": "olm-operator-metrics",
    }
    stage.metric("csv", 'csv_succeeded{exported_namespace="silo-system"}', [
        ({**here, "name": "silo-operator.v2.6.1", "version": "2.6.1"}, [*[1.0] * (count - known), *[0.0] * known]),
    ], step_s=step)  # fmt: skip
    stage.metric("reconciled", 'sum by (namespace, result) (rate(controller_runtime_reconcile_total{namespace="silo-system"}[5m]))', [
        ({"namespace": "silo-system", "result": "success"}, about(0.4, count, noise=0.2)),
        ({"namespace": "silo-system", "result": "error"}, [0.0] * count),
    ], step_s=step)  # fmt: skip
    stage.metric("p99", 'histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket{namespace="farms"}[5m])))', [
        ({"namespace": "farms", "service": "mill"}, about(0.041, count, noise=0.12)),
        ({"namespace": "farms", "service": "weigher"}, about(0.018, count, noise=0.12)),
    ], step_s=step)  # fmt: skip
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{namespace="farms",code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total{namespace="farms"}[5m]))', [
        ({"namespace": "farms", "service": "mill"}, about(0.0003, count, noise=0.9)),
        ({"namespace": "farms", "service": "weigher"}, about(0.0002, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
