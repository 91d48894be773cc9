"""A small sidecar that works in bursts is throttled as it has been for weeks; nobody waits for it."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="CPUThrottlingHigh of a sidecar that compresses snapshots once a minute, as on every day before",
    half=Half.tuned,
    story=(
        "The sidecar compresses for some seconds each minute under a CPU limit of 100m. It is throttled then, its runs"
        " end in time, and what the service answers is as fast as ever. Nothing was changed for weeks."
    ),
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/cputhrottlinghigh/",
        "https://github.com/kubernetes-monitoring/kubernetes-mixin/issues/108",
    ],
    labels={
        "alertname": "CPUThrottlingHigh",
        "namespace": "maps",
        "pod": "{pod:maps/tiles-}",
        "container": "snapshots",
        "severity": "info",
    },
    annotations={"description": "36.1% throttling of CPU in namespace maps for container snapshots."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)


def play(stage: Stage) -> None:
    snapshots = container("snapshots", "maps/snapshots:1.4.0", cpu="50m", memory=("64Mi", "128Mi"))
    snapshots["resources"]["limits"]["cpu"] = "100m"
    stage.apply(system())
    stage.apply([
        deployment("maps/tiles", container("tiles", "maps/tiles:8.3.1", port=8080, ready="/readyz", alive="/livez", cpu="500m", memory=("1Gi", "1536Mi")), snapshots, replicas=3),
        service("maps/tiles", 80, 8080),
        deployment("maps/geocoder", container("geocoder", "maps/geocoder:2.20.0", port=8080, ready="/status", memory=("1Gi", "2Gi"))),
        service("maps/geocoder", 80, 8080),
        stateful_set("maps/places", container("postgres", "postgis:16-3.4", port=5432, memory=("1Gi", "2Gi"))),
        service("maps/places", 5432, headless=True),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=38, hours=9)
    stage.heartbeat()
    for pod in stage.pods("maps/tiles"):
        name = f"maps/{pod['metadata']['name']}"
        chatter(stage, name, [
            '10.244.0.1 - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /tiles/12/<2100-2199>/<1300-1399>.mvt HTTP/1.1" 200 <8000-39999> 0.0<10-24>',
        ], count=40, container="tiles")  # fmt: skip
        chatter(stage, name, [
            'level=info ts=<%Y-%m-%dT%H:%M:%S.%3>Z msg="snapshot compressed" bytes=<180000-220000> took=<9-13>.<1-9>s next=60s',
        ], count=20, container="snapshots")  # fmt: skip
    chatter(
        stage,
        "maps/geocoder",
        ["<%Y-%m-%dT%H:%M:%S.%3>Z  INFO geocoder::http: 200 GET /search took=<12-44>ms"],
    )
    chatter(
        stage,
        "maps/places",
        ["<%Y-%m-%d %H:%M:%S.%3> UTC [28] LOG:  checkpoint starting: time"],
        count=5,
        minutes=25,
    )
    names = [p["metadata"]["name"] for p in stage.pods("maps/tiles")]
    stage.metric("throttled_ratio", 'sum by (pod, container) (increase(container_cpu_cfs_throttled_periods_total{namespace="maps"}[5m])) / sum by (pod, container) (increase(container_cpu_cfs_periods_total{namespace="maps"}[5m]))', [
        ({"namespace": "maps", "pod": name, "container": "snapshots"}, [[0.34, 0.36, 0.35, 0.33, 0.36, 0.34][(n + m) % 6] for n in range(168)])
        for m, name in enumerate(names)
    ], step_s=3600)  # fmt: skip
    stage.metric("tiles_p99_seconds", 'histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket{namespace="maps",service="tiles"}[5m])))', [
        ({"namespace": "maps", "service": "tiles"}, [0.031, 0.029, 0.03, 0.032] * 42),
    ], step_s=3600)  # fmt: skip
    stage.metric("snapshot_seconds", 'max by (namespace) (snapshot_duration_seconds{namespace="maps"})', [
        ({"namespace": "maps"}, [11.2, 12.4, 10.9, 13.1] * 42),
    ], step_s=3600)  # fmt: skip
    stage.fire(minutes_ago=21)
