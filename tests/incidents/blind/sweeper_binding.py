"""A RoleBinding was edited while accounts were renamed; the controller that it served is refused."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The preview sweeper may no longer list what it sweeps, because its RoleBinding names another account",
    half=Half.blind,
    story="Somebody renames service accounts and edits the RoleBinding in previews ahead of the rename: its subject is "
    "now sweeper-bot, which was never made. The running sweeper keeps its old account and gets 403.",
    sources=[
        "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects",
        "https://kubernetes.io/docs/reference/access-authn-authz/rbac/#rolebinding-and-clusterrolebinding",
    ],
    labels={
        "alertname": "SweepOverdue",
        "namespace": "platform-tools",
        "deployment": "sweeper",
        "job": "sweeper",
        "severity": "warning",
    },
    annotations={
        "summary": "No preview was swept for 15 minutes",
        "description": "The last successful sweep of platform-tools/sweeper was more than 15 minutes ago.",
    },
    causes=["RoleBinding/previews/sweeper-access"],
    says=[["sweeper-bot", "subject"], ["forbidden", "403", "cannot list", "may not list", "not allowed"]],
    innocent=["Deployment/platform-tools/sweeper"],
    traits=frozenset({Trait.innocent}),
)

ACCESS = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: sweeper, namespace: platform-tools}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: sweeper-access, namespace: previews}
rules:
- {apiGroups: [apps], resources: [deployments], verbs: [get, list, watch, delete]}
- {apiGroups: [""], resources: [services, configmaps], verbs: [get, list, watch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: sweeper-access, namespace: previews}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: sweeper-access}
subjects:
- {kind: ServiceAccount, name: sweeper, namespace: platform-tools}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: notifier, namespace: platform-tools}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: notifier-view, namespace: previews}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects:
- {kind: ServiceAccount, name: notifier, namespace: platform-tools}
"""


def play(stage: Stage) -> None:
    stage.apply(ACCESS)
    stage.apply([
        *system(),
        deployment("platform-tools/sweeper", container("sweeper", "platform/sweeper:1.6.0", port=8080, ready="/readyz", alive="/healthz"), replicas=1, pod={"serviceAccountName": "sweeper"}),
        deployment("platform-tools/notifier", container("notifier", "platform/notifier:0.22.0", port=8080, ready="/readyz"), replicas=1, pod={"serviceAccountName": "notifier"}),
        deployment("previews/pr-1841", container("web", "shop/web:pr-1841", port=3000, ready="/"), replicas=1),
        service("previews/pr-1841", 80, 3000),
        deployment("previews/pr-1852", container("web", "shop/web:pr-1852", port=3000, ready="/"), replicas=1),
        service("previews/pr-1852", 80, 3000),
        stateful_set("ci/cache", container("minio", "ci/minio:2026.9", port=9000)),
        service("ci/cache", 9000, headless=True),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=15, hours=23)

    def renamed(body: Body) -> None:
        body["subjects"][0]["name"] = "sweeper-bot"

    stage.edit("rolebinding/previews/sweeper-access", renamed)
    stage.wait(minutes=4)
    stage.unready("platform-tools/sweeper", "HTTP probe failed with statuscode: 500", failures=3)
    stage.wait(minutes=29)
    stage.unready("platform-tools/sweeper", "HTTP probe failed with statuscode: 500", failures=174)
    refused = (
        '"Failed to watch" err="failed to list {kind}: {what} is forbidden: User \\"system:serviceaccount:platform-tools:sweeper\\" '
        'cannot list resource \\"{plain}\\" in API group \\"{group}\\" in the namespace \\"previews\\"" logger="UnhandledError" '
        'reflector="k8s.io/client-go/informers/factory.go:160" type="{kind}"'
    )  # fmt: skip
    chatter(stage, "platform-tools/sweeper", [
        "E<%m%d %H:%M:%S.%f>       1 reflector.go:205] " + refused.format(kind="*v1.Deployment", what="deployments.apps", plain="deployments", group="apps"),
        "E<%m%d %H:%M:%S.%f>       1 reflector.go:205] " + refused.format(kind="*v1.Service", what="services", plain="services", group=""),
        'I<%m%d %H:%M:%S.%f>       1 sweep.go:88] "Skipping sweep, caches have not synced"',
    ], count=42, minutes=28)  # fmt: skip
    chatter(stage, "platform-tools/notifier", [
        'I<%m%d %H:%M:%S.%f>       1 notify.go:41] "Checked previews" count=2 changed=0',
    ])  # fmt: skip
    chatter(stage, "previews/pr-18", ['{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3Z>","pid":1,"req":{"method":"GET","url":"/"},"res":{"statusCode":200},"responseTime":<2-9>,"msg":"request completed"}'])  # fmt: skip
    stage.metric("sweep-age", 'time() - sweeper_last_success_timestamp_seconds', [({"job": "sweeper"}, [60 * (n % 5) for n in range(12)] + [60 * n for n in range(2, 32)])])  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=15)
