"""Argo CD cannot deploy a release: a Kyverno policy was edited and allows only a registry that nobody uses."""

from __future__ import annotations

from typing import Any

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="A Kyverno policy that allows registry.example.org alone turns away every deployment from registry.example.com",
    half=Half.tuned,
    story="The policy's pattern was rewritten two hours ago with a wrong top-level domain. What runs goes on running; the first release after it, of catering/menus, is denied and its Application stays OutOfSync.",
    sources=[
        "https://kyverno.io/docs/policy-types/cluster-policy/validate/",
        "https://kyverno.io/policies/best-practices/restrict-image-registries/restrict-image-registries/",
        "https://argo-cd.readthedocs.io/en/stable/user-guide/auto_sync/",
    ],
    labels={
        "alertname": "ArgoCDAppOutOfSync",
        "severity": "warning",
        "namespace": "argocd",
        "name": "menus",
        "project": "catering",
        "dest_namespace": "catering",
        "sync_status": "OutOfSync",
        "job": "argocd-metrics",
    },
    causes=["ClusterPolicy/_cluster/restrict-image-registries"],
    says=[["registry.example.org"], ["restrict-image-registries", "denied", "blocked"]],
    innocent=["Application/argocd/menus", "Deployment/catering/menus"],
    traits=frozenset({Trait.innocent}),
    authored=["argocd status", "argocd events", "kyverno status", "kyverno denial"],
)

APPS = ("menus", "orders", "stock")
WAS, IS = "4f1d0c0a6b7e92d51c3a1f0e8b9d7c6a5e4f3d21", "b7c9e2a1f6d34805c1a7e9b2d8f60413c5a2e7d9"
DENIED = (
    'admission webhook "validate.kyverno.svc-fail" denied the request: \n\n'
    "resource Deployment/catering/menus was blocked due to the following policies \n\n"
    "restrict-image-registries:\n"
    "  autogen-validate-registries: 'validation error: Images may come from our registry only.\n"
    "    rule autogen-validate-registries failed at path /spec/template/spec/containers/0/image/'\n"
)
FAILED = f'error when patching "/dev/shm/2719638403": {DENIED}'


def play(stage: Stage) -> None:
    stage.crd("argoproj.io", "v1alpha1", "Application", "applications")
    stage.crd("kyverno.io", "v1", "ClusterPolicy", "clusterpolicies", namespaced=False)
    stage.apply([
        *system(),
        deployment("argocd/argocd-application-controller", container("application-controller", "argoproj/argocd:v3.2.0", port=8082), replicas=1),
        deployment("kyverno/kyverno-admission-controller", container("kyverno", "kyverno/kyverno:v1.16.0", port=9443), replicas=3),
        service("kyverno/kyverno-svc", 443, 9443, selector={"app": "kyverno-admission-controller"}),
        _policy("restrict-image-registries", "validate-registries", "Images may come from our registry only.", {"image": "registry.example.com/*"}),
        _policy("disallow-latest-tag", "validate-image-tag", "Using a mutable image tag e.g. 'latest' is not allowed.", {"image": "!*:latest"}),
        _policy("require-requests", "validate-resources", "CPU and memory requests are required.", {"resources": {"requests": {"memory": "?*", "cpu": "?*"}}}),
        *(_application(name) for name in APPS),
        *(service(f"catering/{name}", 8080) for name in APPS),
    ])  # fmt: skip
    stage.apply([
        deployment("catering/menus", container("menus", "catering/menus:7.0.3", port=8080, ready="/ready")),
        deployment("catering/orders", container("orders", "catering/orders:5.8.0", port=8080, ready="/ready"), replicas=3),
        deployment("catering/stock", container("stock", "catering/stock:2.4.6", port=8080, ready="/ready")),
    ], manager="argocd-controller")  # fmt: skip
    stage.calm()
    for name in ("restrict-image-registries", "disallow-latest-tag", "require-requests"):
        stage.status(f"clusterpolicies/_cluster/{name}", {
            "ready": True, "rulecount": {"generate": 0, "mutate": 0, "validate": 1, "verifyimages": 0},
            "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "Ready", "lastTransitionTime": stage.stamp()}],
        }, manager="kyverno")  # fmt: skip
    for name in APPS:
        _in_sync(stage, name)
    stage.wait(days=44, hours=20)

    def rewrite(policy: Body) -> None:
        pattern = policy["spec"]["rules"][0]["validate"]["pattern"]
        pattern["spec"]["containers"] = [{"image": "registry.example.org/*"}]

    stage.edit("clusterpolicies/_cluster/restrict-image-registries", rewrite)
    stage.wait(hours=1, minutes=40)
    _denied(stage)
    stage.wait(minutes=18)
    app = stage.get("applications/argocd/menus")
    stage.event(
        app,
        "OperationStarted",
        f"Initiated automated sync to '{IS}'",
        kind="Normal",
        component="argocd-application-controller",
        minutes_ago=18,
    )
    stage.event(app, "OperationCompleted", f"Sync operation to {IS} failed: one or more objects failed to apply, reason: {FAILED} (retried 5 times).",
                component="argocd-application-controller", minutes_ago=15)  # fmt: skip
    policy = stage.get("clusterpolicies/_cluster/restrict-image-registries")
    stage.event(policy, "PolicyViolation", "Deployment catering/menus: [autogen-validate-registries] fail (blocked); validation error: Images may come from our registry only. rule autogen-validate-registries failed at path /spec/template/spec/containers/0/image/",
                component="kyverno-admission", count=6, minutes_ago=15)  # fmt: skip
    stage.log("argocd/argocd-application-controller", printed(stage.ago(minutes=18), [
        f"time=\"<%Y-%m-%dT%H:%M:%SZ>\" level=info msg=\"Initiated automated sync to '{IS}'\" application=argocd/menus",
        'time="<%Y-%m-%dT%H:%M:%SZ>" level=info msg="Applying resource Deployment/menus in cluster: https://10.96.0.1:443, namespace: catering"',
        'time="<%Y-%m-%dT%H:%M:%SZ>" level=warning msg="Apply failed: admission webhook \\"validate.kyverno.svc-fail\\" denied the request" application=argocd/menus',
        'time="<%Y-%m-%dT%H:%M:%SZ>" level=info msg="Skipping auto-sync: failed previous sync attempt to b7c9e2a" application=argocd/menus',
        'time="<%Y-%m-%dT%H:%M:%SZ>" level=info msg="Reconciliation completed" application=argocd/orders',
    ], every_s=170))  # fmt: skip
    chatter(
        stage,
        "kyverno/kyverno-admission",
        [
            '{"level":"info","logger":"webhooks.resource.validate","msg":"validation passed","kind":"Pod","took":"<2-9>ms"}'
        ],
    )
    chatter(stage, "catering/orders", ['{"level":"info","msg":"order taken","dishes":<1-9>}'])
    chatter(stage, "catering/menus", ['{"level":"info","msg":"menu served","locale":"de"}'])
    stage.fire(minutes_ago=3)


def _policy(name: str, rule: str, message: str, of_container: Body) -> Body:
    return {
        "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": name},
        "spec": {
            "background": True, "validationFailureAction": "Enforce",
            "rules": [{
                "name": rule, "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
                "exclude": {"any": [{"resources": {"namespaces": ["kube-system", "kyverno"]}}]},
                "validate": {"message": message, "pattern": {"spec": {"containers": [of_container]}}},
            }],
        },
    }  # fmt: skip


def _application(name: str) -> Body:
    return {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": name, "namespace": "argocd"},
        "spec": {
            "project": "catering", "destination": {"server": "https://kubernetes.default.svc", "namespace": "catering"},
            "source": {"repoURL": "https://git.example.com/catering/deploy.git", "path": name, "targetRevision": "main"},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}, "retry": {"limit": 5}},
        },
    }  # fmt: skip


def _resources(name: str, status: str) -> list[Body]:
    return [
        {"kind": "Service", "name": name, "namespace": "catering", "version": "v1", "status": "Synced", "health": {"status": "Healthy"}},
        {"group": "apps", "kind": "Deployment", "name": name, "namespace": "catering", "version": "v1", "status": status, "health": {"status": "Healthy"}},
    ]  # fmt: skip


def _in_sync(stage: Stage, name: str) -> None:
    stage.status(f"applications/argocd/{name}", {
        "sync": {"status": "Synced", "revision": WAS}, "health": {"status": "Healthy"}, "resources": _resources(name, "Synced"),
        "operationState": {"phase": "Succeeded", "message": "successfully synced (all tasks run)", "startedAt": stage.stamp(), "finishedAt": stage.stamp(),
                           "operation": {"sync": {"revision": WAS}}},
    }, manager="argocd-application-controller")  # fmt: skip


def _denied(stage: Stage) -> None:
    now = stage.stamp()
    stage.status("applications/argocd/menus", {
        "sync": {"status": "OutOfSync", "revision": IS}, "health": {"status": "Healthy"}, "reconciledAt": now, "resources": _resources("menus", "OutOfSync"),
        "operationState": {
            "phase": "Failed", "startedAt": now, "finishedAt": now, "retryCount": 5,
            "message": f"one or more objects failed to apply, reason: {FAILED} (retried 5 times).",
            "operation": {"initiatedBy": {"automated": True}, "sync": {"revision": IS}},
            "syncResult": {"revision": IS, "resources": [
                {"kind": "Service", "name": "menus", "namespace": "catering", "version": "v1", "status": "Synced", "message": "service/menus unchanged", "syncPhase": "Sync"},
                {"group": "apps", "kind": "Deployment", "name": "menus", "namespace": "catering", "version": "v1", "status": "SyncFailed", "message": FAILED, "hookPhase": "Failed", "syncPhase": "Sync"},
            ]},
        },
        "conditions": [{"type": "SyncError", "message": f"Failed last sync attempt to [{IS}]: one or more objects failed to apply, reason: {FAILED} (retried 5 times).", "lastTransitionTime": now}],
    }, manager="argocd-application-controller")  # fmt: skip
