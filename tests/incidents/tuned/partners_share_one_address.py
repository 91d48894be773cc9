"""An Ingress's rate limit for each client counts all partners as one, and the growing traffic meets it today."""

from __future__ import annotations

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="A limit of 40 requests per second and client, set five weeks ago, turns partners away that all come from one address",
    half=Half.tuned,
    story=(
        "Five weeks ago an Ingress got limit-rps: 40 against a scraper. All requests reach the controller with the address of the load"
        " balancer, so that the limit counts them together. A new partner begins today, the sum passes 40, and every third request is"
        " answered 503 by the controller; the pods see fewer requests than they could take. In another namespace a worker cannot"
        " write its spool since somebody made its root file system read-only."
    ),
    sources=[
        "https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/annotations/#rate-limiting",
        "https://nginx.org/en/docs/http/ngx_http_limit_req_module.html",
        "https://kubernetes.io/docs/tutorials/services/source-ip/",
    ],
    labels={
        "alertname": "ErrorBudgetBurn",
        "namespace": "wares",
        "service": "items",
        "slo": "items-availability",
        "severity": "critical",
    },
    annotations={"summary": "The error budget of items is burnt 20 times too fast (measured at the edge)."},
    causes=["Ingress/wares/partners"],
    says=[["limit-rps", "rate limit", "limiting requests", "limit_req", "requests per second"], ["40"]],
    innocent=["Deployment/wares/items", "Service/wares/items", "Deployment/edge/ingress-nginx-controller", "Deployment/wares/stock"],
    second=["Deployment/letters/digest"],
    traits=frozenset({Trait.innocent, Trait.two_faults, Trait.metrics_only}),
)  # fmt: skip

LIMIT = "nginx.ingress.kubernetes.io/limit-rps"


def _ingress(name: str, host: str, backend: str) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": "wares", "annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "15"}},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": backend, "port": {"number": 80}}}}]}}],
        },
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply(system())
    front = service("edge/ingress-nginx-controller", 80, 80, selector={"app": "ingress-nginx-controller"})
    front["spec"] |= {"type": "LoadBalancer", "externalTrafficPolicy": "Cluster"}
    stage.apply([
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}},
        config_map("edge/ingress-nginx-controller", {"proxy-body-size": "8m", "use-forwarded-headers": "false"}),
        deployment("edge/ingress-nginx-controller", container("controller", "ingress-nginx/controller:v1.13.3", port=80, readinessProbe={"httpGet": {"path": "/healthz", "port": 10254}},
                                                              args=["/nginx-ingress-controller", "--ingress-class=nginx", "--configmap=edge/ingress-nginx-controller"], memory=("256Mi", "512Mi"))),
        front,
        deployment("wares/items", container("items", "wares/items:10.8.2", port=8080, ready="/ready", alive="/alive", memory=("256Mi", "512Mi"), env={"STOCK_URL": "http://stock", "ITEMS_DB": "postgres://items-db:5432/items"}), replicas=4),
        service("wares/items", 80, 8080),
        deployment("wares/stock", container("stock", "wares/stock:4.1.1", port=8080, ready="/ready")),
        service("wares/stock", 80, 8080),
        deployment("wares/pictures", container("pictures", "wares/pictures:2.0.3", port=8080, ready="/ready")),
        service("wares/pictures", 80, 8080),
        stateful_set("wares/items-db", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))),
        service("wares/items-db", 5432, headless=True),
        _ingress("partners", "api.wares.example", "items"),
        _ingress("pictures", "img.wares.example", "pictures"),
        deployment("letters/digest", container("digest", "letters/digest:3.2.0", port=8080, env={"SPOOL": "/var/spool/digest"}), replicas=1, strategy={"type": "Recreate"}),
        deployment("letters/subscribers", container("subscribers", "letters/subscribers:5.5.1", port=8080, ready="/ready")),
        service("letters/subscribers", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.status(
        "services/edge/ingress-nginx-controller",
        {"loadBalancer": {"ingress": [{"ip": "203.0.113.20"}]}},
        manager="cloud-controller-manager",
    )
    stage.wait(days=11)
    stage.edit("ingresses/wares/partners", lambda body: body["metadata"]["annotations"].update({LIMIT: "40"}))
    stage.wait(days=34, hours=22)
    stage.kubectl(
        "set", "image", "deployment/stock", "stock=registry.example.com/wares/stock:4.1.2", "-n", "wares"
    )
    stage.calm()
    stage.wait(minutes=50)
    stage.hold("letters/digest")

    def tighter(body: Body) -> None:
        body["spec"]["template"]["spec"]["containers"][0]["securityContext"] = {
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
        }

    stage.edit("deployments/letters/digest", tighter)
    stage.calm()
    stage.crash(
        "letters/digest-", restarts=5, lives_s=3,
        log="INFO digest 3.2.0\nFATAL cannot open spool: open /var/spool/digest/queue.db: read-only file system",
    )  # fmt: skip
    stage.wait(minutes=19)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=12)


def _logs(stage: Stage) -> None:
    uid = stage.get("ingresses/wares/partners")["metadata"]["uid"]
    balancer = "10.20.0.1"
    agent = '"partner-sync/<2-4>.1"'
    refused = (
        f'<%Y/%m/%d %H:%M:%S> [error] 33#33: *<400000-499999> limiting requests, excess: 200.<100-999> by zone "wares_partners_{uid}_rps",'
        f' client: {balancer}, server: api.wares.example, request: "GET /v2/items?page=<1-900> HTTP/1.1", host: "api.wares.example"\n'
        f'{balancer} - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /v2/items?page=<1-900> HTTP/1.1" 503 190 "-" {agent} 412 0.000 [wares-items-80] [] - - - - 5d0f<1000-9999>'
    )
    well = (
        f'{balancer} - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /v2/items?page=<1-900> HTTP/1.1" 200 <4000-9000> "-" {agent} 412 0.0<10-50> [wares-items-80] []'
        " 10.244.1.7:8080 <4000-9000> 0.0<10-50> 200 5d0f<1000-9999>"
    )
    picture = f'{balancer} - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /i/<1000-9999>.webp HTTP/1.1" 200 <9000-40000> "-" "Mozilla/5.0" 390 0.00<1-9> [wares-pictures-80] [] 10.244.2.5:8080 <9000-40000> 0.00<1-9> 200 77aa<1000-9999>'
    for pod in stage.pods("edge/ingress-nginx-controller"):
        stage.log(
            f"edge/{pod['metadata']['name']}",
            printed(stage.ago(minutes=20), [well, refused, well, picture] * 30, every_s=10),
        )
    chatter(
        stage,
        "wares/items",
        ["INFO  items.http GET /v2/items 200 <9-40>ms", "INFO  items.http GET /ready 200 0ms"],
    )
    chatter(
        stage,
        "wares/items-db",
        [
            "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <20-90> buffers (0.<1-4>%); 0 WAL file(s) added, 0 removed, 0 recycled"
        ],
        count=4,
        minutes=20,
    )
    chatter(stage, "wares/stock", ["INFO  stock.http GET /stock/<1000-9999> 200 <2-9>ms"])
    chatter(stage, "wares/pictures", ["INFO  pictures.http GET /i/<1000-9999>.webp 200 <1-6>ms"])
    chatter(stage, "letters/subscribers", ["INFO  subscribers.http GET /lists/<1-40> 200 <3-12>ms"])


def _metrics(stage: Stage) -> None:
    """Once a minute for two hours: in the last 20 minutes the sum is above the limit."""
    before, since = 100, 20
    count = before + since
    edge = {"exported_namespace": "wares", "controller_namespace": "edge"}
    stage.metric("edge-requests", "sum by (exported_namespace, controller_namespace, ingress, exported_service, status) (rate(nginx_ingress_controller_requests[2m]))", [
        ({**edge, "ingress": "partners", "exported_service": "items", "status": "200"}, [*slope(29, 38, before, noise=0.03), *about(40, since, noise=0.01)]),
        ({**edge, "ingress": "partners", "exported_service": "items", "status": "503"}, [*([0.0] * before), *about(21, since, noise=0.1)]),
        ({**edge, "ingress": "pictures", "exported_service": "pictures", "status": "200"}, about(210, count)),
    ])  # fmt: skip
    stage.metric("service-requests", 'sum by (namespace, service, code) (rate(http_requests_total{namespace="wares"}[2m]))', [
        ({"namespace": "wares", "service": "items", "code": "200"}, [*slope(29, 38, before, noise=0.03), *about(40, since, noise=0.01)]),
        ({"namespace": "wares", "service": "stock", "code": "200"}, about(12, count)),
    ])  # fmt: skip
    stage.metric("p95", 'histogram_quantile(0.95, sum by (le, namespace, service) (rate(http_request_duration_seconds_bucket{namespace="wares"}[5m])))', [
        ({"namespace": "wares", "service": "items"}, about(0.041, count)), ({"namespace": "wares", "service": "stock"}, about(0.008, count)),
    ])  # fmt: skip
    stage.metric("cpu", 'sum by (namespace, pod, container) (rate(container_cpu_usage_seconds_total{namespace="wares"}[5m]))', [
        ({"namespace": "wares", "pod": pod["metadata"]["name"], "container": "items"}, about(0.09, count, noise=0.2, of=pod["metadata"]["name"]))
        for pod in stage.pods("wares/items-") if pod["metadata"]["labels"]["app"] == "items"
    ])  # fmt: skip
