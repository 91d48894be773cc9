"""A RoleBinding was deleted in a clean-up; the controller that used it is refused and ends."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="A clean-up deletes the binding that lets the dispatcher see its jobs",
    half=Half.tuned,
    story="`kubectl delete rolebinding dispatcher` was meant for another namespace. At its next start the dispatcher may "
    "not list jobs, waits for its caches in vain and exits.",
    sources=["https://kubernetes.io/docs/reference/access-authn-authz/rbac/"],
    labels=kube_prometheus(
        "KubePodCrashLooping", namespace="batch-work", pod="{pod:batch-work/dispatcher}", container="dispatcher",
        reason="CrashLoopBackOff", uid="0f0f6f0e-5b0c-4f5e-9a39-7d2d3f0a5c11",
    ),
    causes=["Role/batch-work/dispatcher", "ServiceAccount/batch-work/dispatcher"],
    says=[["jobs"], ["list"], ["binding", "bound", "binds"]],
    innocent=["Deployment/batch-work/archive"],
)  # fmt: skip

RBAC = [
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "batch-work"}}
    for name in ("dispatcher", "archive")
] + [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": name, "namespace": "batch-work"},
        "rules": [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": verbs}],
    }
    for name, verbs in (("dispatcher", ["get", "list", "watch", "create", "delete"]), ("archive", ["get"]))
]
BINDINGS = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": "batch-work"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "batch-work"}],
    }
    for name in ("dispatcher", "archive")
]
MANIFESTS = [
    *RBAC, *BINDINGS,
    deployment("batch-work/dispatcher", "batch/dispatcher:4.4.0", replicas=1, pod={"serviceAccountName": "dispatcher"}),
    deployment("batch-work/archive", "batch/archive:1.3.2", pod={"serviceAccountName": "archive"}, port=8080),
    service("batch-work/archive", 8080),
]  # fmt: skip

LOG = """
I1117 15:20:01.104112       1 main.go:88] "Starting dispatcher" version="4.4.0"
W1117 15:20:01.331870       1 reflector.go:561] k8s.io/client-go/informers/factory.go:160: failed to list *v1.Job: jobs.batch is forbidden: User "system:serviceaccount:batch-work:dispatcher" cannot list resource "jobs" in API group "batch" in the namespace "batch-work"
E1117 15:20:01.331905       1 reflector.go:158] "Unhandled Error" err="k8s.io/client-go/informers/factory.go:160: Failed to watch *v1.Job: failed to list *v1.Job: jobs.batch is forbidden: User \\"system:serviceaccount:batch-work:dispatcher\\" cannot list resource \\"jobs\\" in API group \\"batch\\" in the namespace \\"batch-work\\""
F1117 15:20:31.110418       1 main.go:131] timed out waiting for caches to sync
"""


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=14, hours=6)
    stage.delete("rolebindings/batch-work/dispatcher")
    stage.wait(minutes=4)
    stage.restart("deployments/batch-work/dispatcher")
    stage.calm()
    stage.crash("batch-work/dispatcher", code=255, log=LOG, restarts=5, lives_s=30)
    stage.wait(minutes=9)
    stage.fire(minutes_ago=4)
