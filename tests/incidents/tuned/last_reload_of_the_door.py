"""An ingress controller has not read its configuration anew for two weeks, as none of what it serves has been changed."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="IngressReloadStale: nginx reloads for changed Ingresses and settings only, and those of its class were last changed fourteen days ago",
    half=Half.tuned,
    story=(
        "The rule takes a controller that has not reloaded for 14 days for one that cannot. Nobody has edited an Ingress of class public since; new pods are told to nginx through Lua, without a reload. songs was"
        " released three times meanwhile and each release got its requests. An Ingress of class inside was edited three days ago, which is the other controller's. rehearsal has no pods until spring, as its annotation says."
    ),
    sources=[
        "https://kubernetes.github.io/ingress-nginx/how-it-works/#when-a-reload-is-required",
        "https://kubernetes.github.io/ingress-nginx/user-guide/monitoring/",
        "https://github.com/kubernetes/ingress-nginx/blob/main/internal/ingress/metric/collectors/controller.go",
    ],
    labels={
        "alertname": "IngressReloadStale", "severity": "warning", "namespace": "ingress-public", "job": "nginx-controller", "controller_class": "k8s.io/ingress-nginx",
        "controller_pod": "{pod:ingress-public/nginx-controller}", "pod": "{pod:ingress-public/nginx-controller}",
    },
    annotations={"summary": "The ingress controller has not loaded a configuration for more than 14 days."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["ingress status", "traefik status"],
)  # fmt: skip


def _ingress(place: str, kind: str, host: str, paths: dict[str, str]) -> Body:
    namespace, name = place.split("/")
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": namespace},
        "spec": {"ingressClassName": kind, "rules": [{"host": host, "http": {"paths": [
            {"path": path, "pathType": "Prefix", "backend": {"service": {"name": to, "port": {"number": 80}}}} for path, to in paths.items()
        ]}}]},
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "public"}, "spec": {"controller": "k8s.io/ingress-nginx"}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "inside"}, "spec": {"controller": "traefik.io/ingress-controller"}},
        config_map("ingress-public/nginx-settings", {"proxy-read-timeout": "60", "use-gzip": "true"}),
        deployment("ingress-public/nginx-controller", container("controller", "ingress-nginx/controller:v1.13.3", port=80, ready="/healthz", memory=("256Mi", "512Mi"), args=["--ingress-class=public", "--configmap=ingress-public/nginx-settings", "--v=2"])), service("ingress-public/nginx-controller", 80),
        deployment("ingress-inside/traefik", container("traefik", "traefik:v3.6.1", port=8000, ready="/ping", args=["--providers.kubernetesingress.ingressclass=inside"]), replicas=1), service("ingress-inside/traefik", 80, 8000),
        deployment("choir/songs", container("songs", "choir/songs:3.14.0", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "verses.choir.svc"}), replicas=3), service("choir/songs", 80, 8080),
        stateful_set("choir/verses", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("choir/verses", 5432, headless=True),
        deployment("choir/rehearsal", container("rehearsal", "choir/rehearsal:1.0.9", port=8080, ready="/ready"), replicas=1), service("choir/rehearsal", 80, 8080),
        _ingress("choir/choir", "public", "choir.example.com", {"/songs": "songs", "/rehearsal": "rehearsal"}),
        deployment("organ/pipes", container("pipes", "organ/pipes:2.2.0", port=8080, ready="/up")), service("organ/pipes", 80, 8080),
        _ingress("organ/organ", "public", "organ.example.com", {"/": "pipes"}),
        deployment("sacristy/rota", container("rota", "sacristy/rota:0.8.4", port=8080, ready="/up"), replicas=1), service("sacristy/rota", 80, 8080),
        _ingress("sacristy/rota", "inside", "rota.inside.example.com", {"/": "rota"}),
    ])  # fmt: skip
    stage.calm()
    began = stage.now
    for place, address in (
        ("choir/choir", "203.0.113.61"),
        ("organ/organ", "203.0.113.61"),
        ("sacristy/rota", "10.20.0.90"),
    ):
        stage.status(f"ingresses/{place}", {"loadBalancer": {"ingress": [{"ip": address}]}}, manager="traefik" if address[0] == "1" else "nginx-ingress-controller")  # fmt: skip
    stage.wait(days=2)

    def rests(body: Body) -> None:
        body["metadata"].setdefault("annotations", {})["example.com/pause"] = "no rehearsals before Easter"
        body["spec"]["replicas"] = 0

    stage.edit("deployments/choir/rehearsal", rests)
    stage.calm()
    stage.wait(days=2)

    def larger(body: Body) -> None:
        body["metadata"].setdefault("annotations", {})["nginx.ingress.kubernetes.io/proxy-body-size"] = "8m"

    stage.edit("ingresses/choir/choir", larger)
    reloaded = stage.now
    stage.wait(days=5, hours=3)
    _release(stage, "3.15.0")
    stage.wait(days=6, hours=2)

    def shorter(body: Body) -> None:
        body["metadata"].setdefault("annotations", {})["traefik.ingress.kubernetes.io/router.priority"] = "20"

    stage.edit("ingresses/sacristy/rota", shorter)
    _release(stage, "3.15.1")
    stage.wait(days=2, hours=21, minutes=31)
    _release(stage, "3.16.0")
    stage.wait(minutes=37)
    stage.heartbeat()
    _logs(stage, reloaded)
    _metrics(stage, began, reloaded)
    stage.fire(minutes_ago=183)


def _release(stage: Stage, version: str) -> None:
    stage.kubectl("set", "image", "deployment/songs", f"songs=registry.example.com/choir/songs:{version}", "-n", "choir")  # fmt: skip
    stage.calm()


def _logs(stage: Stage, reloaded: datetime) -> None:
    addresses = [pod["status"]["podIP"] for pod in stage.pods("choir/songs-")]
    line = '198.51.100.<2-250> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET {path} HTTP/2.0" {code} <300-9000> "-" "Mozilla/5.0" 390 0.0<10-60> [{to}] [] {address}:8080 <300-9000> 0.0<10-60> {code} <100000-999999>'
    served = [
        line.format(path="/songs/<1-900>", code=200, to="choir-songs-80", address=address)
        for address in addresses
    ]
    said = "I<%m%d %H:%M:%S.%3>118       7 controller.go:{0}] "
    for n, pod in enumerate(stage.pods("ingress-public/nginx-controller")):
        shift = timedelta(seconds=7 * n)
        stage.log(f"ingress-public/{pod['metadata']['name']}", "\n".join([
            printed(reloaded + timedelta(seconds=1), [
                said.format(190) + '"Configuration changes detected, backend reload required"',
                said.format(210) + '"Backend successfully reloaded"',
                'I<%m%d %H:%M:%S.%3>340       7 event.go:377] Event(v1.ObjectReference{Kind:"Pod", Namespace:"ingress-public"}): type: \'Normal\' reason: \'RELOAD\' NGINX reload triggered due to a change in configuration',
            ]),
            printed(stage.ago(minutes=36) + shift, [
                'W<%m%d %H:%M:%S.%3>777       7 controller.go:1216] Service "choir/rehearsal" does not have any active Endpoint.',
                *served, *served,
                line.format(path="/songs/<1-900>.txt", code=404, to="choir-songs-80", address=addresses[0]),
                '<%Y/%m/%d %H:%M:%S> [error] 41#41: *<10000-99999> access forbidden by rule, client: 192.0.2.<2-250>, server: organ.example.com, request: "GET /.env HTTP/1.1", host: "organ.example.com"',
                *served,
            ] * 4, every_s=44),
        ]))  # fmt: skip
    chatter(stage, "ingress-inside/traefik", ['<%Y-%m-%dT%H:%M:%SZ> DBG Configuration received config={"http":{"routers":{"rota":{"rule":"Host(`rota.inside.example.com`)"}}}} providerName=kubernetes', "<%Y-%m-%dT%H:%M:%SZ> DBG Skipping unchanged configuration providerName=kubernetes"], count=8, minutes=60)  # fmt: skip
    chatter(stage, "choir/songs-", ["INFO songs: GET /songs/<1-900> 200 <6-30>ms"], count=36, minutes=35)
    chatter(stage, "choir/verses", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=6, minutes=60)  # fmt: skip
    chatter(stage, "organ/pipes", ["GET / 200 <4-12>ms"], minutes=60)
    chatter(stage, "sacristy/rota", ["rota: GET /week 200 <4-9>ms", "rota: no server for the second mass of <1-28>."], count=12, minutes=60)  # fmt: skip


def _metrics(stage: Stage, began: datetime, reloaded: datetime) -> None:
    """Every two hours for the seventeen days before now."""
    count, step = 204, 7200
    names = [pod["metadata"]["name"] for pod in stage.pods("ingress-public/nginx-controller")]
    at = [stage.now - timedelta(seconds=step * (count - 1 - n)) for n in range(count)]
    pods = [{"namespace": "ingress-public", "job": "nginx-controller", "controller_class": "k8s.io/ingress-nginx", "controller_pod": name, "pod": name} for name in names]  # fmt: skip
    stage.metric("age", "time() - nginx_ingress_controller_config_last_reload_successful_timestamp_seconds", [
        (pod, [(moment - (reloaded if moment >= reloaded else began)).total_seconds() for moment in at]) for pod in pods
    ], step_s=step)  # fmt: skip
    stage.metric("good", "nginx_ingress_controller_config_last_reload_successful", [(pod, [1.0] * count) for pod in pods], step_s=step)  # fmt: skip
    stage.metric("errors", "sum by (namespace, pod) (increase(nginx_ingress_controller_errors[2h]))", [(pod, [0.0] * count) for pod in pods], step_s=step)  # fmt: skip
    for called, level in (("requests", 44.0), ("failed", 0.0003)):
        one = "sum by (exported_namespace, ingress) (rate(nginx_ingress_controller_requests{0}[10m]))"
        query = (
            one.format("") if called == "requests" else one.format('{status=~"5.."}') + " / " + one.format("")
        )
        stage.metric(called, query, [({"exported_namespace": name, "ingress": name}, about(level, count, noise=0.3, of=name)) for name in ("choir", "organ")], step_s=step)  # fmt: skip
