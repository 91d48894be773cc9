"""A kind's objects are stored at its old version; whoever reads them at the new one needs a converter that its Service no longer finds."""

from __future__ import annotations

from typing import Any

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="The Service of the queues' conversion webhook selects no pod since its labels were made uniform; the operator cannot list queues when it is moved",
    half=Half.tuned,
    story=(
        "Three days ago a chart's upgrade set `app.kubernetes.io/component: converter` in the Service's selector, while the"
        " pods still say `webhook`. The operator had its cache and went on. Today its pod was moved off a node; since then it"
        " waits for its cache, gives up after two minutes and starts again. The queues work; new ones are not made. The"
        " operator's release of this morning, one patch version, has nothing to do with it."
    ),
    sources=[
        "https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definition-versioning/",
        "https://github.com/OT-CONTAINER-KIT/redis-operator/issues/784",
        "https://github.com/external-secrets/external-secrets/issues/944",
        "https://github.com/kubernetes-sigs/controller-runtime/blob/main/pkg/internal/source/kind.go",
    ],
    labels={
        "alertname": "KubePodCrashLooping", "namespace": "messaging-system", "pod": "{pod:messaging-system/queue-operator}", "container": "manager",
        "severity": "warning", "job": "kube-state-metrics", "reason": "CrashLoopBackOff",
    },
    causes=["Service/messaging-system/queue-webhook"],
    says=[["selector", "selects no", "no endpoint", "no pod", "without pods"], ["conver"]],
    innocent=["Deployment/messaging-system/queue-operator", "Deployment/messaging-system/queue-webhook", "CustomResourceDefinition/_cluster/queues.messaging.example.com"],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip

GROUP = "messaging.example.com"
LABELS = {"app.kubernetes.io/name": "queues", "app.kubernetes.io/component": "webhook"}


def play(stage: Stage) -> None:
    webhook = deployment(
        "messaging-system/queue-webhook",
        container("webhook", "messaging/queue-webhook:0.14.1", port=9443, ready="/readyz"),
        labels=LABELS,
    )
    stage.apply([
        *system(),
        deployment("messaging-system/queue-operator", container("manager", "messaging/queue-operator:0.14.1", port=8081, ready="/readyz", alive="/healthz", args=["--leader-elect", "--cache-sync-timeout=2m"]), replicas=1),
        webhook,
        service("messaging-system/queue-webhook", 443, 9443, selector={**LABELS}),
        service("messaging-system/queue-operator-metrics", 8080, selector={"app": "queue-operator"}),
        stateful_set("messaging-system/broker", container("broker", "messaging/broker:4.1.3", port=5672, ready="/health"), replicas=3),
        service("messaging-system/broker", 5672, headless=True),
        deployment("orders/intake", container("intake", "orders/intake:6.0.1", port=8080, ready="/ready", env={"BROKER": "amqp://broker.messaging-system.svc.cluster.local:5672", "QUEUE": "incoming"}), replicas=3),
        service("orders/intake", 80, 8080),
        deployment("orders/packer", container("packer", "orders/packer:2.7.0", port=8080, ready="/ready", env={"BROKER": "amqp://broker.messaging-system.svc.cluster.local:5672"})),
        deployment("billing/posting", container("posting", "billing/posting:8.8.2", port=8080, ready="/ready", env={"BROKER": "amqp://broker.messaging-system.svc.cluster.local:5672"})),
    ])  # fmt: skip
    stage.calm()
    _kind(stage)
    stage.apply(
        [
            _queue(name, namespace)
            for name, namespace in (("incoming", "orders"), ("packed", "orders"), ("postings", "billing"))
        ]
    )
    stage.wait(days=61, hours=3)
    stage.edit(
        "services/messaging-system/queue-webhook",
        lambda body: body["spec"]["selector"].update({"app.kubernetes.io/component": "converter"}),
        manager="helm",
    )
    stage.wait(days=2, hours=23, minutes=30)
    stage.kubectl(
        "set", "image", "deployment/packer", "packer=registry.example.com/orders/packer:2.7.1", "-n", "orders"
    )
    stage.calm()
    stage.wait(minutes=12)
    old = stage.pod("messaging-system/queue-operator")["metadata"]["name"]
    stage.kubectl("cordon", stage.pod("messaging-system/queue-operator")["spec"]["nodeName"])
    stage.evict(f"messaging-system/{old}")
    stage.calm()
    for node in stage.kubelets:
        stage.kubectl("uncordon", node)
    at = stage.get("services/messaging-system/queue-webhook")["spec"]["clusterIP"]
    failed = (
        f'failed to list {GROUP}/v1, Kind=Queue: conversion webhook for {GROUP}/v1beta1, Kind=Queue failed: Post \\"https://queue-webhook.messaging-system.svc:443/convert?timeout=30s\\":'
        f" dial tcp {at}:443: connect: connection refused"
    )
    stage.crash("messaging-system/queue-operator", code=1, restarts=7, lives_s=121)
    run = [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"setup","msg":"starting manager"}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"Starting EventSource","controller":"queue","controllerGroup":"messaging.example.com","controllerKind":"Queue","source":"kind source: *v1.Queue"}',
        *[f'E<%m%d %H:%M:%S.%3>411       1 reflector.go:204] "Failed to watch" err="{failed}" logger="UnhandledError" reflector="sigs.k8s.io/controller-runtime/pkg/cache/internal/informers.go:114" type="*v1.Queue"'] * 7,
        '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"Could not wait for Cache to sync","controller":"queue","controllerGroup":"messaging.example.com","controllerKind":"Queue","error":"failed to wait for queue caches to sync kind source: *v1.Queue: timed out waiting for cache to be synced for Kind *v1.Queue"}',
        '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"setup","msg":"problem running manager","error":"failed to wait for queue caches to sync kind source: *v1.Queue: timed out waiting for cache to be synced for Kind *v1.Queue"}',
    ]  # fmt: skip
    for previous in (False, True):
        stage.log(
            "messaging-system/queue-operator",
            printed(stage.ago(seconds=133), run, every_s=13),
            previous=previous,
        )
    stage.heartbeat()
    chatter(
        stage,
        "messaging-system/queue-webhook",
        [
            '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"cert-watcher","msg":"certificate unchanged"}'
        ],
        count=4,
    )
    chatter(
        stage,
        "messaging-system/broker",
        [
            "<%Y-%m-%d %H:%M:%S.%3> [info] <0.<300-900>.0> accepting AMQP connection 10.244.<0-2>.<4-9>:<30000-60000> -> 10.244.1.8:5672"
        ],
        count=8,
    )
    chatter(stage, "orders/intake", ["<%Y-%m-%dT%H:%M:%S.%3>Z info  order taken in <3-12>ms"], count=16)
    chatter(stage, "orders/packer", ["<%Y-%m-%dT%H:%M:%S.%3>Z info  packed <1-9> parcels"], count=8)
    stage.fire(minutes_ago=9)


def _kind(stage: Stage) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    versions: list[dict[str, Any]] = [
        {"name": name, "served": True, "storage": name == "v1beta1", "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}
        for name in ("v1", "v1beta1")
    ]  # fmt: skip
    stage.apply([{
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"queues.{GROUP}", "annotations": {"meta.helm.sh/release-name": "queues", "meta.helm.sh/release-namespace": "messaging-system"}},
        "spec": {
            "group": GROUP, "scope": "Namespaced", "names": {"kind": "Queue", "plural": "queues", "singular": "queue"}, "versions": versions,
            "conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {
                "service": {"name": "queue-webhook", "namespace": "messaging-system", "path": "/convert", "port": 443},
            }}},
        },
    }])  # fmt: skip
    stage.kubectl("wait", "--for=condition=Established", f"crd/queues.{GROUP}", "--timeout=60s")


def _queue(name: str, namespace: str) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1beta1", "kind": "Queue", "metadata": {"name": name, "namespace": namespace},
        "spec": {"durable": True, "maxLength": 100000, "deadLetter": f"{name}-dead"},
    }  # fmt: skip
