"""Two faults at once: a client waits for less than its server has always taken, and a fourth copy asks for a fourth node."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The guide waits 300 ms for clips that take 400 ms as ever, so tours fail; elsewhere a fourth sorter wants a node of its own and there are three",
    half=Half.tuned,
    story=(
        "To be quicker when clips is away, the guide's timeout for it was set from 3 s to 300 ms. A clip takes about 400 ms, today as last month, so half of the tours"
        " fail and the desk in front is alerted about. A release of clips two hours ago changed nothing. In the depot the sorter was scaled to four two days ago,"
        " but no two of its pods may share a node. Neither has to do with the other."
    ),
    sources=[
        "https://pkg.go.dev/net/http#Client",
        "https://sre.google/sre-book/addressing-cascading-failures/",
        "https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity",
    ],
    labels={"alertname": "HighErrorRate", "severity": "critical", "namespace": "visit", "service": "desk"},
    annotations={"summary": "desk answers 20 % of its requests with errors."},
    causes=["ConfigMap/visit/guide-settings", "Deployment/visit/guide"],
    says=[["300ms"], ["clips"], ["timeout", "Timeout", "exceeded"]],
    innocent=["Deployment/visit/desk", "Service/visit/desk", "Deployment/visit/clips", "StatefulSet/visit/clip-store"],
    second=["Deployment/depot/sorter"],
    traits=frozenset({Trait.two_faults, Trait.innocent, Trait.metrics_only}),
)  # fmt: skip

SETTINGS = "listen: ':8080'\nclips:\n  url: http://clips.visit.svc.cluster.local:8080\n  timeout: {wait}\n  retries: 0\nplans:\n  url: http://plans.visit.svc.cluster.local:8080\n  timeout: 2s\n"


def play(stage: Stage) -> None:
    apart = {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"app": "sorter"}}, "topologyKey": "kubernetes.io/hostname"}]}}}  # fmt: skip
    stage.apply([
        *system(),
        config_map("visit/guide-settings", {"guide.yaml": SETTINGS.format(wait="3s")}),
        deployment("visit/guide", container("guide", "visit/guide:5.6.0", port=8080, ready="/ready", alive="/alive", mounts={"settings": "/etc/guide"}), replicas=3,
                   pod={"volumes": [{"name": "settings", "configMap": {"name": "guide-settings"}}]}),
        service("visit/guide", 8080),
        deployment("visit/clips", container("clips", "visit/clips:2.2.0", port=8080, ready="/ready", alive="/alive", cpu="300m", env={"STORE": "redis://clip-store.visit.svc:6379"})),
        service("visit/clips", 8080),
        stateful_set("visit/clip-store", container("redis", "redis:8.2.1", port=6379, memory=("512Mi", "1Gi"))),
        service("visit/clip-store", 6379, headless=True),
        deployment("visit/plans", container("plans", "visit/plans:1.9.3", port=8080, ready="/ready")),
        service("visit/plans", 8080),
        deployment("visit/desk", container("desk", "visit/desk:30.1.0", port=3000, ready="/up", env={"GUIDE_URL": "http://guide.visit.svc.cluster.local:8080"}), replicas=3),
        service("visit/desk", 80, 3000),
        deployment("visit/kiosk", container("kiosk", "visit/kiosk:4.0.7", port=3000, ready="/up", env={"GUIDE_URL": "http://guide.visit.svc.cluster.local:8080"})),
        service("visit/kiosk", 80, 3000),
        deployment("depot/sorter", container("sorter", "depot/sorter:8.0.2", port=8080, ready="/ready", env={"LANES": "12"}), replicas=3, pod=apart),
        service("depot/sorter", 8080),
        deployment("depot/scanner", container("scanner", "depot/scanner:3.3.1", port=8080, ready="/ready", env={"SORTER_URL": "http://sorter.depot.svc:8080"})),
        service("depot/scanner", 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=24, hours=5)
    stage.kubectl("scale", "deployment/sorter", "-n", "depot", "--replicas=4")
    stage.calm(unfinished=["depot/sorter"])
    stage.wait(days=2)
    stage.kubectl("set", "image", "deployment/clips", "clips=registry.example.com/visit/clips:2.2.1", "-n", "visit")  # fmt: skip
    stage.calm(unfinished=["depot/sorter"])
    stage.wait(hours=1, minutes=34)
    stage.edit("configmaps/visit/guide-settings", lambda body: body["data"].update({"guide.yaml": SETTINGS.format(wait="300ms")}))  # fmt: skip
    stage.restart("deployments/visit/guide")
    stage.calm(unfinished=["depot/sorter"])
    stage.wait(minutes=26)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=19)


def _logs(stage: Stage) -> None:
    late = (
        'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=ERROR msg="tour failed" tour=<100-999> err="Get \\"http://clips.visit.svc.cluster.local:8080/clips/<1000-9999>\\":'
        ' context deadline exceeded (Client.Timeout exceeded while awaiting headers)"'
    )
    well = 'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="tour" tour=<100-999> status=200 took=<210-299>ms'
    for n, pod in enumerate(stage.pods("visit/guide")):
        stage.log(f"visit/{pod['metadata']['name']}", printed(stage.ago(minutes=25, seconds=-4 * n), [
            'time=<%Y-%m-%dT%H:%M:%S.%3>Z level=INFO msg="guide 5.6.0 listens" addr=:8080',
            *[well, late, late] * 22,
        ], every_s=22))  # fmt: skip
    chatter(stage, "visit/clips", [
        '{"level":"info","msg":"GET /clips/<1000-9999>","status":200,"ms":<360-460>}',
        '{"level":"info","msg":"GET /clips/<1000-9999>","status":200,"ms":<330-430>}',
        '{"level":"info","msg":"GET /clips/<1000-9999>","status":200,"ms":<230-290>}',
    ], count=48)  # fmt: skip
    chatter(stage, "visit/clip-store", ["1:M <%d %b %Y %H:%M:%S.%3> * 100 changes in 300 seconds. Saving..."], count=5)  # fmt: skip
    chatter(stage, "visit/plans", ['{"level":"info","msg":"GET /plans/<1-90>","status":200,"ms":<9-30>}'])
    for name in ("desk", "kiosk"):
        chatter(stage, f"visit/{name}", [
            '{"level":50,"req":{"method":"GET","url":"/tours/<100-999>"},"res":{"statusCode":502},"err":{"message":"GET http://guide.visit.svc.cluster.local:8080/tours answered 502"},"msg":"request errored"}',
            '{"level":30,"req":{"method":"GET","url":"/"},"res":{"statusCode":200},"responseTime":<4-20>,"msg":"request completed"}',
            '{"level":30,"req":{"method":"GET","url":"/tours/<100-999>"},"res":{"statusCode":200},"responseTime":<240-330>,"msg":"request completed"}',
        ], count=30)  # fmt: skip
    for pod in stage.placed("depot/sorter", 3):
        chatter(
            stage, f"depot/{pod['metadata']['name']}", ["INFO sorter: lane <1-12>: <30-90> parcels a minute"]
        )
    chatter(stage, "depot/scanner", ["INFO scanner: POST /scan 202 <4-12>ms"])


def _metrics(stage: Stage) -> None:
    """Once a minute for two and a half hours; clips was released 123 minutes ago, the timeout was set 27 minutes ago."""
    count, since = 150, 27
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[2m])) / sum by (namespace, service) (rate(http_requests_total[2m]))', [
        ({"namespace": "visit", "service": "desk"}, [*about(0.0006, count - since, noise=0.8), *about(0.21, since)]),
        ({"namespace": "visit", "service": "kiosk"}, [*about(0.0004, count - since, noise=0.8), *about(0.19, since)]),
        ({"namespace": "visit", "service": "guide"}, [*about(0.0005, count - since, noise=0.8), *about(0.63, since)]),
        ({"namespace": "visit", "service": "clips"}, about(0.0003, count, noise=0.9)),
        ({"namespace": "visit", "service": "plans"}, about(0.0002, count, noise=0.9)),
    ])  # fmt: skip
    stage.metric("p95", "histogram_quantile(0.95, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[2m])))", [
        ({"namespace": "visit", "service": "clips"}, about(0.438, count, noise=0.05)),
        ({"namespace": "visit", "service": "plans"}, about(0.027, count, noise=0.1)),
        ({"namespace": "visit", "service": "guide"}, [*about(0.49, count - since, noise=0.05), *about(0.31, since, noise=0.01)]),
    ])  # fmt: skip
