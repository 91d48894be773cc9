"""A router that was removed has left what it said of a Route, as routers do; a new rule reads it as if it were said today."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set

INCIDENT = Incident(
    title="RouteNotAdmitted of halls by router fair: that router was removed nine days ago and its word stays in the status; the default router admits the Route",
    half=Half.tuned,
    story=(
        "For the autumn fair a second IngressController, fair, ran for two weeks. While the Route of last year's halls still held the host name it refused the new one (HostAlreadyClaimed)."
        " It was removed with its pods, last year's namespace was emptied a day later, and the default router has admitted halls since. A router does not take its entry out of a status when it"
        " goes, so the Route names both. The rule is two hours old and fires for any entry that is False. halls answers thousands of requests an hour; stands was released this morning."
    ),
    sources=[
        "https://github.com/openshift/origin/blob/release-3.11/images/router/clear-route-status.sh",
        "https://docs.redhat.com/en/documentation/openshift_container_platform/4.18/html/ingress_and_load_balancing/configuring-ingress-cluster-traffic",
        "https://github.com/openshift/router/blob/master/pkg/router/controller/status.go",
        "https://github.com/openshift/openshift-state-metrics/blob/master/docs/route-metrics.md",
    ],
    labels={
        "alertname": "RouteNotAdmitted", "severity": "critical", "job": "openshift-state-metrics", "namespace": "fairground", "route": "halls",
        "host": "halls.apps.example.com", "router_name": "fair", "type": "Admitted", "status": "False",
    },
    annotations={"summary": "Route halls is not admitted.", "description": "Route fairground/halls (halls.apps.example.com) is not admitted by router fair."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["router status", "ingress operator status", "prometheus-operator objects"],
)  # fmt: skip

ROUTE = "route.openshift.io"
OPERATOR = "operator.openshift.io"
HOSTS = {"halls": "halls.apps.example.com", "stands": "stands.apps.example.com"}


def _route(place: str, host: str) -> Body:
    namespace, name = place.split("/")
    return {
        "apiVersion": f"{ROUTE}/v1", "kind": "Route", "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "host": host, "port": {"targetPort": "main"}, "tls": {"termination": "edge", "insecureEdgeTerminationPolicy": "Redirect"},
            "to": {"kind": "Service", "name": name, "weight": 100}, "wildcardPolicy": "None",
        },
    }  # fmt: skip


def _controller(name: str, domain: str, replicas: int) -> Body:
    return {
        "apiVersion": f"{OPERATOR}/v1", "kind": "IngressController", "metadata": {"name": name, "namespace": "openshift-ingress-operator"},
        "spec": {"domain": domain, "replicas": replicas, "routeAdmission": {"wildcardPolicy": "WildcardsDisallowed"}},
    }  # fmt: skip


def _router(name: str, replicas: int) -> list[Body]:
    pod = container("router", "ocp/haproxy-router:v4.18.27", port=1936, ready="/healthz/ready", alive="/healthz", memory=("256Mi", "512Mi"), env={"ROUTER_SERVICE_NAME": name, "ROUTER_METRICS_TYPE": "haproxy"})  # fmt: skip
    return [deployment(f"openshift-ingress/router-{name}", pod, replicas=replicas), service(f"openshift-ingress/router-internal-{name}", 1936, selector={"app": f"router-{name}"})]  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd(ROUTE, "v1", "Route", "routes")
    stage.crd(OPERATOR, "v1", "IngressController", "ingresscontrollers")
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    stage.apply([
        _controller("default", "apps.example.com", 2),
        *_router("default", 2),
        deployment("openshift-ingress-operator/ingress-operator", container("ingress-operator", "ocp/ingress-operator:v4.18.27", memory=("96Mi", "256Mi")), replicas=1),
        deployment("openshift-monitoring/openshift-state-metrics", container("openshift-state-metrics", "ocp/openshift-state-metrics:v4.18.27", port=8443), replicas=1), service("openshift-monitoring/openshift-state-metrics", 8443),
        deployment("fairground-2025/halls", container("halls", "fairground/halls:2.4.0", port=8080, ready="/ready"), replicas=1), service("fairground-2025/halls", 80, 8080),
        _route("fairground-2025/halls", HOSTS["halls"]),
        deployment("town/weather", container("weather", "town/weather:4.1.0", port=8080, ready="/up"), replicas=1), service("town/weather", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.status(f"ingresscontrollers.{OPERATOR}/openshift-ingress-operator/default", {
        "availableReplicas": 2, "domain": "apps.example.com", "selector": "app=router-default",
        "conditions": [
            {"type": "Available", "status": "True", "lastTransitionTime": stage.stamp()},
            {"type": "Degraded", "status": "False", "lastTransitionTime": stage.stamp()},
            {"type": "Progressing", "status": "False", "reason": "Available", "lastTransitionTime": stage.stamp()},
        ],
    }, manager="ingress-operator")  # fmt: skip
    _says(stage, "fairground-2025/halls", HOSTS["halls"], default=True)
    stage.wait(days=3, hours=1)
    stage.apply([
        _controller("fair", "fair.example.com", 1),
        *_router("fair", 1),
        config_map("fairground/plan", {"halls.csv": "A,machines\nB,textiles\nC,books\n"}),
        deployment("fairground/halls", container("halls", "fairground/halls:3.0.2", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "exhibitors.fairground.svc"}, envFrom=[{"configMapRef": {"name": "plan"}}]), replicas=3), service("fairground/halls", 80, 8080),
        deployment("fairground/stands", container("stands", "fairground/stands:1.11.0", port=8080, ready="/ready", env={"HALLS_URL": "http://halls.fairground.svc"})), service("fairground/stands", 80, 8080),
        stateful_set("fairground/exhibitors", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("fairground/exhibitors", 5432, headless=True),
        *(_route(f"fairground/{name}", host) for name, host in HOSTS.items()),
    ])  # fmt: skip
    stage.calm()
    _says(stage, "fairground-2025/halls", HOSTS["halls"], default=True, fair=True)
    _says(stage, "fairground/stands", HOSTS["stands"], default=True, fair=True)
    # Both routers find last year's Route under the name.
    _says(stage, "fairground/halls", HOSTS["halls"], default=False, fair=False)
    stage.wait(days=14, hours=2)
    stage.delete(f"ingresscontrollers.{OPERATOR}/openshift-ingress-operator/fair")
    stage.delete("deployments/openshift-ingress/router-fair")
    stage.delete("services/openshift-ingress/router-internal-fair")
    stage.calm()
    stage.wait(days=1, hours=3)
    stage.delete(f"routes.{ROUTE}/fairground-2025/halls")
    stage.delete("deployments/fairground-2025/halls")
    stage.delete("services/fairground-2025/halls")
    stage.calm()
    _admit(stage)
    stage.wait(days=8, hours=1, minutes=20)
    stage.kubectl("set", "image", "deployment/stands", "stands=registry.example.com/fairground/stands:1.11.1", "-n", "fairground")  # fmt: skip
    stage.calm()
    stage.wait(hours=3, minutes=5)
    stage.apply([{
        "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "routes", "namespace": "openshift-monitoring"}, "spec": {"groups": [{"name": "routes", "rules": [
            {"alert": "RouteNotAdmitted", "expr": 'openshift_route_status{type="Admitted",status="False"} == 1', "for": "15m", "labels": {"severity": "critical"}, "annotations": {"summary": "Route {{ $labels.route }} is not admitted."}},
        ]}]},
    }])  # fmt: skip
    stage.wait(minutes=58)
    stage.edit("configmaps/fairground/plan", lambda body: body["data"].update({"halls.csv": "A,machines\nB,textiles\nC,books\nD,toys\n"}))  # fmt: skip
    stage.wait(minutes=64)
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=106)


def _entry(stage: Stage, host: str, router: str, admitted: bool) -> Body:
    condition: Body = {"type": "Admitted", "status": "True" if admitted else "False", "lastTransitionTime": stage.stamp()}  # fmt: skip
    if not admitted:
        condition |= {"reason": "HostAlreadyClaimed", "message": "a route in another namespace holds halls.apps.example.com and is older than halls"}  # fmt: skip
    domain = "apps.example.com" if router == "default" else "fair.example.com"
    return {"host": host, "routerName": router, "routerCanonicalHostname": f"router-{router}.{domain}", "wildcardPolicy": "None", "conditions": [condition]}  # fmt: skip


def _says(stage: Stage, place: str, host: str, **routers: bool) -> None:
    stage.status(f"routes.{ROUTE}/{place}", {
        "ingress": [_entry(stage, host, name, admitted) for name, admitted in routers.items()],
    }, manager="openshift-router")  # fmt: skip


def _admit(stage: Stage) -> None:
    """The default router looks again and changes its own entry; nobody is there for the other one."""
    said = stage.get(f"routes.{ROUTE}/fairground/halls")["status"]["ingress"]
    others = [one for one in said if one["routerName"] != "default"]
    stage.status(f"routes.{ROUTE}/fairground/halls", {
        "ingress": [_entry(stage, HOSTS["halls"], "default", True), *others],
    }, manager="openshift-router")  # fmt: skip


def _logs(stage: Stage) -> None:
    addresses = [pod["status"]["podIP"] for pod in stage.pods("fairground/halls-")]
    for n, pod in enumerate(stage.pods("openshift-ingress/router-default")):
        stage.log(f"openshift-ingress/{pod['metadata']['name']}", printed(stage.ago(minutes=58 - n), [
            'I<%m%d %H:%M:%S.%3>310       1 router.go:665] "msg"="router reloaded" "logger"="template" "output"=" - Checking http://localhost:80 using PROXY protocol ...\\n - Health check ok : 0 retry attempt(s).\\n"',
            *[
                f"<%Y-%m-%dT%H:%M:%S.%3>Z 198.51.100.<2-250>:<30000-60000> [<%d/%b/%Y:%H:%M:%S.%3>] fe_sni~ be_edge_http:fairground:halls/pod:halls:halls:main:{address}:8080 0/0/1/<6-40>/<7-42> 200 <900-9000> - - --NI 31/14/2/1/0 0/0 \"GET /plan HTTP/1.1\""
                for address in addresses * 9
            ],
            "<%Y-%m-%dT%H:%M:%S.%3>Z 192.0.2.<2-250>:<30000-60000> [<%d/%b/%Y:%H:%M:%S.%3>] public public/<NOSRV> -1/-1/-1/-1/0 400 187 - - PR-- 21/7/0/0/3 0/0 \"<BADREQ>\"",
            "W<%m%d %H:%M:%S.%3>114       1 reflector.go:561] watch of *v1.EndpointSlice ended with: too old resource version, a new one is started",
        ], every_s=112))  # fmt: skip
    chatter(stage, "openshift-ingress-operator/ingress-operator", [
        '<%Y-%m-%dT%H:%M:%S.%3>Z\tINFO\toperator.ingress_controller\tcontroller/controller.go:<300-400>\treconciling\t{"request": {"name":"default","namespace":"openshift-ingress-operator"}}',
        '<%Y-%m-%dT%H:%M:%S.%3>Z\tERROR\toperator.canary_controller\twait/backoff.go:226\terror performing canary route check\t{"error": "request cut off by a reload of the router, 1 of 5"}',
        '<%Y-%m-%dT%H:%M:%S.%3>Z\tINFO\toperator.status_controller\tcontroller/controller.go:<300-400>\tReconciling\t{"request": {"name":"default","namespace":"openshift-ingress-operator"}}',
    ], count=14, minutes=55)  # fmt: skip
    chatter(stage, "openshift-monitoring/openshift-state-metrics", ['I<%m%d %H:%M:%S.%3>441       1 reflector.go:<200-400>] "watch closed and opened again" type="*v1.Route"'], count=4, minutes=50)  # fmt: skip
    chatter(stage, "fairground/halls-", ["INFO  halls: GET /plan 200 <6-30>ms", "WARN  halls: stand C-<100-400> has no exhibitor yet"], count=36, minutes=55)  # fmt: skip
    chatter(stage, "fairground/stands-", ["INFO  stands: GET /stands/<100-900> 200 <8-30>ms", "ERROR stands: booking refused: stand A-<100-400> is taken"], count=24, minutes=55)  # fmt: skip
    chatter(stage, "fairground/exhibitors", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=5, minutes=55)  # fmt: skip
    chatter(stage, "town/weather", ["GET /forecast 200 <4-12>ms"], count=8, minutes=55)


def _metrics(stage: Stage) -> None:
    """Every fifteen minutes for eight days, within which the default router has admitted halls."""
    count, step = 8 * 96, 900
    here: Body = {"namespace": "fairground", "route": "halls", "host": HOSTS["halls"], "type": "Admitted"}
    stage.metric("admitted", 'openshift_route_status{namespace="fairground",type="Admitted",status="True"}', [
        ({**here, "router_name": "default", "status": "True"}, [1.0] * count),
        *(({**here, "route": "stands", "host": HOSTS["stands"], "router_name": name, "status": "True"}, [1.0] * count) for name in ("default", "fair")),
    ], step_s=step)  # fmt: skip
    stage.metric("not-admitted", 'openshift_route_status{namespace="fairground",type="Admitted",status="False"}', [
        ({**here, "router_name": "fair", "status": "False"}, [1.0] * count),
    ], step_s=step)  # fmt: skip
    routes = 'sum by (exported_namespace, route) (rate(haproxy_backend_http_responses_total{exported_namespace="fairground"'
    served = [({"exported_namespace": "fairground", "route": "halls"}, about(4.2, count, noise=0.3, of="halls")), ({"exported_namespace": "fairground", "route": "stands"}, about(2.6, count, noise=0.3, of="stands"))]  # fmt: skip
    stage.metric("answered", routes + ',code="2xx"}[5m]))', served, step_s=step)
    stage.metric("errors", routes + ',code="5xx"}[5m])) / ' + routes + "}[5m]))", [
        ({"exported_namespace": "fairground", "route": "halls"}, about(0.0003, count, noise=0.9)),
        ({"exported_namespace": "fairground", "route": "stands"}, about(0.0004, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
    stage.metric("probe", 'probe_success{instance=~"https://(halls|stands).apps.example.com/"}', [
        ({"job": "blackbox", "instance": f"https://{host}/"}, [1.0] * count) for host in HOSTS.values()
    ], step_s=step)  # fmt: skip
    stage.metric("routers", 'kube_deployment_status_replicas_available{namespace="openshift-ingress"}', [
        ({"namespace": "openshift-ingress", "deployment": "router-default"}, [2.0] * count),
    ], step_s=step)  # fmt: skip
