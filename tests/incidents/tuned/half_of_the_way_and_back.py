"""A canary failed its checks and was taken back by Flagger; the alert's window still has its errors in it."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="Flagger took the canary of cart 5.4.0 back nineteen minutes ago; the share of failed requests over half an hour still fires",
    half=Half.tuned,
    story=(
        "5.4.0 of the cart was tried with up to 20 % of the requests. It failed more than one in a hundred, Flagger halted five times and went back:"
        " all requests go to 5.3.2 and none has failed since. The Canary says Failed until the next release, and its Deployment is at zero, as always"
        " after an analysis. Somebody has to look at 5.4.0 by day; nothing has to be done to what runs."
    ),
    sources=[
        "https://docs.flagger.app/usage/how-it-works",
        "https://docs.flagger.app/tutorials/nginx-progressive-delivery",
        "https://github.com/fluxcd/flagger/blob/main/pkg/controller/scheduler.go",
    ],
    labels={
        "alertname": "IngressErrorRatio",
        "severity": "critical",
        "namespace": "shop",
        "ingress": "cart",
        "exported_service": "cart-primary",
    },
    annotations={"summary": "More than 1 % of the requests to ingress cart failed within 30 minutes."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["flagger status", "flagger objects"],
)

GROUP = "flagger.app"


def _ingress(name: str, to: str, annotations: dict[str, str]) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": "shop.example.com", "http": {"paths": [
            {"path": "/cart", "pathType": "Prefix", "backend": {"service": {"name": to, "port": {"number": 80}}}}]}}]},
    }  # fmt: skip


def _cart(name: str, version: str, replicas: int) -> Body:
    return deployment(f"shop/{name}", container("cart", f"shop/cart:{version}", port=8080, ready="/readyz", alive="/livez",
                                                env={"BASKETS": "redis://baskets.shop.svc.cluster.local:6379", "TAX_URL": "http://tax.shop.svc"}), replicas=replicas)  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1beta1", "Canary", "canaries")
    stage.apply([
        *system(),
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}},
        config_map("ingress-nginx/controller", {"proxy-read-timeout": "30"}),
        deployment("ingress-nginx/controller", container("controller", "ingress-nginx/controller:v1.13.3", port=80, ready="/healthz")),
        service("ingress-nginx/controller", 80),
        deployment("flagger-system/flagger", container("flagger", "flagger/flagger:1.42.0", port=8080, ready="/healthz", args=["-mesh-provider=nginx"]), replicas=1),
        _cart("cart", "5.3.2", 0), _cart("cart-primary", "5.3.2", 3),
        service("shop/cart", 80, 8080, selector={"app": "cart-primary"}), service("shop/cart-primary", 80, 8080), service("shop/cart-canary", 80, 8080, selector={"app": "cart"}),
        _ingress("cart", "cart", {}),
        _ingress("cart-canary", "cart-canary", {"nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-weight": "0"}),
        stateful_set("shop/baskets", container("redis", "redis:8.2.1", port=6379, memory=("256Mi", "512Mi"))), service("shop/baskets", 6379, headless=True),
        deployment("shop/tax", container("tax", "shop/tax:2.9.0", port=8080, ready="/readyz")), service("shop/tax", 80, 8080),
        deployment("shop/reviews", container("reviews", "shop/reviews:1.17.5", port=8080, ready="/readyz")), service("shop/reviews", 80, 8080),
        {"apiVersion": f"{GROUP}/v1beta1", "kind": "Canary", "metadata": {"name": "cart", "namespace": "shop"},
         "spec": {"provider": "nginx", "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"}, "ingressRef": {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "cart"},
                  "progressDeadlineSeconds": 120, "service": {"port": 80, "targetPort": 8080},
                  "analysis": {"interval": "1m", "threshold": 5, "maxWeight": 50, "stepWeight": 10, "metrics": [{"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"}]}}},
    ])  # fmt: skip
    stage.calm()
    for name in ("cart", "cart-canary"):
        stage.status(f"ingresses/shop/{name}", {"loadBalancer": {"ingress": [{"ip": "203.0.113.20"}]}}, manager="nginx-ingress-controller")  # fmt: skip
    _phase(stage, "Succeeded", "True", "Canary analysis completed successfully, promotion finished.", 0, 0)
    stage.wait(days=11, hours=5)
    stage.kubectl("set", "image", "deployment/tax", "tax=registry.example.com/shop/tax:2.9.1", "-n", "shop")
    stage.calm()
    stage.wait(minutes=52)
    stage.kubectl("set", "image", "deployment/cart", "cart=registry.example.com/shop/cart:5.4.0", "-n", "shop")  # fmt: skip
    stage.kubectl("scale", "deployment/cart", "-n", "shop", "--replicas=3")
    stage.calm()
    began = stage.now
    said = ["New revision detected! Scaling up cart.shop", "Starting canary analysis for cart.shop", "Advance cart.shop canary weight 10"]  # fmt: skip
    _said(stage, said, "Normal")
    _weight(stage, "10")
    _phase(stage, "Progressing", "Unknown", "New revision detected, progressing canary analysis.", 0, 10)
    stage.wait(minutes=2)
    _weight(stage, "20")
    for share in ("96.41", "93.87", "94.02", "93.31", "94.75"):
        _said(stage, [f"Halt cart.shop advancement success rate {share}% < 99%"], "Warning")
        said.append(f"Halt cart.shop advancement success rate {share}% < 99%")
        stage.wait(minutes=1)
    last = ["Rolling back cart.shop failed checks threshold reached 5", "Canary failed! Scaling down cart.shop"]  # fmt: skip
    _said(stage, last, "Warning")
    said += last
    _weight(stage, "0")
    stage.kubectl("scale", "deployment/cart", "-n", "shop", "--replicas=0")
    _phase(stage, "Failed", "False", "Canary analysis failed, Deployment scaled to zero.", 5, 0)
    stage.calm()
    back = stage.now
    stage.wait(minutes=19)
    stage.heartbeat()
    _logs(stage, said, began, back)
    _metrics(stage)
    stage.fire(minutes_ago=21)


def _weight(stage: Stage, weight: str) -> None:
    def canary(body: Body) -> None:
        body["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-weight"] = weight

    stage.edit("ingresses/shop/cart-canary", canary, manager="flagger")


def _said(stage: Stage, messages: list[str], kind: str) -> None:
    canary = stage.get("canaries/shop/cart")
    for message in messages:
        stage.event(canary, "Synced", message, kind=kind, component="flagger")


def _phase(stage: Stage, phase: str, promoted: str, message: str, failed: int, weight: int) -> None:
    now = stage.stamp()
    stage.status("canaries/shop/cart", {
        "phase": phase, "failedChecks": failed, "canaryWeight": weight, "iterations": 0, "lastTransitionTime": now,
        "conditions": [{"type": "Promoted", "status": promoted, "reason": phase, "message": message, "lastTransitionTime": now, "lastUpdateTime": now}],
    }, manager="flagger")  # fmt: skip


def _logs(stage: Stage, said: list[str], began: datetime, back: datetime) -> None:
    stage.log("flagger-system/flagger", printed(began, [
        f'{{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","caller":"controller/events.go:<33-45>","msg":"{one}","canary":"cart.shop"}}' for one in said
    ], every_s=45))  # fmt: skip
    line = '10.20.0.<2-9> - - [<%d/%b/%Y:%H:%M:%S> +0000] "POST /cart/items HTTP/2.0" {status} <200-900> "-" "Mozilla/5.0" <300-800> 0.0<10-60> [shop-{to}-80] [] 10.244.<0-2>.<2-19>:8080 <200-900> 0.0<10-60> {status} <100000-999999>'
    well, bad = line.format(status=200, to="cart"), line.format(status=500, to="cart-canary")
    for n, pod in enumerate(stage.pods("ingress-nginx/controller")):
        shift = timedelta(seconds=5 * n)
        stage.log(f"ingress-nginx/{pod['metadata']['name']}", "\n".join([
            printed(began + shift, [well, well, bad, well, well] * 6, every_s=14),
            printed(back + timedelta(seconds=5) + shift, [well] * 45, every_s=24),
        ]))  # fmt: skip
    chatter(stage, "shop/cart-primary", ["INFO  cart - POST /cart/items 200 <9-30>ms", "INFO  cart - GET /cart 200 <4-12>ms"])  # fmt: skip
    chatter(stage, "shop/tax", ["INFO  tax - GET /rates/<1-90> 200 <1-4>ms"])
    chatter(stage, "shop/reviews", ["INFO  reviews - GET /reviews 200 <5-20>ms", "WARN  reviews - 1 review waits for moderation"])  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Once a minute for an hour: seven bad minutes, and nineteen good ones since."""
    before, bad, since = 34, 7, 19
    here = {"namespace": "shop", "ingress": "cart"}
    stage.metric("errors", 'sum by (namespace, ingress) (rate(nginx_ingress_controller_requests{status=~"5.."}[1m])) / sum by (namespace, ingress) (rate(nginx_ingress_controller_requests[1m]))', [
        (here, [*about(0.0004, before, noise=0.8), *about(0.052, bad, noise=0.2), *about(0.0004, since, noise=0.8)]),
    ])  # fmt: skip
    stage.metric("errors-30m", 'sum by (namespace, ingress) (rate(nginx_ingress_controller_requests{status=~"5.."}[30m])) / sum by (namespace, ingress) (rate(nginx_ingress_controller_requests[30m]))', [
        (here, [*about(0.0004, before, noise=0.4), *(0.0018 * n for n in range(1, bad + 1)), *about(0.0124, since, noise=0.02)]),
    ])  # fmt: skip
    stage.metric("weight", "flagger_canary_weight", [
        ({"__name__": "flagger_canary_weight", "namespace": "shop", "workload": "cart"}, [*[0.0] * before, 10.0, 10.0, *[20.0] * (bad - 2), *[0.0] * since]),
        ({"__name__": "flagger_canary_weight", "namespace": "shop", "workload": "cart-primary"}, [*[100.0] * before, 90.0, 90.0, *[80.0] * (bad - 2), *[100.0] * since]),
    ])  # fmt: skip
