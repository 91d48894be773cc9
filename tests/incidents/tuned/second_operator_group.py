"""A second OperatorGroup stops an operator's installation, while another program elsewhere lacks a setting."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A second OperatorGroup in a namespace keeps an operator from being installed",
    half=Half.tuned,
    story="A team installs a queue operator into a namespace that has an OperatorGroup already, and brings one of its own. "
    "At the same time an invoicing program in another namespace waits for a ConfigMap that nobody made.",
    sources=[
        "https://olm.operatorframework.io/docs/advanced-tasks/operator-scoping-with-operatorgroups/",
        "https://docs.openshift.com/container-platform/4.17/operators/understanding/olm/olm-understanding-operatorgroups.html",
    ],
    labels={
        "alertname": "CsvAbnormalFailedOver2Min",
        "namespace": "openshift-operator-lifecycle-manager",
        "exported_namespace": "messaging",
        "pod": "olm-operator-6c9f7d8b5-w4n2v",
        "name": "queue-operator.v1.8.2",
        "phase": "Failed",
        "reason": "TooManyOperatorGroups",
    },
    causes=["OperatorGroup/messaging/queue-team"],
    says=[["OperatorGroup"], ["queue-team"], ["messaging-scope"]],
    second=["Deployment/billing/invoicer"],
    traits=frozenset({Trait.two_faults}),
    authored=["olm status"],
)

OLM = """
apiVersion: operators.coreos.com/v1
kind: OperatorGroup
metadata: {name: messaging-scope, namespace: messaging}
spec: {targetNamespaces: [messaging]}
---
apiVersion: operators.coreos.com/v1alpha1
kind: CatalogSource
metadata: {name: community, namespace: olm}
spec: {sourceType: grpc, image: "registry.example.com/olm/community-index:v4.17", displayName: Community}
"""

ADDED = """
apiVersion: operators.coreos.com/v1
kind: OperatorGroup
metadata: {name: queue-team, namespace: messaging}
spec: {}
---
apiVersion: operators.coreos.com/v1alpha1
kind: Subscription
metadata: {name: queue-operator, namespace: messaging}
spec: {channel: stable, name: queue-operator, source: community, sourceNamespace: olm, installPlanApproval: Automatic}
"""

VERSION = """
apiVersion: operators.coreos.com/v1alpha1
kind: ClusterServiceVersion
metadata: {name: queue-operator.v1.8.2, namespace: messaging}
spec: {displayName: Queue Operator, version: 1.8.2, install: {strategy: deployment}}
"""

INVOICER = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: invoicer, namespace: billing}
spec:
  replicas: 1
  selector: {matchLabels: {app: invoicer}}
  template:
    metadata: {labels: {app: invoicer}}
    spec:
      containers:
      - name: invoicer
        image: registry.example.com/billing/invoicer:0.9.4
        envFrom: [{configMapRef: {name: invoicer-settings}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: invoicer-texts, namespace: billing}
data: {greeting: "Dear customer"}
"""


def play(stage: Stage) -> None:
    group = "operators.coreos.com"
    stage.crd(group, "v1", "OperatorGroup", "operatorgroups")
    for kind, plural in (
        ("CatalogSource", "catalogsources"),
        ("Subscription", "subscriptions"),
        ("ClusterServiceVersion", "clusterserviceversions"),
    ):
        stage.crd(group, "v1alpha1", kind, plural)
    stage.apply(OLM)
    stage.wait(days=70)
    ready = {
        "connectionState": {
            "address": "community.olm.svc:50051",
            "lastConnect": stage.stamp(minutes_ago=900),
            "lastObservedState": "READY",
        }
    }
    stage.status(f"catalogsources.{group}/olm/community", ready, manager="catalog-operator")
    stage.hold("billing/invoicer")
    stage.apply(INVOICER)
    stage.wait(minutes=9)
    missing = 'configmap "invoicer-settings" not found'
    stage.stuck(
        "billing/invoicer", "CreateContainerConfigError", missing, event=("Failed", f"Error: {missing}")
    )
    stage.apply(ADDED)
    stage.apply(VERSION, manager="catalog-operator")
    stage.wait(minutes=1)
    why = "csv created in namespace with multiple operatorgroups, can't pick one automatically"
    failed = {
        "phase": "Failed",
        "reason": "TooManyOperatorGroups",
        "message": why,
        "lastTransitionTime": stage.stamp(),
        "lastUpdateTime": stage.stamp(),
    }
    stage.status(
        f"clusterserviceversions.{group}/messaging/queue-operator.v1.8.2",
        {**failed, "conditions": [failed]},
        manager="olm",
    )
    healthy = {
        "type": "CatalogSourcesUnhealthy",
        "status": "False",
        "reason": "AllCatalogSourcesHealthy",
        "message": "all available catalogsources are healthy",
        "lastTransitionTime": stage.stamp(),
    }
    stage.status(
        f"subscriptions.{group}/messaging/queue-operator",
        {
            "currentCSV": "queue-operator.v1.8.2",
            "state": "UpgradePending",
            "conditions": [healthy],
            "lastUpdated": stage.stamp(),
        },
        manager="catalog-operator",
    )
    stage.event(
        stage.get(f"clusterserviceversions.{group}/messaging/queue-operator.v1.8.2"), "TooManyOperatorGroups", why,
        component="operator-lifecycle-manager",
    )  # fmt: skip
    stage.wait(minutes=13)
    stage.fire(minutes_ago=10)
