"""Two faults at once: rendered papers outgrow a limit on local storage, and profiles asks the directory at an address that it has left."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="papers may keep 200Mi on its nodes' disks since yesterday and is evicted again and again, while profiles has the directory's former address in its host aliases",
    half=Half.tuned,
    story=(
        "A limit on ephemeral storage was given to papers yesterday. Each paper is put together in /tmp, and when many are asked for at once the kubelet evicts the pod. The portal gets"
        " connections reset and answers 502. Apart from that the company's directory was moved to another address yesterday morning; audit asks DNS and follows, profiles has the old"
        " address written into its pods' hosts file since seven weeks, shows what it has cached and cannot show who is new. The portal's own release of this morning is innocent."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/storage/ephemeral-storage/",
        "https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/",
        "https://kubernetes.io/docs/tasks/network/customize-hosts-file-for-pods/",
        "https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/eviction/helpers.go",
    ],
    labels={"alertname": "IngressErrorsHigh", "severity": "critical", "namespace": "desk", "ingress": "portal", "service": "portal"},
    annotations={"summary": "More than 5 % of the requests to portal fail."},
    causes=["Deployment/desk/papers"],
    says=[["ephemeral"], ["200Mi", "limit"]],
    innocent=["Deployment/desk/portal", "Ingress/desk/portal", "Service/desk/portal", "Node/_cluster/node-a", "Node/_cluster/node-b", "Node/_cluster/node-c"],
    second=["Deployment/desk/profiles"],
    traits=frozenset({Trait.two_faults, Trait.innocent}),
)  # fmt: skip

FORMER = "10.40.7.12"
EXCEEDED = "Pod ephemeral local storage usage exceeds the total limit of containers 200Mi. "


def play(stage: Stage) -> None:
    papers = container("papers", "desk/papers:5.0.3", port=8080, ready="/ready", memory=("256Mi", "1Gi"), mounts={"work": "/tmp"})  # fmt: skip
    stage.apply([
        *system(),
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "portal", "namespace": "desk"}, "spec": {"ingressClassName": "nginx", "rules": [{"host": "desk.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "portal", "port": {"number": 80}}}}]}}]}},
        deployment("ingress-nginx/ingress-nginx-controller", container("controller", "ingress-nginx/controller:v1.13.3", port=443, ready="/healthz", memory=("256Mi", "512Mi"))), service("ingress-nginx/ingress-nginx-controller", 443),
        deployment("desk/portal", container("portal", "desk/portal:22.0.0", port=3000, ready="/up", env={"PAPERS_URL": "http://papers.desk.svc", "PROFILES_URL": "http://profiles.desk.svc"}), replicas=3), service("desk/portal", 80, 3000),
        deployment("desk/papers", papers, replicas=3, pod={"volumes": [{"name": "work", "emptyDir": {}}]}), service("desk/papers", 80, 8080),
        deployment("desk/profiles", container("profiles", "desk/profiles:3.9.1", port=8080, ready="/ready", env={"LDAP_URL": "ldaps://directory.example.com:636", "CACHE": "redis://names.desk.svc:6379"}),
                   pod={"hostAliases": [{"ip": FORMER, "hostnames": ["directory.example.com"]}]}), service("desk/profiles", 80, 8080),
        stateful_set("desk/names", container("redis", "redis:8.2.1", port=6379)), service("desk/names", 6379, headless=True),
        deployment("desk/audit", container("audit", "desk/audit:1.6.0", port=8080, ready="/ready", env={"LDAP_URL": "ldaps://directory.example.com:636"}), replicas=1), service("desk/audit", 80, 8080),
        config_map("desk/letterheads", {"letterhead.txt": "Example Ltd"}),
        deployment("mail/outbox", container("outbox", "mail/outbox:2.2.0", port=8080, ready="/ready")), service("mail/outbox", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=48, hours=2)
    stage.edit("deployments/desk/papers", _bounded)
    stage.calm()
    stage.wait(hours=23)
    stage.kubectl("set", "image", "deployment/portal", "portal=registry.example.com/desk/portal:22.0.1", "-n", "desk")  # fmt: skip
    stage.calm()
    stage.wait(hours=2, minutes=10)
    busy = stage.now
    for _ in range(4):
        one = next(p for p in stage.pods("desk/papers-") if p["status"]["phase"] == "Running")
        name = one["metadata"]["name"]
        stage.log(f"desk/{name}", printed(stage.ago(minutes=5), ["INFO papers: paper <10000-99999> of <80-400> pages put together in /tmp/<1000-9999>"] * 20, every_s=14))  # fmt: skip
        stage.evicted(f"desk/{name}", EXCEEDED)
        stage.calm()
        stage.wait(minutes=7)
    stage.heartbeat()
    _logs(stage, busy)
    _metrics(stage, round((stage.now - busy).total_seconds() / 60))
    stage.fire(minutes_ago=19)


def _bounded(body: Body) -> None:
    (one,) = body["spec"]["template"]["spec"]["containers"]
    one["resources"]["requests"]["ephemeral-storage"] = "100Mi"
    one["resources"]["limits"]["ephemeral-storage"] = "200Mi"


def _logs(stage: Stage, busy) -> None:
    good = '{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"GET","url":"/desk"},"res":{"statusCode":200},"responseTime":<30-90>,"msg":"request completed"}'
    bad = '{"level":50,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"POST","url":"/papers"},"res":{"statusCode":502},"err":"read ECONNRESET http://papers.desk.svc/render","msg":"request errored"}'
    for n, pod in enumerate(stage.pods("desk/portal-")):
        stage.log(f"desk/{pod['metadata']['name']}", printed(busy - timedelta(minutes=12, seconds=-4 * n), [*[good] * 14, *[bad, good, bad, good, good] * 9], every_s=44))  # fmt: skip
    for pod in stage.pods("desk/papers-"):
        if pod["status"]["phase"] == "Running":
            stage.log(f"desk/{pod['metadata']['name']}", printed(stage.ago(minutes=5), ["INFO papers: paper <10000-99999> of <80-400> pages put together in /tmp/<1000-9999>"] * 20, every_s=14))  # fmt: skip
    chatter(stage, "desk/profiles", [
        f'time="<%Y-%m-%dT%H:%M:%S>Z" level=warning msg="directory not reached, answering from cache" err="LDAP Result Code 200 \\"Network Error\\": dial tcp {FORMER}:636: i/o timeout"',
        'time="<%Y-%m-%dT%H:%M:%S>Z" level=info msg="GET /people" status=200 ms=<4-20>',
        'time="<%Y-%m-%dT%H:%M:%S>Z" level=info msg="GET /people" status=200 ms=<4-20>',
        f'time="<%Y-%m-%dT%H:%M:%S>Z" level=error msg="GET /people" status=504 ms=<10001-10020> err="not in cache, and directory.example.com ({FORMER}:636) does not answer"',
        'time="<%Y-%m-%dT%H:%M:%S>Z" level=info msg="GET /people" status=200 ms=<4-20>',
    ], count=50, minutes=120)  # fmt: skip
    chatter(stage, "desk/audit", ['INFO audit: bound to directory.example.com (10.40.9.30:636)', "INFO audit: <100-900> entries compared"], count=12, minutes=120)  # fmt: skip
    chatter(stage, "desk/names", ["1:M <%d %b %Y %H:%M:%S.%3> * 100 changes in 300 seconds. Saving..."], count=6, minutes=60)  # fmt: skip
    chatter(stage, "mail/outbox", ["INFO outbox: sent <1-9>"], count=8, minutes=60)
    chatter(stage, "ingress-nginx/ingress-nginx-controller", [
        '198.51.100.<2-250> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /desk HTTP/2.0" 200 5120 "-" "Mozilla/5.0" 412 0.0<30-90> [desk-portal-80] [] 10.244.1.<4-9>:3000 5120 0.0<30-90> 200',
        '198.51.100.<2-250> - - [<%d/%b/%Y:%H:%M:%S> +0000] "POST /papers HTTP/2.0" 502 150 "-" "Mozilla/5.0" 900 2.<100-999> [desk-portal-80] [] 10.244.1.<4-9>:3000 150 2.<100-999> 502',
    ], count=30, minutes=25)  # fmt: skip


def _metrics(stage: Stage, since: int) -> None:
    """Once a minute for three hours."""
    count = 180
    stage.metric("failed", 'sum by (namespace, ingress) (rate(nginx_ingress_controller_requests{status=~"5.."}[5m])) / sum by (namespace, ingress) (rate(nginx_ingress_controller_requests[5m]))', [
        ({"namespace": "desk", "ingress": "portal"}, [*about(0.0006, count - since, noise=0.9), *about(0.11, since, noise=0.2)]),
    ])  # fmt: skip
    stage.metric("by-service", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "desk", "service": "profiles"}, about(0.041, count, noise=0.2)),
        ({"namespace": "desk", "service": "papers"}, about(0.0005, count, noise=0.9)),
        ({"namespace": "mail", "service": "outbox"}, about(0.0004, count, noise=0.9)),
    ])  # fmt: skip
    stage.metric("papers", 'sum by (namespace) (rate(papers_rendered_total{namespace="desk"}[5m]))', [({"namespace": "desk"}, [*about(0.6, count - since, noise=0.2), *about(3.1, since, noise=0.2)])])  # fmt: skip
