"""Two faults at once: a program may no longer write where it keeps its models, and an Ingress names a class that is not there."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="The root of reader's containers became read-only, where it unpacks its models; and the course pages ask for an ingress class that nobody serves",
    half=Half.tuned,
    story=(
        "A hardening of the namespace press made the root filesystem of three Deployments read-only. Two never write; the third, reader, unpacks its models below"
        " /var/cache at the start, for which nobody mounted a volume, and ends each time. Five days earlier an Ingress in the academy was set to the class edge-internal,"
        " which this cluster does not have, and its host has answered 404 since. Neither has to do with the other."
    ),
    sources=[
        "https://kubernetes.io/docs/tasks/configure-pod-container/security-context/",
        "https://kubernetes.io/docs/concepts/services-networking/ingress/#ingress-class",
        "https://github.com/kubernetes/ingress-nginx/blob/main/internal/ingress/controller/store/store.go",
    ],
    labels=kube_prometheus("KubePodCrashLooping", namespace="press", pod="{pod:press/reader-6ff4d95fb7-}", container="reader", reason="CrashLoopBackOff", uid="1b6f4c7e-2a5d-4e0e-9b1f-5d0c3a7e9f11"),
    annotations={"summary": "Pod is crash looping."},
    causes=["Deployment/press/reader"],
    says=[["read-only", "readOnlyRootFilesystem", "Read-only"], ["/var/cache/reader"]],
    innocent=["Deployment/press/layout", "Deployment/press/proof", "Deployment/ingress-nginx/controller"],
    second=["Ingress/academy/courses"],
    traits=frozenset({Trait.two_faults}),
)  # fmt: skip

HARDENED = ("layout", "proof", "reader")


def _ingress(name: str, host: str, ingress_class: str) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": "academy"},
        "spec": {"ingressClassName": ingress_class, "rules": [{"host": host, "http": {"paths": [
            {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": 80}}}}]}}]},
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "edge"}, "spec": {"controller": "k8s.io/ingress-nginx"}},
        config_map("ingress-nginx/controller", {"use-forwarded-headers": "true"}),
        deployment("ingress-nginx/controller", container("controller", "ingress-nginx/controller:v1.13.3", port=80, ready="/healthz", args=["/nginx-ingress-controller", "--ingress-class=edge", "--controller-class=k8s.io/ingress-nginx"])),
        service("ingress-nginx/controller", 80),
        _ingress("courses", "courses.example.com", "edge"), _ingress("exams", "exams.example.com", "edge"),
        *(deployment(f"academy/{name}", container(name, f"academy/{name}:{version}", port=8080, ready="/ready")) for name, version in (("courses", "9.2.0"), ("exams", "4.4.1"))),
        *(service(f"academy/{name}", 80, 8080) for name in ("courses", "exams")),
        deployment("press/layout", container("layout", "press/layout:3.8.0", port=8080, ready="/ready")), service("press/layout", 8080),
        deployment("press/proof", container("proof", "press/proof:1.1.6", port=8080, ready="/ready")), service("press/proof", 8080),
        deployment("press/reader", container("reader", "press/reader:2.0.4", port=8080, ready="/ready", alive="/alive", memory=("512Mi", "1Gi"), env={"MODELS": "/opt/models.tar", "PAGES": "http://pages.press.svc:9000"})), service("press/reader", 8080),
        stateful_set("press/pages", container("minio", "minio/minio:RELEASE.2025-09-07T16-13-09Z", port=9000, memory=("512Mi", "1Gi"))), service("press/pages", 9000, headless=True),
        deployment("press/desk", container("desk", "press/desk:14.0.0", port=8080, ready="/ready", env={"READER_URL": "http://reader.press.svc:8080", "LAYOUT_URL": "http://layout.press.svc:8080"})), service("press/desk", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    for name in ("courses", "exams"):
        stage.status(f"ingresses/academy/{name}", {"loadBalancer": {"ingress": [{"ip": "203.0.113.20"}]}}, manager="nginx-ingress-controller")  # fmt: skip
    stage.wait(days=12)
    stage.edit("ingresses/academy/courses", lambda body: body["spec"].update(ingressClassName="edge-internal"))  # fmt: skip
    told = stage.now
    stage.wait(days=5, hours=1)
    stage.kubectl("set", "image", "deployment/exams", "exams=registry.example.com/academy/exams:4.4.2", "-n", "academy")  # fmt: skip
    stage.calm()
    stage.wait(hours=2)
    before = {p["metadata"]["name"] for p in stage.pods("press/reader")}
    for name in HARDENED:
        _harden(stage, name)
    stage.placed("press/reader", 3)
    (fresh,) = {p["metadata"]["name"] for p in stage.pods("press/reader")} - before
    stage.hold(f"press/{fresh}")
    stage.calm(unfinished=["press/reader"])
    stage.crash(f"press/{fresh}", code=1, restarts=7, lives_s=3, log=(
        "reader 2.0.4: unpacking /opt/models.tar\n"
        "Traceback (most recent call last):\n"
        '  File "/app/reader/__main__.py", line 41, in <module>\n'
        "    models = unpack(settings.models, CACHE)\n"
        '  File "/app/reader/models.py", line 18, in unpack\n'
        "    cache.mkdir(parents=True, exist_ok=True)\n"
        "OSError: [Errno 30] Read-only file system: '/var/cache/reader'\n"))  # fmt: skip
    stage.wait(minutes=4)
    stage.heartbeat()
    _logs(stage, before)
    for n, pod in enumerate(stage.pods("ingress-nginx/controller")):
        ignored = f'W{told:%m%d %H:%M:%S}.104411       7 store.go:437] "Ignoring ingress because of error while validating ingress class" ingress="academy/courses" error="no object matching key \\"edge-internal\\" in local store"'
        lost = '10.20.0.<2-9> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /courses/<10-99> HTTP/2.0" 404 146 "-" "Mozilla/5.0" <300-500> 0.000 [] [] - - - - <100000-999999>'
        found = '10.20.0.<2-9> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /exams/<10-99> HTTP/2.0" 200 <1000-9000> "-" "Mozilla/5.0" <300-500> 0.0<10-60> [academy-exams-80] [] 10.244.<0-2>.<2-19>:8080 <1000-9000> 0.0<10-60> 200 <100000-999999>'
        stage.log(f"ingress-nginx/{pod['metadata']['name']}", printed(told, [ignored]) + "\n" + printed(stage.ago(minutes=20, seconds=n * 7), [found, lost, found] * 16, every_s=24))  # fmt: skip
    stage.fire(minutes_ago=6)


def _harden(stage: Stage, name: str) -> None:
    def change(body: Body) -> None:
        body["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {"readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False}  # fmt: skip

    stage.edit(f"deployments/press/{name}", change)


def _logs(stage: Stage, old: set[str]) -> None:
    for name in sorted(old):
        stage.log(f"press/{name}", printed(stage.ago(minutes=15), ["reader: page <1-90> read in <400-900>ms"] * 20, every_s=40))  # fmt: skip
    chatter(stage, "press/layout", ["INFO layout: page <1-90> laid out"])
    chatter(stage, "press/proof", ["INFO proof: page <1-90> <0-4> remarks", "WARN proof: no dictionary for 'la', skipped"])  # fmt: skip
    chatter(stage, "press/pages", ["INFO: <1-9> objects healed"], count=2)
    chatter(stage, "press/desk", ["INFO desk: POST /scans 202 <20-60>ms"])
    for name in ("courses", "exams"):
        chatter(stage, f"academy/{name}", [f"INFO {name}: GET /ready 200 1ms"], count=12)
