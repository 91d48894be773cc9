"""A namespace was renamed; a setting three services back still names the old one."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="A geocoder moves to another namespace and one client keeps its old address",
    half=Half.tuned,
    story="The maps team redeploys from `maps-v1` to `maps` and deletes the old namespace. The ETA service still has the old "
    "name in its environment; the dispatch screen of another namespace is what alerts.",
    sources=["https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/"],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="delivery", deployment="dispatch"),
    causes=["Deployment/routing/eta"],
    says=[["maps-v1"], ["GEOCODER_URL"], ["namespace maps", "maps/geocoder", "geocoder.maps"]],
    innocent=["Deployment/delivery/dispatch", "Deployment/maps/geocoder"],
    traits=frozenset({Trait.innocent}),
)


def geocoder(namespace: str) -> list[dict[str, object]]:
    return [
        deployment(f"{namespace}/geocoder", "maps/geocoder:3.0.1", port=8080, ready="/ready"),
        service(f"{namespace}/geocoder", 8080),
    ]


MANIFESTS = [
    *geocoder("maps-v1"),
    deployment(
        "routing/eta", "routing/eta:14.2.0", port=8080, ready="/ready",
        env={"GEOCODER_URL": "http://geocoder.maps-v1.svc.cluster.local:8080", "TRAFFIC_URL": "http://traffic.routing:8080"},
    ),
    service("routing/eta", 8080),
    deployment("routing/traffic", "routing/traffic:6.6.0", port=8080),
    service("routing/traffic", 8080),
    deployment("delivery/dispatch", "delivery/dispatch:9.1.0", port=3000, ready="/ready", env={"ETA_HOST": "eta.routing", "ETA_PORT": "8080"}),
    service("delivery/dispatch", 80, target=3000),
    deployment("delivery/labels", "delivery/labels:1.1.1", port=3000),
]  # fmt: skip

ETA_LOG = """
time=2026-11-22T05:20:11Z level=ERROR source=geocode/client.go:52 msg="geocode failed" err="Get \\"http://geocoder.maps-v1.svc.cluster.local:8080/v1/search\\": dial tcp: lookup geocoder.maps-v1.svc.cluster.local on 10.96.0.10:53: no such host"
time=2026-11-22T05:20:15Z level=WARN msg="not ready" check=geocoder
"""
DISPATCH_LOG = """
[Nest] 1  - 11/22/2026, 5:21:40 AM   ERROR [EtaService] Request failed with status code 503 (eta.routing:8080)
[Nest] 1  - 11/22/2026, 5:21:44 AM   ERROR [EtaService] Request failed with status code 503 (eta.routing:8080)
"""


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=18, hours=19)
    stage.apply(geocoder("maps"))
    stage.calm()
    stage.wait(hours=1)
    stage.delete("namespaces/_cluster/maps-v1")
    stage.cluster.until("maps-v1 gone", lambda: _gone(stage))
    stage.wait(minutes=1)
    stage.unready("routing/eta", "HTTP probe failed with statuscode: 503", count=2, failures=50)
    stage.log("routing/eta", ETA_LOG)
    stage.wait(seconds=40)
    stage.unready("delivery/dispatch", "HTTP probe failed with statuscode: 503", count=2, failures=46)
    stage.log("delivery/dispatch", DISPATCH_LOG)
    stage.wait(minutes=20)
    stage.fire(minutes_ago=4)


def _gone(stage: Stage) -> bool:
    """The namespace's controller deletes pods, kubelets let them go, and then the rest may."""
    stage.calm()
    return "maps-v1" not in stage.kubectl("get", "namespaces", "-o", "name")
