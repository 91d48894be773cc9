"""A neighbour without a CPU limit takes a whole node; the pods that share it are slow and look well."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, system

INCIDENT = Incident(
    title="A video encoder without a CPU limit saturates the node that a search pod shares",
    half=Half.tuned,
    story="Somebody let the encoder use as many threads as it finds. It takes nearly all of node-b's four cores; the search pod there answers slowly, those on other nodes as ever.",
    sources=[
        "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
        "https://docs.kernel.org/accounting/psi.html",
        "https://www.brendangregg.com/usemethod.html",
    ],
    labels={
        "alertname": "SearchLatencyHigh",
        "severity": "warning",
        "namespace": "discovery",
        "service": "finder",
    },
    annotations={"summary": "99th percentile of finder's requests is above 800 ms for 15 minutes."},
    causes=["Deployment/media/encoder"],
    says=[["node-b"], ["cpu"]],
    innocent=["Deployment/discovery/finder"],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
)

PAST, SINCE = 60, 40


def play(stage: Stage) -> None:
    stage.kubectl("label", "node", "node-b", "scratch=nvme")
    finder = container("finder", "discovery/finder:8.3.0", port=8080, ready="/ready", alive="/alive", cpu="400m",
                       memory=("512Mi", "1Gi"))  # fmt: skip
    spread = {"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "finder"}},
    }]}  # fmt: skip
    encoder = container(
        "encoder", "media/encoder:1.19.2", cpu="500m", memory=("1Gi", "4Gi"), env={"THREADS": "2"}
    )
    stage.apply([
        *system(),
        deployment("discovery/finder", finder, replicas=3, pod=spread), service("discovery/finder", 8080),
        deployment("discovery/suggest", container("suggest", "discovery/suggest:2.0.4", port=8080, ready="/ready")),
        service("discovery/suggest", 8080),
        deployment("media/encoder", encoder, replicas=1, pod={"nodeSelector": {"scratch": "nvme"}},
                   strategy={"type": "Recreate"}),
        deployment("media/catalogue", container("catalogue", "media/catalogue:4.4.1", port=8080, ready="/ready")),
        service("media/catalogue", 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=31, hours=2)
    stage.kubectl("set", "env", "deployment/encoder", "THREADS=auto", "-n", "media")
    stage.calm()
    stage.wait(minutes=SINCE)
    chatter(stage, "discovery/finder", [
        '{"level":"info","msg":"query","hits":<12-480>,"shards":6}',
        '{"level":"info","msg":"query","hits":<3-90>,"shards":6}',
    ])  # fmt: skip
    chatter(stage, "media/encoder", [
        "frame=<1000-9999> fps=<88-97> q=28.0 size=<20000-90000>kB bitrate=<3900-4400>kbits/s speed=3.6x",
    ])  # fmt: skip
    chatter(stage, "media/catalogue", ['{"level":"info","msg":"listed","titles":<20-50>}'])
    _metrics(stage)
    stage.fire(minutes_ago=12)


def _metrics(stage: Stage) -> None:
    used, slow = [], []
    levels = {"finder": (0.42, 0.41), "suggest": (0.08, 0.08), "catalogue": (0.05, 0.05)}
    for place in ("discovery/finder", "discovery/suggest", "media/catalogue"):
        namespace, name = place.split("/")
        for pod in stage.pods(f"{place}-"):
            there = pod["metadata"]["name"]
            beside = name == "finder" and pod["spec"]["nodeName"] == "node-b"
            before, now = levels[name]
            labels = {"namespace": namespace, "pod": there, "container": name}
            used.append(
                (labels, [*about(before, PAST, of=there), *about(0.29 if beside else now, SINCE, of=there)])
            )
            if name == "finder":
                slow.append(({"namespace": namespace, "service": name, "pod": there},
                             [*about(0.19, PAST, of=there), *about(1.62 if beside else 0.2, SINCE, of=there)]))  # fmt: skip
    (encoder,) = stage.pods("media/encoder")
    used.append((
        {"namespace": "media", "pod": encoder["metadata"]["name"], "container": "encoder"}, about(3.38, SINCE - 1)
    ))  # fmt: skip
    stage.metric(
        "cpu-usage", "sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total[5m]))", used
    )
    stage.metric(
        "latency-by-pod", 'histogram_quantile(0.99, sum by (namespace, service, pod, le) (rate(http_request_duration_seconds_bucket{service="finder"}[5m])))', slow
    )  # fmt: skip

    def by_node(query_name: str, query: str, before: float, now: float, *, noise: float = 0.03) -> None:
        stage.metric(query_name, query, [
            ({"instance": node, "job": "node-exporter"},
             [*about(before, PAST, of=node), *about(now if node == "node-b" else before, SINCE, of=node,
                                                    noise=0.005 if node == "node-b" else noise)])
            for node in stage.kubelets
        ])  # fmt: skip

    by_node(
        "node-cpu", '1 - avg by (instance, job) (rate(node_cpu_seconds_total{mode="idle"}[5m]))', 0.33, 0.988
    )
    by_node("node-load", "node_load1", 1.4, 11.6)
    by_node("node-cpu-waiting", "rate(node_pressure_cpu_waiting_seconds_total[5m])", 0.02, 0.71)
