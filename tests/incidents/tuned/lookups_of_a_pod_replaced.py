"""A rule counts restarts of six hours; the pod that it names was replaced an hour ago by a release that ends them."""

from __future__ import annotations

from tests.incidents import runs
from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

GONE = "geo-c7758ff55-t7kfx"
"""One of the pods of the release before; its name is in the alert and nowhere in the cluster."""

INCIDENT = Incident(
    title="PodRestartsOften names a pod of release 5.2.0 of geo, which 5.2.1 replaced seventy minutes ago; the rule adds up six hours",
    half=Half.tuned,
    story=(
        "Release 5.2.0 of the address search ended with a segmentation fault a few times an hour. 5.2.1 has been out for seventy minutes and none of its pods was started again."
        " increase(...[6h]) still has the old pods' series in its window and keeps on naming them until the afternoon. A pod of the tiles was killed for memory three weeks ago"
        " and the profiles of the router were edited twenty-five minutes ago: nobody was hurt by either."
    ),
    sources=[
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#increase",
        "https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/workload/pod-metrics.md",
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping/",
    ],
    labels={**kube_prometheus("PodRestartsOften", namespace="maps", pod=GONE, uid="0b7be7e2-0f53-4e0f-8d0c-4f0f5a0f6a11"), "container": "geo"},
    annotations={"summary": f"Container geo of {GONE} was started again 14 times within six hours."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        deployment("maps/geo", container("geo", "maps/geo:5.1.4", port=8080, ready="/ready", alive="/alive", memory=("512Mi", "1Gi"), env={"PLACES_DB": "places.maps.svc:5432"}), replicas=3, revisionHistoryLimit=4),
        service("maps/geo", 80, 8080),
        stateful_set("maps/places", container("postgres", "postgis:17-3.5", port=5432, memory=("1Gi", "2Gi"))), service("maps/places", 5432, headless=True),
        deployment("maps/tiles", container("tiles", "maps/tiles:3.3.0", port=8080, ready="/ready", memory=("256Mi", "768Mi"))), service("maps/tiles", 80, 8080),
        config_map("maps/router-profiles", {"profiles.yaml": "car: {toll: true}\nbike: {hills: 0.6}\n"}),
        deployment("maps/router", container("router", "maps/router:9.0.2", port=8080, ready="/ready", mounts={"profiles": "/etc/router"}), pod={"volumes": [{"name": "profiles", "configMap": {"name": "router-profiles"}}]}),
        service("maps/router", 80, 8080),
        deployment("web/planner", container("planner", "web/planner:27.4.0", port=3000, ready="/up", env={"GEO_URL": "http://geo.maps.svc", "TILES_URL": "http://tiles.maps.svc", "ROUTER_URL": "http://router.maps.svc"}), replicas=3),
        service("web/planner", 80, 3000),
        runs.cron_job("maps/places-import", "30 2 * * 0", container("import", "maps/import:2.2.0"), suspend=True),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "tiles-v2", "namespace": "maps"}, "spec": {"selector": {"app": "tiles", "track": "v2"}, "ports": [{"port": 80, "targetPort": 8080}]}},
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=1, hours=3)
    stage.recovered(f"maps/{stage.pods('maps/tiles')[0]['metadata']['name']}", restarts=2, code=137, reason="OOMKilled", lived_s=90000)  # fmt: skip
    stage.wait(days=20, hours=20, minutes=40)
    _release(stage, "5.2.0")
    stage.wait(hours=4, minutes=5)
    _release(stage, "5.2.1")
    stage.wait(minutes=45)
    stage.edit("configmaps/maps/router-profiles", lambda body: body["data"].update({"profiles.yaml": "car: {toll: true}\nbike: {hills: 0.5}\n"}))  # fmt: skip
    stage.wait(minutes=25)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=88)


def _release(stage: Stage, version: str) -> None:
    stage.kubectl("set", "image", "deployment/geo", f"geo=registry.example.com/maps/geo:{version}", "-n", "maps")  # fmt: skip
    stage.calm()


def _logs(stage: Stage) -> None:
    for n, pod in enumerate(stage.pods("maps/geo-")):
        stage.log(f"maps/{pod['metadata']['name']}", printed(stage.ago(minutes=69, seconds=-7 * n), [
            '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"geo 5.2.1 listens on :8080","index":"2026-11-01"}',
            '{"level":"warn","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"index is older than 14 days","age":"23d"}',
            *['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"GET /search","status":200,"ms":<8-40>}'] * 60,
        ], every_s=66))  # fmt: skip
    chatter(stage, "maps/places", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time", "<%Y-%m-%d %H:%M:%S.%3> UTC [<300-900>] LOG:  could not receive data from client: Connection reset by peer"], count=10)  # fmt: skip
    chatter(stage, "maps/tiles", ["INFO tiles: GET /14/<8000-9000>/<5000-6000>.pbf 200 <3-15>ms", "WARN tiles: font Noto Sans Khmer is missing, label drawn without it"])  # fmt: skip
    chatter(stage, "maps/router", ["INFO router: route bike <2-40>km in <20-90>ms", "INFO router: profiles reloaded"], count=12)  # fmt: skip
    chatter(stage, "web/planner", ["GET /plan 200 <60-160>ms", "GET /search 200 <15-60>ms"])


def _metrics(stage: Stage) -> None:
    """Every five minutes for seven hours; 5.2.0 lived from the 25th value to the 74th."""
    count, began, ended = 84, 21, 70
    here = {"namespace": "maps", "container": "geo"}
    grown = [float(min(14, n // 3)) for n in range(ended - began)]
    now = [p["metadata"]["name"] for p in stage.pods("maps/geo-")]
    stage.metric("restarts", 'increase(kube_pod_container_status_restarts_total{namespace="maps",container="geo"}[6h])', [
        ({**here, "pod": GONE}, [*[0.0] * began, *grown, *[14.0] * (count - ended)]),
        *(({**here, "pod": name}, [0.0] * (count - ended)) for name in now),
    ], step_s=300)  # fmt: skip
    stage.metric("available", 'kube_deployment_status_replicas_available{namespace="maps"}', [
        ({"namespace": "maps", "deployment": "geo"}, [*[3.0] * began, *(2.0 if n % 3 == 0 else 3.0 for n in range(ended - began)), *[3.0] * (count - ended)]),
        ({"namespace": "maps", "deployment": "tiles"}, [2.0] * count),
        ({"namespace": "maps", "deployment": "router"}, [2.0] * count),
    ], step_s=300)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "maps", "service": "geo"}, [*about(0.0004, began, noise=0.9), *about(0.011, ended - began, noise=0.6), *about(0.0004, count - ended, noise=0.9)]),
        ({"namespace": "maps", "service": "router"}, about(0.0006, count, noise=0.9)),
        ({"namespace": "web", "service": "planner"}, about(0.0007, count, noise=0.9)),
    ], step_s=300)  # fmt: skip
    stage.metric("searches", 'sum by (namespace, service) (rate(http_requests_total{namespace="maps"}[5m]))', [
        ({"namespace": "maps", "service": "geo"}, whole(about(210, count, noise=0.1))),
    ], step_s=300)  # fmt: skip
