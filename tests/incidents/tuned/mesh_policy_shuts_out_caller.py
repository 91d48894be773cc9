"""An access policy lets only the auditors in; the portal's log blames a database that is well."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.stage import Stage

INCIDENT = Incident(
    title="A new AuthorizationPolicy names one allowed namespace and thereby shuts out everybody else",
    half=Half.tuned,
    story="To open the records to the auditors, somebody adds a policy that allows their namespace. With the first ALLOW "
    "policy, whoever matches none is refused: the portal gets 403 and is no longer ready.",
    sources=[
        "https://istio.io/latest/docs/concepts/security/#implicit-enablement",
        "https://istio.io/latest/docs/reference/config/security/authorization-policy/",
    ],
    labels={"alertname": "KubePodNotReady", "namespace": "clinic", "pod": "{pod:clinic/portal}"},
    annotations={"description": "Portal is down again. Root cause: the records database ran out of connections, as in March."},
    causes=["AuthorizationPolicy/clinic/records-access"],
    says=[["audit"], ["portal"], ["403", "RBAC", "refused", "allows only"]],
    innocent=["Deployment/clinic/portal", "Deployment/clinic/records", "StatefulSet/clinic/records-db", "Service/clinic/records"],
    traits=frozenset({Trait.innocent, Trait.false_narrative}),
    authored=["mesh proxies"],
)  # fmt: skip


def workload(kind: str, name: str, image: str, port: int, more: str = "", extra: str = "") -> str:
    return f"""
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}, namespace: clinic}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: {name}}}}}
{extra}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      serviceAccountName: {name}
      containers:
      - name: {name}
        image: registry.example.com/clinic/{image}
        ports: [{{containerPort: {port}}}]
{more}
      - name: istio-proxy
        image: registry.example.com/istio/proxyv2:1.28.1
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {name}, namespace: clinic}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: clinic}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: {port}, targetPort: {port}}}]
---
"""


MANIFESTS = (
    workload("StatefulSet", "records-db", "postgres:17.2", 5432, extra="  serviceName: records-db")
    + workload("Deployment", "records", "records:3.3.0", 8080, '        env: [{name: DATABASE_HOST, value: "records-db:5432"}]')
    + workload(
        "Deployment", "portal", "portal:9.1.2", 8080,
        '        env: [{name: RECORDS_URL, value: "http://records.clinic:8080"}]\n        readinessProbe: {httpGet: {path: /ready, port: 8080}}',
    )
)  # fmt: skip

POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: records-access, namespace: clinic}
spec:
  selector: {matchLabels: {app: records}}
  action: ALLOW
  rules:
  - from: [{source: {namespaces: [audit]}}]
"""


def play(stage: Stage) -> None:
    stage.crd("security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies")
    stage.crd("security.istio.io", "v1", "PeerAuthentication", "peerauthentications")
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=6)
    stage.apply(POLICY)
    stage.wait(minutes=4)
    stage.unready("clinic/portal", "HTTP probe failed with statuscode: 503", failures=20)
    lines = [
        "WARN readiness: GET http://records.clinic:8080/health answered 403: RBAC: access denied",
        "ERROR root cause: connection pool of records-db exhausted, restart the database",
    ] * 5
    stage.log("clinic/portal", "\n".join(lines), container="portal", every_s=10)
    stage.log(
        "clinic/records-db", "LOG:  checkpoint complete: wrote 41 buffers (0.3%)", container="records-db"
    )
    stage.wait(minutes=7)
    stage.fire(minutes_ago=5)
