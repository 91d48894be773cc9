"""Two faults at once: a program is told another database than there is, and an Ingress sends to a port that its Service has not."""

from __future__ import annotations

import json

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="stock was pointed at the database goods2 before anybody made it, and the Ingress of events sends to port 8081 of a Service that has port 80",
    half=Half.tuned,
    story=(
        "For a move to come, the settings of stock name the database goods2, which is not there; its requests fail since its restart, and the alert is about the basket in front of it. Four hours earlier"
        " the Ingress of the events pages was edited to port 8081, and they answer 503. Neither has to do with the other."
    ),
    sources=[
        "https://www.postgresql.org/docs/17/errcodes-appendix.html",
        "https://kubernetes.io/docs/concepts/services-networking/ingress/",
        "https://github.com/kubernetes/ingress-nginx/blob/main/internal/ingress/controller/controller.go",
    ],
    labels={"alertname": "HighErrorRate", "severity": "critical", "namespace": "shop", "service": "basket"},
    annotations={"summary": "basket answers 35 % of its requests with errors."},
    causes=["ConfigMap/shop/stock-settings", "Deployment/shop/stock"],
    says=[["goods2"], ["database"], ["stock"]],
    innocent=["Deployment/shop/basket", "Service/shop/basket", "StatefulSet/shop/store"],
    second=["Ingress/culture/events"],
    traits=frozenset({Trait.two_faults, Trait.innocent}),
)  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "edge"}, "spec": {"controller": "k8s.io/ingress-nginx"}},
        deployment("ingress-nginx/controller", container("controller", "ingress-nginx/controller:v1.13.3", port=80, ready="/healthz")), service("ingress-nginx/controller", 80),
        *({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": "culture"},
           "spec": {"ingressClassName": "edge", "rules": [{"host": f"{name}.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": 80}}}}]}}]}}
          for name in ("events", "museums")),
        *(deployment(f"culture/{name}", container(name, f"culture/{name}:{version}", port=8080, ready="/ready")) for name, version in (("events", "5.0.1"), ("museums", "3.7.0"))),
        *(service(f"culture/{name}", 80, 8080) for name in ("events", "museums")),
        config_map("shop/stock-settings", {"DB_HOST": "store.shop.svc.cluster.local", "DB_NAME": "goods", "POOL": "10"}),
        deployment("shop/stock", container("stock", "shop/stock:2.6.3", port=8080, ready="/up", envFrom=[{"configMapRef": {"name": "stock-settings"}}]), replicas=3), service("shop/stock", 8080),
        stateful_set("shop/store", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("shop/store", 5432, headless=True),
        deployment("shop/basket", container("basket", "shop/basket:17.0.2", port=8080, ready="/ready", env={"STOCK_URL": "http://stock.shop.svc:8080"}), replicas=3), service("shop/basket", 80, 8080),
        deployment("shop/offers", container("offers", "shop/offers:4.4.0", port=8080, ready="/ready", env={"STOCK_URL": "http://stock.shop.svc:8080"})), service("shop/offers", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=15, hours=3)
    patch = [
        {"op": "replace", "path": "/spec/rules/0/http/paths/0/backend/service/port/number", "value": 8081}
    ]
    stage.kubectl("patch", "ingress", "events", "-n", "culture", "--type=json", "--field-manager=kubectl-edit", "-p", json.dumps(patch))  # fmt: skip
    edited = stage.now
    stage.wait(hours=3, minutes=12)
    stage.kubectl(
        "set", "image", "deployment/basket", "basket=registry.example.com/shop/basket:17.0.3", "-n", "shop"
    )
    stage.calm()
    stage.wait(minutes=24)
    stage.edit("configmaps/shop/stock-settings", lambda body: body["data"].update(DB_NAME="goods2"))
    stage.restart("deployments/shop/stock")
    stage.calm()
    stage.wait(minutes=17)
    stage.heartbeat()
    for n, pod in enumerate(stage.pods("shop/stock")):
        stage.log(f"shop/{pod['metadata']['name']}", printed(stage.ago(minutes=16, seconds=-3 * n), [
            "<%Y-%m-%d %H:%M:%S> INFO  stock: GET /up 200",
            '<%Y-%m-%d %H:%M:%S> ERROR stock: GET /stock/<1000-9999>: connection to server at "store.shop.svc.cluster.local", port 5432 failed: FATAL:  database "goods2" does not exist',
        ] * 16, every_s=29))  # fmt: skip
    stage.log("shop/store", printed(stage.ago(minutes=16), [
        '<%Y-%m-%d %H:%M:%S.%3> UTC [<100-900>] FATAL:  database "goods2" does not exist',
        '<%Y-%m-%d %H:%M:%S.%3> UTC [<100-900>] FATAL:  database "goods2" does not exist',
        "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time",
    ] * 10, every_s=31))  # fmt: skip
    for name in ("basket", "offers"):
        chatter(stage, f"shop/{name}", [f"ERROR {name}: GET http://stock.shop.svc:8080/stock/<1000-9999>: 500", f"INFO  {name}: GET / 200 <4-20>ms"], count=24, minutes=15)  # fmt: skip
    for n, pod in enumerate(stage.pods("ingress-nginx/controller")):
        stage.log(f"ingress-nginx/{pod['metadata']['name']}", printed(edited, [
            f'W{edited:%m%d %H:%M:%S}.310200       7 controller.go:1126] Error obtaining Endpoints for Service "culture/events": no object matching key "culture/events:8081" in local store',
        ]) + "\n" + printed(stage.ago(minutes=15, seconds=n * 5), [
            '10.20.0.<2-9> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /<10-99> HTTP/2.0" 503 190 "-" "Mozilla/5.0" <300-500> 0.000 [culture-events-8081] [] - - - - <100000-999999>',
            '10.20.0.<2-9> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /<10-99> HTTP/2.0" 200 <900-9000> "-" "Mozilla/5.0" <300-500> 0.0<10-60> [culture-museums-80] [] 10.244.<0-2>.<2-19>:8080 <900-9000> 0.0<10-60> 200 <100000-999999>',
        ] * 18, every_s=24))  # fmt: skip
    for name in ("events", "museums"):
        chatter(stage, f"culture/{name}", [f"INFO {name}: GET /ready 200 1ms"], count=10)
    _metrics(stage)
    stage.fire(minutes_ago=11)


def _metrics(stage: Stage) -> None:
    count, since = 60, 17
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[2m])) / sum by (namespace, service) (rate(http_requests_total[2m]))', [
        ({"namespace": "shop", "service": name}, [*about(0.0005, count - since, noise=0.8), *about(share, since)])
        for name, share in (("basket", 0.35), ("offers", 0.28), ("stock", 0.98))
    ])  # fmt: skip
