"""A controller asks for everything every second; the API server lets others wait, and they alert."""

from __future__ import annotations

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, daemon_set, deployment, service, system

INCIDENT = Incident(
    title="inventory's sync lists every object of the cluster each second since its period was set without a unit, and other clients of the API server wait",
    half=Half.tuned,
    story=(
        "Fifty minutes ago the sync's RESYNC went from 10m to `1` (meant as an hour) and its cache was switched off. It now"
        " lists all secrets, config maps and pods once a second. The API server's priority level for workloads is full:"
        " requests of other controllers are refused with 429 or take seconds. Every object looks well. A dashboard's config"
        " and the delivery controller's log level were changed after that; both are innocent."
    ),
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubeapierrorbudgetburn/",
        "https://kubernetes.io/docs/concepts/cluster-administration/flow-control/",
        "https://kubernetes.io/docs/reference/instrumentation/metrics/",
        "https://github.com/kubernetes/kubernetes/blob/master/staging/src/k8s.io/client-go/rest/request.go",
    ],
    labels={"alertname": "KubeAPIErrorBudgetBurn", "severity": "critical", "long": "1h", "short": "5m", "cluster": "west"},
    annotations={"summary": "The API server is burning too much error budget."},
    causes=["Deployment/inventory/sync"],
    says=[["requests", "lists", "asks", "calls"], ["API server", "apiserver", "api-server", "Kubernetes API"]],
    innocent=[
        "Deployment/delivery/controller", "Deployment/secrets/external-secrets", "Deployment/monitoring/kube-state-metrics",
        "ConfigMap/monitoring/dashboards", "Node/_cluster/node-a", "Node/_cluster/node-b", "Node/_cluster/node-c", "Service/default/kubernetes",
    ],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
)  # fmt: skip

BEFORE, SINCE = 70, 50


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        deployment("inventory/sync", container("sync", "inventory/sync:1.12.0", port=8080, ready="/ready", alive="/alive", memory=("256Mi", "1Gi"), env={
            "RESYNC": "10m", "USE_CACHE": "true", "TARGET": "http://assets.inventory.svc.cluster.local:8080",
        }), replicas=2),
        deployment("inventory/assets", container("assets", "inventory/assets:3.2.0", port=8080, ready="/ready")),
        service("inventory/assets", 8080),
        deployment("delivery/controller", container("controller", "delivery/controller:2.14.3", port=8082, ready="/ready", env={"LOG_LEVEL": "info"}), replicas=1),
        deployment("secrets/external-secrets", container("external-secrets", "external-secrets:v0.19.2", port=8080, ready="/ready"), replicas=1),
        deployment("monitoring/kube-state-metrics", container("kube-state-metrics", "kube-state-metrics:v2.17.0", port=8080, ready="/readyz"), replicas=1),
        service("monitoring/kube-state-metrics", 8080),
        deployment("monitoring/grafana", container("grafana", "grafana:12.2.1", port=3000, ready="/api/health", mounts={"dashboards": "/var/lib/dashboards"}), replicas=1, pod={"volumes": [{"name": "dashboards", "configMap": {"name": "dashboards"}}]}),
        config_map("monitoring/dashboards", {"api.json": '{"title":"API","refresh":"1m"}'}),
        daemon_set("monitoring/node-exporter", container("node-exporter", "prom/node-exporter:v1.9.1", port=9100), pod={"tolerations": [{"operator": "Exists"}]}),
        deployment("lending/desk", container("desk", "lending/desk:10.1.0", port=8080, ready="/ready"), replicas=3),
        service("lending/desk", 80, 8080),
        deployment("lending/reminders", container("reminders", "lending/reminders:1.0.4", port=8080, ready="/ready"), replicas=1),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=25, hours=3)
    before = [pod["metadata"]["name"] for pod in stage.pods("inventory/sync")]
    before += [pod["metadata"]["name"] for pod in stage.pods("delivery/controller")]
    stage.kubectl("set", "env", "deployment/sync", "RESYNC=1", "USE_CACHE=false", "-n", "inventory")
    stage.calm()
    stage.wait(minutes=18)
    stage.kubectl("set", "env", "deployment/controller", "LOG_LEVEL=debug", "-n", "delivery")
    stage.calm()
    stage.wait(minutes=9)
    stage.edit(
        "configmaps/monitoring/dashboards",
        lambda body: body["data"].update({"api.json": '{"title":"API","refresh":"10s"}'}),
    )
    stage.wait(minutes=22)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage, before)
    stage.fire(minutes_ago=31)


def _logs(stage: Stage) -> None:
    for pod in stage.pods("inventory/sync"):
        stage.log(f"inventory/{pod['metadata']['name']}", printed(stage.ago(minutes=49), [
            '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"sync begins","objects":<41000-41900>}',
            'I<%m%d %H:%M:%S.%3>190       1 request.go:752] "Waited before sending request" delay="<1-4>.<100-999>s" reason="client-side throttling, not priority and fairness" verb="GET" URL="https://10.96.0.1:443/api/v1/secrets?limit=0"',
            'I<%m%d %H:%M:%S.%3>190       1 request.go:752] "Waited before sending request" delay="<1-4>.<100-999>s" reason="client-side throttling, not priority and fairness" verb="GET" URL="https://10.96.0.1:443/api/v1/configmaps?limit=0"',
        ] * 18, every_s=54))  # fmt: skip
    chatter(stage, "delivery/controller", [
        'time="<%Y-%m-%dT%H:%M:%S>Z" level=error msg="failed to list applications" error="the server has received too many requests and has asked us to try again later"',
        'time="<%Y-%m-%dT%H:%M:%S>Z" level=debug msg="refreshing" app=lending',
    ], count=26)  # fmt: skip
    chatter(stage, "secrets/external-secrets", [
        '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"controllers.ExternalSecret","msg":"could not get SecretStore","error":"Timeout: request did not complete within the allotted timeout"}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"controllers.ExternalSecret","msg":"reconciled secret"}',
    ], count=16)  # fmt: skip
    chatter(stage, "monitoring/kube-state-metrics", [
        'W<%m%d %H:%M:%S.%3>227       1 reflector.go:561] pkg/mod/k8s.io/client-go/tools/cache/reflector.go:243: failed to list *v1.Secret: the server has received too many requests and has asked us to try again later (get secrets)',
    ], count=9)  # fmt: skip
    chatter(stage, "lending/desk", ["<%Y-%m-%dT%H:%M:%S.%3>Z info  GET /loans 200 <4-20>ms"], count=14)
    chatter(stage, "inventory/assets", ["<%Y-%m-%dT%H:%M:%S.%3>Z info  PUT /objects 200 <40-90>ms"], count=20)


def _metrics(stage: Stage, gone: list[str]) -> None:
    """Two hours, a value a minute."""
    count = BEFORE + SINCE
    stage.metric("requests_by_resource", "sum by (verb, resource) (rate(apiserver_request_total[5m]))", [
        *(({"verb": "LIST", "resource": resource}, [*about(0.6, BEFORE, of=resource), *slope(30, level, 5), *about(level, SINCE - 5, of=resource)]) for resource, level in (("secrets", 96.0), ("configmaps", 101.0), ("pods", 99.0))),
        ({"verb": "WATCH", "resource": "pods"}, about(3.1, count)),
        ({"verb": "GET", "resource": "leases"}, about(24, count)),
        ({"verb": "PUT", "resource": "leases"}, about(23, count)),
    ])  # fmt: skip
    stage.metric("refused", 'sum by (flow_schema, priority_level, reason) (rate(apiserver_flowcontrol_rejected_requests_total[5m]))', [
        ({"flow_schema": "service-accounts", "priority_level": "workload-low", "reason": "queue-full"}, [*[0.0] * BEFORE, *slope(2, 61, 5), *about(63, SINCE - 5)]),
    ])  # fmt: skip
    stage.metric("in_use", "sum by (priority_level) (apiserver_flowcontrol_current_executing_seats)", [
        ({"priority_level": "workload-low"}, [*about(3, BEFORE, noise=0.3), *slope(60, 98, 5), *about(98, SINCE - 5, noise=0.01)]),
        ({"priority_level": "leader-election"}, about(1, count, noise=0.2)),
    ])  # fmt: skip
    stage.metric("p99", 'histogram_quantile(0.99, sum by (verb, le) (rate(apiserver_request_duration_seconds_bucket{verb!="WATCH"}[5m])))', [
        ({"verb": "LIST"}, [*about(0.21, BEFORE), *slope(2, 27, 5), *about(28, SINCE - 5)]),
        ({"verb": "GET"}, [*about(0.02, BEFORE), *slope(0.5, 6, 5), *about(6.4, SINCE - 5)]),
    ])  # fmt: skip
    # Pods that were replaced have series of their own, which end when those of their successors begin.
    clients = []
    for namespace, prefix, level, later, since in (
        ("inventory", "sync", 0.9, 148.0, SINCE), ("delivery", "controller", 6.2, 4.1, SINCE - 18), ("secrets", "external-secrets", 1.4, 0.9, 0),
        ("monitoring", "kube-state-metrics", 0.4, 0.7, 0),
    ):  # fmt: skip
        clients += [
            ({"namespace": namespace, "pod": name}, [*about(level, count - since, of=name), *[0.0] * since])
            for name in gone
            if name.startswith(prefix)
        ]
        for pod in stage.pods(f"{namespace}/{prefix}"):
            name = pod["metadata"]["name"]
            risen = [*slope(level, later, 5), *about(later, (since or SINCE) - 5, of=name)]
            past = [] if since else about(level, BEFORE, of=name)
            clients.append(({"namespace": namespace, "pod": name}, [*past, *risen]))
    stage.metric("clients", "sum by (namespace, pod) (rate(rest_client_requests_total[5m]))", clients)
