"""An admission webhook's workload was scaled to nothing; rollouts of other namespaces cannot make pods."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="Nobody answers a webhook that must not fail, so no namespace gets a new pod",
    half=Half.tuned,
    story="The image policy's Deployment is scaled to zero to save a node and forgotten. Hours later a restart of the "
    "invoices loses an old pod and may not make a new one.",
    sources=[
        "https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#failure-policy",
        "https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/",
    ],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="billing", deployment="invoices"),
    causes=[
        "Deployment/policy/images", "ValidatingWebhookConfiguration/_cluster/images.policy.example.com",
        "Service/policy/images",
    ],
    says=[["scaled to 0", "0 replicas", "no endpoints", "no ready"], ["images"]],
    innocent=["Deployment/billing/invoices"],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip

WEBHOOK = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "images.policy.example.com"},
    "webhooks": [
        {
            "name": "images.policy.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 1,
            "clientConfig": {
                "service": {"name": "images", "namespace": "policy", "path": "/validate", "port": 443}
            },
            "namespaceSelector": {
                "matchExpressions": [
                    {
                        "key": "kubernetes.io/metadata.name",
                        "operator": "NotIn",
                        "values": ["kube-system", "policy"],
                    }
                ]
            },
            "rules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
            ],
        }
    ],
}
MANIFESTS = [
    deployment("policy/images", "policy/images:0.9.4", ports=[{"containerPort": 9443}]),
    service("policy/images", 443, target=9443),
    deployment(
        "billing/invoices", "billing/invoices:8.0.2", replicas=3, port=8080,
        spec={"strategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}},
    ),
    service("billing/invoices", 8080),
    deployment("billing/dunning", "billing/dunning:2.2.0", replicas=1),
    deployment("people/directory", "people/directory:1.40.0", port=8080),
]  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.apply([WEBHOOK])
    stage.wait(days=9)
    stage.kubectl("scale", "deployment/images", "--replicas=0", "-n", "policy")
    stage.calm()
    stage.wait(hours=3)
    stage.restart("deployments/billing/invoices")
    stage.cluster.until(
        "pods refused",
        lambda: any(
            e["reason"] == "FailedCreate"
            for e in stage.cluster.ask("GET", "/api/v1/namespaces/billing/events")["items"]
        ),
    )
    stage.calm(unfinished=["billing/invoices"])
    stage.wait(minutes=19)
    stage.fire(minutes_ago=4)
