"""The ingress controller still expects the PROXY protocol, and the balancer in front no longer speaks it."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="A chart upgrade takes the PROXY protocol off the load balancer, and nginx refuses every request without it",
    half=Half.tuned,
    story=(
        "For 40 days the controller has read the PROXY protocol, which an annotation of its Service asks of the load"
        " balancer. The values of the chart's next version rewrite the annotations and leave that one out. nginx closes"
        " connections that begin without the header; its own health endpoint, its pods and the shops behind are well."
        " A release of the storefront a quarter of an hour before has nothing to do with it."
    ),
    sources=[
        "https://kubernetes.github.io/ingress-nginx/user-guide/nginx-configuration/configmap/#use-proxy-protocol",
        "https://kubernetes-sigs.github.io/aws-load-balancer-controller/latest/guide/service/annotations/",
        "https://github.com/kubernetes/ingress-nginx/issues/13188",
        "https://github.com/kubernetes/ingress-nginx/issues/3996",
    ],
    labels={
        "alertname": "ProbeFailed", "job": "probe/shop/storefront", "namespace": "shop", "ingress": "storefront",
        "instance": "https://shop.example.com/healthz", "severity": "critical",
    },
    annotations={"summary": "https://shop.example.com/healthz is not answered."},
    causes=["Service/ingress-nginx/ingress-nginx-controller", "ConfigMap/ingress-nginx/ingress-nginx-controller"],
    says=[["proxy protocol", "proxy-protocol"]],
    innocent=[
        "Ingress/shop/storefront", "Service/shop/storefront", "Deployment/shop/storefront", "Deployment/ingress-nginx/ingress-nginx-controller",
        "Ingress/press/site",
    ],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
    authored=["cloud load balancer status"],
)  # fmt: skip

CLOUD = "service.beta.kubernetes.io/aws-load-balancer-"
BEFORE = {
    f"{CLOUD}type": "external", f"{CLOUD}nlb-target-type": "ip", f"{CLOUD}scheme": "internet-facing",
    f"{CLOUD}proxy-protocol": "*",
}  # fmt: skip
AFTER = {
    f"{CLOUD}type": "external", f"{CLOUD}nlb-target-type": "ip", f"{CLOUD}scheme": "internet-facing",
    f"{CLOUD}attributes": "load_balancing.cross_zone.enabled=true",
}  # fmt: skip


def _ingress(place: str, host: str, port: int) -> Body:
    namespace, name = place.split("/")
    backend = {"service": {"name": name, "port": {"number": port}}}
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "ingressClassName": "nginx", "tls": [{"hosts": [host], "secretName": f"{name}-tls"}],
            "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        },
    }  # fmt: skip


def _door(version: str, chart: str, annotations: dict[str, str]) -> list[Body]:
    """What the chart makes: settings, controller, the Service towards the balancer, the class."""
    marks = {"app.kubernetes.io/managed-by": "Helm", "helm.sh/chart": f"ingress-nginx-{chart}"}
    place = "ingress-nginx/ingress-nginx-controller"
    settings = config_map(
        place,
        {
            "use-proxy-protocol": "true",
            "log-format-escape-json": "true",
            "proxy-body-size": "20m",
            "error-log-level": "notice",
        },
    )
    made = deployment(
        place,
        container("controller", f"ingress-nginx/controller:{version}", memory=("256Mi", "512Mi"), args=[
            "/nginx-ingress-controller", "--election-id=ingress-nginx-leader", "--controller-class=k8s.io/ingress-nginx",
            "--ingress-class=nginx", "--configmap=$(POD_NAMESPACE)/ingress-nginx-controller",
            "--publish-service=$(POD_NAMESPACE)/ingress-nginx-controller",
        ], env={"POD_NAMESPACE": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            ports=[{"name": "http", "containerPort": 80}, {"name": "https", "containerPort": 443}],
            readinessProbe={"httpGet": {"path": "/healthz", "port": 10254}, "periodSeconds": 10},
            livenessProbe={"httpGet": {"path": "/healthz", "port": 10254}, "periodSeconds": 10, "failureThreshold": 5}),
    )  # fmt: skip
    outside: Body = {
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "ingress-nginx-controller", "namespace": "ingress-nginx", "annotations": annotations},
        "spec": {
            "type": "LoadBalancer", "selector": {"app": "ingress-nginx-controller"}, "externalTrafficPolicy": "Local",
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "https", "port": 443, "targetPort": "https"}],
        },
    }  # fmt: skip
    kind: Body = {
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    }  # fmt: skip
    made_by_chart: list[Body] = [settings, made, outside, kind]
    for one in made_by_chart:
        one["metadata"]["labels"] = {**one["metadata"].get("labels", {}), **marks}
    return made_by_chart


def play(stage: Stage) -> None:
    stage.apply(system())
    stage.apply(_door("v1.12.1", "4.12.1", BEFORE), manager="helm")
    stage.apply([
        deployment("shop/storefront", container("storefront", "shop/storefront:31.4.0", port=8080, ready="/healthz", alive="/healthz", env={"CART": "http://cart.shop.svc.cluster.local:8080"}), replicas=3),
        service("shop/storefront", 80, 8080),
        deployment("shop/cart", container("cart", "shop/cart:11.0.2", port=8080, ready="/healthz", env={"STORE": "redis://carts.shop.svc.cluster.local:6379"})),
        service("shop/cart", 8080),
        stateful_set("shop/carts", container("redis", "redis:7.4.1", port=6379)),
        service("shop/carts", 6379, headless=True),
        _ingress("shop/storefront", "shop.example.com", 80),
        deployment("press/site", container("site", "press/site:2026.10.8", port=8080, ready="/"), replicas=2),
        service("press/site", 80, 8080),
        _ingress("press/site", "press.example.com", 80),
    ])  # fmt: skip
    stage.calm()
    _published(stage)
    stage.wait(days=40, hours=2)
    stage.kubectl(
        "set",
        "image",
        "deployment/storefront",
        "storefront=registry.example.com/shop/storefront:31.5.0",
        "-n",
        "shop",
    )
    stage.calm()
    stage.wait(minutes=14)
    stage.apply(_door("v1.12.3", "4.12.3", AFTER), manager="helm")
    stage.calm()
    _published(stage)
    stage.wait(minutes=22)
    broken = [
        '<%Y/%m/%d %H:%M:%S> [error] 29#29: *<1000-9999> broken header: "GET /healthz HTTP/1.1" while reading PROXY protocol, client: 10.20.0.<11-13>, server: 0.0.0.0:80',
        '<%Y/%m/%d %H:%M:%S> [error] 31#31: *<1000-9999> broken header: "GET / HTTP/1.1" while reading PROXY protocol, client: 203.0.113.<10-90>, server: 0.0.0.0:80',
        '<%Y/%m/%d %H:%M:%S> [error] 30#30: *<1000-9999> broken header: "..............L.." while reading PROXY protocol, client: 198.51.100.<10-90>, server: 0.0.0.0:443',
    ]
    begin = [
        'I<%m%d %H:%M:%S.%3>210       7 main.go:205] "Creating API client" host="https://10.96.0.1:443"',
        'I<%m%d %H:%M:%S.%3>870       7 nginx.go:273] "Starting NGINX Ingress controller"',
        'I<%m%d %H:%M:%S.%3>102       7 event.go:377] Event(v1.ObjectReference{Kind:"ConfigMap", Namespace:"ingress-nginx", Name:"ingress-nginx-controller"}): type: \'Normal\' reason: \'CREATE\' ConfigMap ingress-nginx/ingress-nginx-controller',
        'I<%m%d %H:%M:%S.%3>455       7 controller.go:196] "Configuration changes detected, backend reload required"',
        'I<%m%d %H:%M:%S.%3>618       7 controller.go:216] "Backend successfully reloaded"',
    ]
    for pod in stage.pods("ingress-nginx/ingress-nginx-controller"):
        stage.log(
            f"ingress-nginx/{pod['metadata']['name']}",
            printed(stage.ago(minutes=22), [*begin, *(broken * 14)], every_s=29),
        )
    chatter(
        stage,
        "shop/storefront",
        ['<%Y-%m-%dT%H:%M:%S.%3>Z INFO http GET /healthz 200 <1-4>ms agent="kube-probe/1.36"'],
        count=30,
    )
    chatter(
        stage,
        "shop/cart",
        ['<%Y-%m-%dT%H:%M:%S.%3>Z INFO http GET /healthz 200 <1-4>ms agent="kube-probe/1.36"'],
        count=20,
    )
    chatter(
        stage,
        "press/site",
        ['10.244.0.1 - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET / HTTP/1.1" 200 <9000-9100> "-" "kube-probe/1.36"'],
        count=20,
    )
    stage.fire(minutes_ago=17)


def _published(stage: Stage) -> None:
    """What the cloud's controller writes once the balancer is there."""
    host = "k8s-ingressn-ingressn-4d1f0c7a52-9b1e6a0f.elb.eu-central-1.example.com"
    stage.status(
        "services/ingress-nginx/ingress-nginx-controller",
        {"loadBalancer": {"ingress": [{"hostname": host}]}},
        manager="aws-load-balancer-controller",
    )
    for place in ("shop/storefront", "press/site"):
        stage.status(
            f"ingresses/{place}",
            {"loadBalancer": {"ingress": [{"hostname": host}]}},
            manager="nginx-ingress-controller",
        )
