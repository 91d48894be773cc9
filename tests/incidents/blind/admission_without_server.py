"""The server behind an admission webhook was scaled to zero; days later nobody can start pods."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="No pod can be made because the admission webhook that has to be asked has no server",
    half=Half.blind,
    story="image-verify was scaled to zero two days ago. Its webhook is asked about every new pod and fails closed. "
    "Running pods stay; when nodes are tidied up and two pods of points-api are evicted, nothing takes their place.",
    sources=[
        "https://kubernetes.io/docs/concepts/cluster-administration/admission-webhooks-good-practices/",
        "https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#failure-policy",
        "https://blog.jetstack.io/gke-webhook-outage/",
    ],
    labels={
        "alertname": "KubeDeploymentReplicasMismatch",
        "namespace": "loyalty",
        "deployment": "points-api",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    annotations={
        "summary": "Deployment has not matched the expected number of replicas.",
        "description": "Deployment loyalty/points-api has not matched the expected number of replicas for longer than 15 minutes.",
    },
    causes=["Deployment/admission/image-verify", "ValidatingWebhookConfiguration/_cluster/image-verify"],
    says=[["image-verify"], ["0 replicas", "scaled to 0", "scaled to zero", "replicas 0", "replicas: 0", "to 0", "no endpoint", "no ready endpoint", "no pods", "without endpoints", "zero"]],
    innocent=["Deployment/loyalty/points-api"],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip

WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata:
  name: image-verify
  labels: {app: image-verify}
webhooks:
- name: verify.images.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  failurePolicy: Fail
  timeoutSeconds: 1
  clientConfig:
    service: {namespace: admission, name: image-verify, path: /verify, port: 443}
  rules:
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods], scope: Namespaced}
  namespaceSelector:
    matchExpressions:
    - {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, admission]}
"""


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        deployment("admission/image-verify", container("server", "admission/image-verify:1.3.0", port=8443)),
        service("admission/image-verify", 443, 8443),
        deployment("loyalty/points-api", container("api", "loyalty/points-api:10.2.0", port=8080, ready="/readyz", alive="/livez"), replicas=4),
        service("loyalty/points-api", 80, 8080),
        stateful_set("loyalty/points-db", container("postgres", "library/postgres:17.6", port=5432, memory=("512Mi", "1Gi"))),
        service("loyalty/points-db", 5432, headless=True),
        deployment("vouchers/voucher-web", container("web", "vouchers/voucher-web:57", port=3000, ready="/health"), replicas=2),
        service("vouchers/voucher-web", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(hours=3)
    stage.apply(WEBHOOK)
    stage.wait(days=40)
    stage.kubectl("scale", "deployment/image-verify", "--replicas=0", "-n", "admission")
    stage.calm()
    stage.wait(days=2, hours=3)
    for pod in stage.pods("loyalty/points-api")[:2]:
        stage.evict(f"loyalty/{pod['metadata']['name']}")
    stage.cluster.until(
        "the webhook's refusal",
        lambda: "failed calling webhook" in stage.kubectl("get", "events", "-n", "loyalty", "-o", "jsonpath={.items[*].message}"),
        within_s=90,
    )  # fmt: skip
    stage.calm(unfinished=["loyalty/points-api"])
    for _ in range(2):
        stage.wait(minutes=12)
        stage.calm(unfinished=["loyalty/points-api"])
    chatter(stage, "loyalty/points-api", [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3Z>","caller":"server/access.go:31","msg":"request","method":"GET","path":"/v2/balance/<100000-999999>","status":200,"duration":0.0<10-99>}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3Z>","caller":"server/access.go:31","msg":"request","method":"POST","path":"/v2/redeem","status":200,"duration":0.1<10-99>}',
    ])  # fmt: skip
    chatter(stage, "vouchers/voucher-web", [
        '10.244.<0-2>.<4-30> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /vouchers/<1000-9999> HTTP/1.1" 200 <900-4000>',
    ])  # fmt: skip
    chatter(stage, "loyalty/points-db", [
        "<%Y-%m-%d %H:%M:%S.%3> UTC [28] LOG:  checkpoint complete: wrote <30-99> buffers (0.4%); 0 WAL file(s) added, 0 removed, 1 recycled",
    ], count=5)  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=9)
