"""One Subscription asks for a channel its package does not have; no operator of the namespace is upgraded any more."""

from __future__ import annotations

from collections.abc import Mapping

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Body, Stage

INCIDENT = Incident(
    title="A Subscription with an unknown channel keeps OLM from upgrading its neighbours",
    half=Half.blind,
    story="OLM resolves all Subscriptions of a namespace as one. Somebody subscribes the cache operator to channel "
    "`stable-7`, which the package does not have, so resolution fails for the queue operator as well and its "
    "security release is not installed.",
    sources=[
        "https://olm.operatorframework.io/docs/troubleshooting/subscription/",
        "https://github.com/operator-framework/operator-lifecycle-manager/issues/1128",
        "https://docs.openshift.com/container-platform/4.16/operators/admin/olm-status.html",
    ],
    labels={
        "alertname": "OperatorUpgradePending",
        "namespace": "middleware",
        "name": "queue-operator",
        "channel": "stable",
        "package": "queue-operator",
        "installed": "queue-operator.v2.9.1",
        "severity": "warning",
    },
    annotations={
        "summary": "Subscription queue-operator has not installed a newer version that its channel offers."
    },
    causes=["Subscription/middleware/cache-operator"],
    says=[
        ["stable-7"],
        [
            "no operators found",
            "ConstraintsNotSatisfiable",
            "constraints not satisfiable",
            "ResolutionFailed",
        ],
    ],
    innocent=[
        "Subscription/middleware/queue-operator",
        "ClusterServiceVersion/middleware/queue-operator.v2.9.1",
        "Deployment/middleware/queue-operator",
    ],
    traits=frozenset({Trait.innocent}),
    authored=["olm objects and status", "olm events", "marketplace status"],
)

GROUP = "operators.coreos.com"
CATALOG = ("example-operators", "openshift-marketplace")
MANAGER = "catalog"

OPERATORS: Mapping[str, tuple[str, str, str]] = {
    "queue-operator": ("middleware", "stable", "2.9.1"),
    "search-operator": ("middleware", "stable", "1.4.3"),
    "metrics-operator": ("observing", "stable", "0.71.2"),
}
"""Subscription -> namespace, channel, installed version."""

CATALOG_POD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: catalog-operator, namespace: openshift-operator-lifecycle-manager}
spec:
  replicas: 1
  selector: {matchLabels: {app: catalog-operator}}
  template:
    metadata: {labels: {app: catalog-operator}}
    spec:
      containers:
      - {name: catalog-operator, image: "registry.example.com/openshift/operator-lifecycle-manager:4.16.9"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: olm-operator, namespace: openshift-operator-lifecycle-manager}
spec:
  replicas: 1
  selector: {matchLabels: {app: olm-operator}}
  template:
    metadata: {labels: {app: olm-operator}}
    spec:
      containers:
      - {name: olm-operator, image: "registry.example.com/openshift/operator-lifecycle-manager:4.16.9"}
"""


def play(stage: Stage) -> None:
    for version, kind, plural in (
        ("v1alpha1", "CatalogSource", "catalogsources"),
        ("v1alpha1", "Subscription", "subscriptions"),
        ("v1alpha1", "InstallPlan", "installplans"),
        ("v1alpha1", "ClusterServiceVersion", "clusterserviceversions"),
        ("v1", "OperatorGroup", "operatorgroups"),
    ):
        stage.crd(GROUP, version, kind, plural)
    stage.apply(CATALOG_POD)
    _catalog(stage)
    for name, (namespace, channel, version) in OPERATORS.items():
        _install(stage, name, namespace, channel, version)
    stage.calm()
    stage.wait(days=31, hours=5)

    stage.apply([_subscription("cache-operator", "middleware", "stable-7", "")], manager="Mozilla")
    stage.wait(seconds=8)
    said = (
        "constraints not satisfiable: no operators found in channel stable-7 of package cache-operator in the catalog "
        "referenced by subscription cache-operator, subscription cache-operator exists"
    )
    for name in ("queue-operator", "search-operator", "cache-operator"):
        _unresolved(stage, name, said)
    stage.wait(days=2, hours=20)
    _events(stage, said)
    lately = stage.ago(minutes=2)
    text = LOG.format(said=said, day=f"{lately:%Y-%m-%dT%H:%M}", klog=f"{lately:%m%d %H:%M}")
    stage.log(
        "openshift-operator-lifecycle-manager/catalog-operator", text, at=lately.replace(second=4), every_s=0
    )
    stage.fire(minutes_ago=14)


LOG = """
time="{day}:04Z" level=info msg="resolving sources" id=Zp3aN namespace=middleware
time="{day}:04Z" level=info msg="checking if subscriptions need update" id=Zp3aN namespace=middleware
I{klog}:04.310722       1 event.go:377] Event(v1.ObjectReference{{Kind:"Namespace", Namespace:"", Name:"middleware"}}): type: 'Warning' reason: 'ResolutionFailed' {said}
E{klog}:04.330871       1 queueinformer_operator.go:319] sync {{"update" "middleware"}} failed: {said}
"""


def _catalog(stage: Stage) -> None:
    name, namespace = CATALOG
    stage.apply([{
        "apiVersion": f"{GROUP}/v1alpha1", "kind": "CatalogSource", "metadata": {"name": name, "namespace": namespace},
        "spec": {"sourceType": "grpc", "image": "registry.example.com/catalogs/operators:2026.11", "displayName": "Example operators", "publisher": "Platform", "updateStrategy": {"registryPoll": {"interval": "45m"}}},
    }])  # fmt: skip
    stage.status(f"catalogsources.{GROUP}/{namespace}/{name}", {
        "connectionState": {"address": f"{name}.{namespace}.svc:50051", "lastConnect": stage.stamp(), "lastObservedState": "READY"},
        "registryService": {"port": "50051", "protocol": "grpc", "serviceName": name, "serviceNamespace": namespace, "createdAt": stage.stamp()},
    }, manager=MANAGER)  # fmt: skip


def _subscription(name: str, namespace: str, channel: str, starting: str) -> Body:
    source, source_namespace = CATALOG
    spec = {"channel": channel, "name": name, "source": source, "sourceNamespace": source_namespace, "installPlanApproval": "Automatic"}  # fmt: skip
    return {
        "apiVersion": f"{GROUP}/v1alpha1", "kind": "Subscription",
        "metadata": {"name": name, "namespace": namespace, "labels": {f"{GROUP}/{name}.{namespace}": ""}},
        "spec": {**spec, **({"startingCSV": starting} if starting else {})},
    }  # fmt: skip


def _install(stage: Stage, name: str, namespace: str, channel: str, version: str) -> None:
    """What OLM leaves behind after an operator was installed."""
    csv = f"{name}.v{version}"
    stage.apply([
        {"apiVersion": f"{GROUP}/v1", "kind": "OperatorGroup", "metadata": {"name": f"{namespace}-operators", "namespace": namespace}, "spec": {"targetNamespaces": [namespace]}},
        _subscription(name, namespace, channel, csv),
        {
            "apiVersion": f"{GROUP}/v1alpha1", "kind": "InstallPlan", "metadata": {"name": f"install-{name[:5]}", "namespace": namespace},
            "spec": {"approval": "Automatic", "approved": True, "clusterServiceVersionNames": [csv], "generation": 1},
        },
        {
            "apiVersion": f"{GROUP}/v1alpha1", "kind": "ClusterServiceVersion", "metadata": {"name": csv, "namespace": namespace},
            "spec": {"displayName": name.replace("-", " ").title(), "version": version, "install": {"strategy": "deployment", "spec": {"deployments": [{"name": name}]}}},
        },
    ])  # fmt: skip
    owner = stage.get(f"clusterserviceversions.{GROUP}/{namespace}/{csv}")
    stage.apply([{
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": name, "namespace": namespace, "labels": {"olm.owner": csv, "olm.owner.kind": "ClusterServiceVersion", "olm.owner.namespace": namespace},
            "ownerReferences": [{"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": csv, "uid": owner["metadata"]["uid"], "controller": False, "blockOwnerDeletion": False}],
        },
        "spec": {
            "replicas": 1, "selector": {"matchLabels": {"name": name}},
            "template": {"metadata": {"labels": {"name": name}}, "spec": {"containers": [{"name": "manager", "image": f"registry.example.com/operators/{name}:{version}"}]}},
        },
    }], manager="olm")  # fmt: skip
    now = stage.stamp()
    stage.status(f"clusterserviceversions.{GROUP}/{namespace}/{csv}", {
        "phase": "Succeeded", "reason": "InstallSucceeded", "message": "install strategy completed with no errors", "lastTransitionTime": now, "lastUpdateTime": now, "cleanup": {},
        "conditions": [
            {"phase": phase, "reason": reason, "message": words, "lastTransitionTime": now, "lastUpdateTime": now}
            for phase, reason, words in (
                ("Pending", "RequirementsUnknown", "requirements not yet checked"),
                ("InstallReady", "AllRequirementsMet", "all requirements found, attempting install"),
                ("Installing", "InstallSucceeded", "waiting for install components to report healthy"),
                ("Succeeded", "InstallSucceeded", "install strategy completed with no errors"),
            )
        ],
    }, manager="olm")  # fmt: skip
    stage.status(f"installplans.{GROUP}/{namespace}/install-{name[:5]}", {
        "phase": "Complete", "catalogSources": [],
        "conditions": [{"type": "Installed", "status": "True", "lastTransitionTime": now, "lastUpdateTime": now}],
    }, manager=MANAGER)  # fmt: skip
    stage.status(f"subscriptions.{GROUP}/{namespace}/{name}", {
        "state": "AtLatestKnown", "currentCSV": csv, "installedCSV": csv, "installPlanGeneration": 1, "lastUpdated": now,
        "installPlanRef": {"apiVersion": f"{GROUP}/v1alpha1", "kind": "InstallPlan", "name": f"install-{name[:5]}", "namespace": namespace},
        "conditions": [_healthy_catalogs(stage)],
    }, manager=MANAGER)  # fmt: skip


def _healthy_catalogs(stage: Stage) -> Body:
    return {
        "type": "CatalogSourcesUnhealthy", "status": "False", "reason": "AllCatalogSourcesHealthy",
        "message": "all available catalogsources are healthy", "lastTransitionTime": stage.stamp(),
    }  # fmt: skip


def _unresolved(stage: Stage, name: str, said: str) -> None:
    before = stage.get(f"subscriptions.{GROUP}/middleware/{name}").get("status", {}).get("conditions")
    failed = {"type": "ResolutionFailed", "status": "True", "reason": "ConstraintsNotSatisfiable", "message": said}  # fmt: skip
    conditions = [*(before or [_healthy_catalogs(stage)]), failed]
    stage.status(
        f"subscriptions.{GROUP}/middleware/{name}",
        {"conditions": conditions, "lastUpdated": stage.stamp()},
        manager=MANAGER,
    )


def _events(stage: Stage, said: str) -> None:
    stage.event(
        stage.cluster.get("namespace", "middleware"), "ResolutionFailed", said,
        component="operator-lifecycle-manager", count=214, minutes_ago=2,
    )  # fmt: skip
