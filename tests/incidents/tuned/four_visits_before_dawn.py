"""Four requests within a quarter of an hour, two of them a stranger's with a method that the servlet does not know."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="IngressServerErrors of allotments before dawn: two of four requests were PROPFINDs of a crawler, which a servlet answers with 501",
    half=Half.tuned,
    story=(
        "The rule fires when more than a quarter of fifteen minutes' requests were answered with 5xx. At twelve minutes to four there were four: two of gardeners, answered with 200, and two PROPFIND of"
        " a crawler that looks for WebDAV, answered with 501, as the servlet does not implement it. Such visitors come in most nights, and by day nobody sees them among the others. allotments was released"
        " the evening before; its watering plan was edited; a pod of seeds restarted last week."
    ),
    sources=[
        "https://sre.google/workbook/alerting-on-slos/#low-traffic-services-and-error-budget-alerting",
        "https://jakarta.ee/specifications/servlet/6.0/apidocs/jakarta.servlet/jakarta/servlet/http/httpservlet",
        "https://www.rfc-editor.org/rfc/rfc9110.html#name-501-not-implemented",
        "https://github.com/kubernetes/ingress-nginx/blob/main/docs/user-guide/monitoring.md",
    ],
    labels={
        "alertname": "IngressServerErrors",
        "severity": "critical",
        "namespace": "gardens",
        "ingress": "allotments",
        "host": "allotments.example.org",
    },
    annotations={"summary": "50 % of the requests to allotments.example.org were answered with 5xx within 15 minutes."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)  # fmt: skip

RULES = """\
groups:
- name: ingress
  rules:
  - alert: IngressServerErrors
    expr: |
      sum by (namespace, ingress, host) (increase(nginx_ingress_controller_requests{status=~"5.."}[15m]))
        / sum by (namespace, ingress, host) (increase(nginx_ingress_controller_requests[15m])) > 0.25
    for: 5m
    labels:
      severity: critical
"""


def _ingress(name: str, host: str) -> Body:
    return {
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name, "namespace": "gardens"},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": name, "port": {"number": 80}}}}]}}]},
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}},
        deployment("ingress-nginx/ingress-nginx-controller", container("controller", "ingress-nginx/controller:v1.13.3", port=80, ready="/healthz", memory=("256Mi", "512Mi"))), service("ingress-nginx/ingress-nginx-controller", 80),
        config_map("alerting/ingress-rules", {"ingress.yaml": RULES}),
        config_map("gardens/watering", {"plan.yaml": "summer: [6, 20]\nwinter: []\n"}),
        deployment("gardens/allotments", container("tomcat", "gardens/allotments:2.13.0", port=8080, ready="/health", alive="/health", memory=("512Mi", "1Gi"), env={"DB_HOST": "plots.gardens.svc", "SEEDS_URL": "http://seeds.gardens.svc"}, mounts={"plan": "/plan"}), pod={"volumes": [{"name": "plan", "configMap": {"name": "watering"}}]}), service("gardens/allotments", 80, 8080),
        deployment("gardens/seeds", container("seeds", "gardens/seeds:1.6.2", port=8080, ready="/ready")), service("gardens/seeds", 80, 8080),
        stateful_set("gardens/plots", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("gardens/plots", 5432, headless=True),
        _ingress("allotments", "allotments.example.org"), _ingress("seeds", "seeds.example.org"),
        deployment("civic/newsletter", container("newsletter", "civic/newsletter:4.4.0", port=8080, ready="/ready"), replicas=1), service("civic/newsletter", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    for name in ("allotments", "seeds"):
        stage.status(f"ingresses/gardens/{name}", {"loadBalancer": {"ingress": [{"ip": "203.0.113.61"}]}}, manager="nginx-ingress-controller")  # fmt: skip
    stage.clock.until(datetime(2026, 11, 20, 11, 3, tzinfo=UTC))
    stage.recovered(f"gardens/{stage.pods('gardens/seeds')[0]['metadata']['name']}", restarts=2, code=1, lived_s=86000)  # fmt: skip
    stage.clock.until(datetime(2026, 11, 26, 15, 40, tzinfo=UTC))
    stage.edit("configmaps/gardens/watering", lambda body: body["data"].update({"plan.yaml": "summer: [6, 20]\nwinter: [12]\n"}))  # fmt: skip
    stage.wait(hours=2, minutes=50)
    stage.kubectl("set", "image", "deployment/allotments", "tomcat=registry.example.com/gardens/allotments:2.13.1", "-n", "gardens")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 27, 3, 53, tzinfo=UTC))
    stage.heartbeat()
    _logs(stage)
    _metrics(stage)
    stage.fire(minutes_ago=5)


def _visit(client: str, request: str, status: int, agent: str, upstream: str = "gardens-allotments-80") -> str:  # fmt: skip
    return (
        f'{client} - - [<%d/%b/%Y:%H:%M:%S> +0000] "{request} HTTP/1.1" {status} <600-4000> "-" "{agent}" <200-500> 0.0<10-40>'
        f" [{upstream}] [] 10.244.<0-2>.<4-9>:8080 <600-4000> 0.0<10-40> {status}"
    )


def _logs(stage: Stage) -> None:
    browser, crawler = "Mozilla/5.0 (X11; Linux x86_64)", "davscan/1.2"
    garden = "192.0.2.<2-250>"
    first, second = [pod["metadata"]["name"] for pod in stage.pods("ingress-nginx/ingress-nginx-controller")]
    stage.log(f"ingress-nginx/{first}", "\n".join([
        printed(stage.ago(minutes=171), [
            _visit(garden, "GET /plots/<10-400>", 200, browser), _visit(garden, "GET /waiting-list", 200, browser),
            _visit("198.51.100.<2-250>", "GET /.env", 404, "python-requests/2.32"), _visit(garden, "GET /beans", 200, browser, "gardens-seeds-80"),
            _visit(garden, "GET /plots/<10-400>", 200, browser), _visit(garden, "GET /", 200, browser, "gardens-seeds-80"),
        ] * 4, every_s=360),
        printed(stage.ago(minutes=12, seconds=20), [_visit("203.0.113.201", "PROPFIND /", 501, crawler)]),
        printed(stage.ago(minutes=9), [_visit(garden, "GET /waiting-list", 200, browser)]),
    ]))  # fmt: skip
    stage.log(f"ingress-nginx/{second}", "\n".join([
        printed(stage.ago(minutes=160), [
            _visit(garden, "GET /beans", 200, browser, "gardens-seeds-80"), _visit(garden, "GET /plots/<10-400>", 200, browser),
            '<%Y/%m/%d %H:%M:%S> [warn] 33#33: *<10000-99999> an upstream response is buffered to a temporary file /tmp/nginx/proxy-temp/4/07/0000000<10-99> while reading upstream, client: 192.0.2.18, server: seeds.example.org, request: "GET /catalogue.pdf HTTP/1.1"',
            _visit(garden, "GET /waiting-list", 200, browser), _visit(garden, "GET /", 200, browser, "gardens-seeds-80"),
        ] * 4, every_s=396),
        printed(stage.ago(minutes=11, seconds=48), [_visit("203.0.113.201", "PROPFIND /webdav/", 501, crawler)]),
        printed(stage.ago(minutes=6), [_visit(garden, "GET /plots/<10-400>", 200, browser)]),
    ]))  # fmt: skip
    served = "<%d-%b-%Y %H:%M:%S.%3> INFO [http-nio-8080-exec-<1-9>] org.example.gardens.AccessLog "
    one, other = [pod["metadata"]["name"] for pod in stage.pods("gardens/allotments")]
    stage.log(f"gardens/{one}", "\n".join([
        printed(stage.ago(minutes=155), [served + "GET /plots/<10-400> 200 <9-30>ms", served + "GET /waiting-list 200 <9-30>ms", served + "GET /plots/<10-400> 200 <9-30>ms"] * 4, every_s=620),
        printed(stage.ago(minutes=12, seconds=20), [
            served + "PROPFIND / 501 1ms Method [PROPFIND] is not implemented by this Servlet for this URI"]),
        printed(stage.ago(minutes=6), [served + "GET /plots/<10-400> 200 <9-30>ms"]),
    ]))  # fmt: skip
    stage.log(f"gardens/{other}", "\n".join([
        printed(stage.ago(minutes=140), [served + "GET /plots/<10-400> 304 <4-9>ms", served + "GET /.env 404 <1-3>ms", served + "GET /waiting-list 200 <9-30>ms"] * 4, every_s=560),
        printed(stage.ago(minutes=11, seconds=48), [
            served + "PROPFIND /webdav/ 501 1ms Method [PROPFIND] is not implemented by this Servlet for this URI"]),
        printed(stage.ago(minutes=9), [served + "GET /waiting-list 200 <9-30>ms"]),
    ]))  # fmt: skip
    chatter(stage, "gardens/seeds", ["INFO  seeds: GET /beans 200 <4-12>ms", "WARN  seeds: picture of bean <10-99> is missing"], count=4, minutes=150)  # fmt: skip
    chatter(stage, "gardens/plots", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=3, minutes=150)  # fmt: skip
    chatter(stage, "civic/newsletter", ["INFO  newsletter: nothing to send"], count=5, minutes=150)


def _metrics(stage: Stage) -> None:
    """Every five minutes for six days; each value counts the quarter of an hour before."""
    count, step = 6 * 288, 300
    end = stage.now.replace(microsecond=0)
    hours = [(end - timedelta(seconds=step * (count - 1 - n))).hour for n in range(count)]
    night = [hour < 6 or hour == 23 for hour in hours]
    # Crawlers that try WebDAV: three values each, in most nights between two and five, and some by day.
    asked = {n for first in (0, 288 + 17, 2 * 288 - 11, 4 * 288 + 9, 700, 1010, 1330) for n in range(count - 3 - first, count - first)}  # fmt: skip
    unknown = [2.0 if n in asked else 0.0 for n in range(count)]
    usual = [float(2 + n // 3 % 3) if dark else much for n, (dark, much) in enumerate(zip(night, whole(about(190, count, noise=0.25)), strict=True))]  # fmt: skip
    usual[-3:] = [0.0, 2.0, 2.0]
    missing = [float(n % 5 < 2) if dark else float(n % 4) for n, dark in enumerate(night)]
    missing[-3:] = [0.0] * 3
    here: Body = {"namespace": "gardens", "ingress": "allotments", "host": "allotments.example.org"}
    stage.metric("by-status", 'sum by (namespace, ingress, host, status) (increase(nginx_ingress_controller_requests{ingress="allotments"}[15m]))', [
        ({**here, "status": "200"}, usual),
        ({**here, "status": "404"}, missing),
        ({**here, "status": "501"}, unknown),
    ], step_s=step)  # fmt: skip
    stage.metric("server-errors", 'sum by (namespace, ingress, host) (increase(nginx_ingress_controller_requests{status=~"5.."}[15m])) / sum by (namespace, ingress, host) (increase(nginx_ingress_controller_requests[15m]))', [
        (here, [bad / (bad + good + none) for bad, good, none in zip(unknown, usual, missing, strict=True)]),
    ], step_s=step)  # fmt: skip
    stage.metric("p99", "histogram_quantile(0.99, sum by (namespace, ingress, le) (rate(nginx_ingress_controller_request_duration_seconds_bucket[15m])))", [
        ({"namespace": "gardens", "ingress": "allotments"}, about(0.041, count, noise=0.2)),
    ], step_s=step)  # fmt: skip
