"""One of three places outside does not reach the portal; whatever the cluster records of itself is as ever."""

from __future__ import annotations

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident
from tests.incidents.logs import chatter
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="ProbeFailedExecutionsTooHigh from Sydney alone: its requests do not arrive, and those that arrive from anywhere are answered as ever",
    half=Half.tuned,
    story=(
        "A synthetic check from Sydney waits in vain for a connection since forty minutes. The same check from Frankfurt and from Oregon succeeds; the ingress sees the usual"
        " number of requests and answers them as fast as ever. What lies between Sydney and the load balancer is not recorded here. The portal's release of the morning, a canary"
        " scaled to zero and an unused Service are as they should be."
    ),
    sources=[
        "https://grafana.com/docs/grafana-cloud/testing/synthetic-monitoring/configure-alerts/configure-per-check-alerts/",
        "https://grafana.com/blog/top-5-user-requested-synthetic-monitoring-alerts-in-grafana-cloud",
        "https://github.com/prometheus/blackbox_exporter",
    ],
    labels={
        "alertname": "ProbeFailedExecutionsTooHigh",
        "severity": "critical",
        "namespace": "synthetic_monitoring",
        "instance": "https://portal.example.com/login",
        "job": "portal login",
        "probe": "Sydney",
    },
    annotations={"summary": "11 of 13 executions of portal login from Sydney failed within ten minutes."},
    no_cause="insufficient-evidence",
    authored=["synthetic monitoring's series"],
)


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        deployment("ingress-nginx/ingress-nginx-controller", container("controller", "ingress-nginx/controller:v1.13.3", port=443, ready="/healthz", memory=("256Mi", "512Mi"))),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "ingress-nginx-controller", "namespace": "ingress-nginx"}, "spec": {"type": "LoadBalancer", "selector": {"app": "ingress-nginx-controller"}, "ports": [{"name": "https", "port": 443, "targetPort": 443}]}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "portal", "namespace": "portal"}, "spec": {"ingressClassName": "nginx", "rules": [{"host": "portal.example.com", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "portal", "port": {"number": 80}}}}]}}]}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}},
        deployment("portal/portal", container("portal", "portal/portal:14.2.0", port=3000, ready="/up", alive="/up", env={"SIGN_IN_URL": "http://sign-in.portal.svc", "SESSIONS": "redis://sessions.portal.svc:6379"}), replicas=3),
        service("portal/portal", 80, 3000),
        deployment("portal/sign-in", container("sign-in", "portal/sign-in:6.0.3", port=8080, ready="/ready", env={"USERS_DB": "users.portal.svc:5432"})), service("portal/sign-in", 80, 8080),
        stateful_set("portal/sessions", container("redis", "redis:8.2.1", port=6379)), service("portal/sessions", 6379, headless=True),
        stateful_set("portal/users", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"))), service("portal/users", 5432, headless=True),
        deployment("portal/portal-canary", container("portal", "portal/portal:15.0.0-rc2", port=3000, ready="/up"), replicas=0),
        service("portal/portal-old", 80, 3000, selector={"app": "portal-old"}),
        config_map("portal/texts", {"en.json": '{"hello": "Welcome back"}'}),
        deployment("help/articles", container("articles", "help/articles:2.0.0", port=8080, ready="/up")), service("help/articles", 80, 8080),
    ])  # fmt: skip
    balancer = {"loadBalancer": {"ingress": [{"ip": "203.0.113.80", "ipMode": "VIP"}]}}
    stage.status("services/ingress-nginx/ingress-nginx-controller", balancer, manager="cloud-controller-manager")  # fmt: skip
    stage.status("ingresses/portal/portal", {"loadBalancer": {"ingress": [{"ip": "203.0.113.80"}]}}, manager="nginx-ingress-controller")  # fmt: skip
    stage.calm()
    stage.wait(days=17, hours=23)
    stage.kubectl("set", "image", "deployment/portal", "portal=registry.example.com/portal/portal:14.2.1", "-n", "portal")  # fmt: skip
    stage.calm()
    stage.wait(hours=2, minutes=36)
    stage.edit("configmaps/portal/texts", lambda body: body["data"].update({"en.json": '{"hello": "Good to see you"}'}))  # fmt: skip
    stage.wait(minutes=34)
    stage.heartbeat()
    chatter(stage, "ingress-nginx/ingress-nginx-controller", [
        '198.51.100.<2-250> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /login HTTP/2.0" 200 5120 "-" "Mozilla/5.0" 412 0.0<10-40> [portal-portal-80] [] 10.244.1.<4-9>:3000 5120 0.0<10-40> 200',
        '198.51.100.<2-250> - - [<%d/%b/%Y:%H:%M:%S> +0000] "POST /login HTTP/2.0" 303 0 "-" "Mozilla/5.0" 611 0.0<40-90> [portal-portal-80] [] 10.244.2.<4-9>:3000 0 0.0<40-90> 303',
        '192.0.2.<2-250> - - [<%d/%b/%Y:%H:%M:%S> +0000] "GET /wp-login.php HTTP/1.1" 404 548 "-" "python-requests/2.32" 180 0.004 [portal-portal-80] [] 10.244.1.<4-9>:3000 548 0.004 404',
        '<%Y/%m/%d %H:%M:%S> [warn] 33#33: *<10000-99999> a client request body is buffered to a temporary file /tmp/nginx/client-body/0000000<10-99>, client: 198.51.100.<2-250>, server: portal.example.com, request: "POST /avatar HTTP/2.0"',
        '<%Y/%m/%d %H:%M:%S> [error] 33#33: *<10000-99999> upstream prematurely closed connection while reading upstream, client: 192.0.2.<2-250>, server: portal.example.com, request: "GET /events HTTP/2.0", upstream: "http://10.244.1.4:3000/events"',
    ], count=60, minutes=90)  # fmt: skip
    chatter(stage, "portal/portal-", ['{"level":30,"req":{"method":"GET","url":"/login"},"res":{"statusCode":200},"responseTime":<10-40>,"msg":"request completed"}'], minutes=90)  # fmt: skip
    chatter(stage, "portal/sign-in", ["INFO sign-in: POST /tokens 201 <30-80>ms", "WARN sign-in: wrong password, attempt <1-4> of 5"], minutes=90)  # fmt: skip
    chatter(stage, "portal/users", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=8, minutes=90)  # fmt: skip
    chatter(stage, "portal/sessions", ["1:M <%d %b %Y %H:%M:%S.%3> * 100 changes in 300 seconds. Saving..."], count=8, minutes=90)  # fmt: skip
    chatter(stage, "help/articles", ["GET /a/<10-99> 200 <4-20>ms"], count=8)
    _metrics(stage)
    stage.fire(minutes_ago=31)


def _metrics(stage: Stage) -> None:
    """Once a minute for four hours; from Sydney nothing comes through since forty minutes."""
    count, since = 240, 40
    check: Body = {"instance": "https://portal.example.com/login", "job": "portal login"}
    stage.metric("probe_success", "avg by (instance, job, probe) (avg_over_time(probe_success[5m]))", [
        ({**check, "probe": "Sydney"}, [*[1.0] * (count - since), *about(0.12, since, noise=0.7)]),
        ({**check, "probe": "Frankfurt"}, [1.0] * count),
        ({**check, "probe": "Oregon"}, [1.0] * count),
    ])  # fmt: skip
    stage.metric("probe_phase", 'max by (instance, job, probe, phase) (probe_http_duration_seconds{phase="connect"})', [
        ({**check, "probe": "Sydney", "phase": "connect"}, [*about(0.27, count - since, noise=0.1), *about(9.8, since, noise=0.02)]),
        ({**check, "probe": "Frankfurt", "phase": "connect"}, about(0.012, count, noise=0.1)),
        ({**check, "probe": "Oregon", "phase": "connect"}, about(0.15, count, noise=0.1)),
    ])  # fmt: skip
    stage.metric("requests", "sum by (namespace, ingress) (rate(nginx_ingress_controller_requests[5m]))", [({"namespace": "portal", "ingress": "portal"}, about(184, count, noise=0.08))])  # fmt: skip
    stage.metric("failed", 'sum by (namespace, ingress) (rate(nginx_ingress_controller_requests{status=~"5.."}[5m])) / sum by (namespace, ingress) (rate(nginx_ingress_controller_requests[5m]))', [
        ({"namespace": "portal", "ingress": "portal"}, about(0.0005, count, noise=0.9)),
    ])  # fmt: skip
    stage.metric("p99", "histogram_quantile(0.99, sum by (namespace, ingress, le) (rate(nginx_ingress_controller_request_duration_seconds_bucket[5m])))", [
        ({"namespace": "portal", "ingress": "portal"}, about(0.14, count, noise=0.12)),
    ])  # fmt: skip
