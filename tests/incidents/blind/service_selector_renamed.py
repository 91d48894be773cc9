"""An upgrade half applied: the Service selects by a label that no pod carries; its client in another namespace fails."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, daemon_set, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="After an upgrade the search Service selects no pod",
    half=Half.blind,
    story="The new chart uses the recommended labels. The Service takes them; the Deployment keeps the old ones, since "
    "its selector cannot be changed. Without endpoints every connection is refused, and the listing pages turn unready.",
    sources=[
        "https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/#does-the-service-have-any-endpointslices",
        "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#label-selector-updates",
        "https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/",
    ],
    labels={
        "alertname": "KubeDeploymentReplicasMismatch",
        "namespace": "shopfront",
        "deployment": "listing-web",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    annotations={
        "summary": "Deployment has not matched the expected number of replicas.",
        "description": "Deployment shopfront/listing-web has not matched the expected number of replicas for longer than 15 minutes.",
    },
    causes=["Service/discovery/search-api", "Deployment/discovery/search-api"],
    says=[
        ["app.kubernetes.io/name"],
        [
            "no endpoint", "no ready endpoint", "without endpoints", "0 endpoints", "selects no", "selector matches no",
            "matches no", "no pod",
        ],
    ],
    innocent=["Deployment/shopfront/listing-web", "Service/shopfront/listing-web"],
    traits=frozenset({Trait.innocent}),
)  # fmt: skip


def play(stage: Stage) -> None:
    search = service("discovery/search-api", 80, 8080)
    engine = container(
        "search-api", "discovery/search-api:3.11.4", port=8080, ready="/actuator/health/readiness",
        alive="/actuator/health/liveness", memory=("768Mi", "1Gi"), cpu="250m",
        env={"JAVA_TOOL_OPTIONS": "-XX:MaxRAMPercentage=70", "INDEX_URL": "http://index.discovery.svc:9200"},
    )  # fmt: skip
    stage.apply([
        *system(),
        deployment("discovery/search-api", engine, replicas=3),
        search,
        stateful_set("discovery/index", container("opensearch", "discovery/opensearch:3.2.0", port=9200, memory=("1Gi", "2Gi"))),
        service("discovery/index", 9200, headless=True),
        deployment("shopfront/listing-web", container("web", "shopfront/listing-web:118", port=3000, ready="/ready", env={"SEARCH_URL": "http://search-api.discovery.svc.cluster.local"})),
        service("shopfront/listing-web", 80, 3000),
        deployment("shopfront/cart", container("cart", "shopfront/cart:64", port=8000, ready="/healthz")),
        service("shopfront/cart", 80, 8000),
        daemon_set("observability/node-exporter", container("node-exporter", "prometheus/node-exporter:v1.10.2", port=9100, memory=("32Mi", "64Mi"))),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=19, hours=4)
    stage.kubectl(
        "set", "image", "deployment/cart", "cart=registry.example.com/shopfront/cart:65", "-n", "shopfront"
    )
    stage.calm()
    stage.wait(days=3, hours=2)
    named = {"app.kubernetes.io/name": "search-api", "app.kubernetes.io/instance": "search"}
    stage.apply([service("discovery/search-api", 80, 8080, selector=named)])
    stage.kubectl(
        "set", "image", "deployment/search-api", "search-api=registry.example.com/discovery/search-api:4.0.0",
        "-n", "discovery",
    )  # fmt: skip
    stage.calm()
    stage.wait(minutes=2)
    stage.unready("shopfront/listing-web", "HTTP probe failed with statuscode: 503", count=2, failures=9)
    stage.wait(minutes=21)
    address = stage.get("service/discovery/search-api")["spec"]["clusterIP"]
    stage.unready("shopfront/listing-web", "HTTP probe failed with statuscode: 503", count=2, failures=126)
    chatter(stage, "shopfront/listing-web", [
        f'{{"level":"error","time":"<%Y-%m-%dT%H:%M:%S.%3Z>","pid":1,"err":{{"type":"Error","message":"connect ECONNREFUSED {address}:80","code":"ECONNREFUSED","syscall":"connect","address":"{address}","port":80}},"url":"http://search-api.discovery.svc.cluster.local/v2/query","msg":"search request failed"}}',
        '{"level":"warn","time":"<%Y-%m-%dT%H:%M:%S.%3Z>","pid":1,"check":"search","consecutiveFailures":<80-130>,"msg":"readiness: dependency down"}',
        '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3Z>","pid":1,"req":{"method":"GET","url":"/ready"},"res":{"statusCode":503},"responseTime":<3-9>,"msg":"request completed"}',
    ], count=45)  # fmt: skip
    for pod in stage.pods("discovery/search-api"):
        stage.log(f"discovery/{pod['metadata']['name']}", printed(stage.ago(minutes=23), [
            "<%Y-%m-%dT%H:%M:%S.%3Z>  INFO 1 --- [search-api] [           main] c.e.search.SearchApiApplication          : Starting SearchApiApplication v4.0.0 using Java 21.0.9 with PID 1",
            "<%Y-%m-%dT%H:%M:%S.%3Z>  INFO 1 --- [search-api] [           main] o.s.b.w.embedded.tomcat.TomcatWebServer  : Tomcat initialized with port 8080 (http)",
            "<%Y-%m-%dT%H:%M:%S.%3Z>  INFO 1 --- [search-api] [           main] c.e.search.index.IndexClient             : Connected to http://index.discovery.svc:9200, cluster status green",
            "<%Y-%m-%dT%H:%M:%S.%3Z>  INFO 1 --- [search-api] [           main] o.s.b.w.embedded.tomcat.TomcatWebServer  : Tomcat started on port 8080 (http) with context path '/'",
            "<%Y-%m-%dT%H:%M:%S.%3Z>  INFO 1 --- [search-api] [           main] c.e.search.SearchApiApplication          : Started SearchApiApplication in 6.8<10-99> seconds (process running for 7.4<10-99>)",
        ], every_s=1.6))  # fmt: skip
    chatter(stage, "shopfront/cart", [
        'INFO:     10.244.<0-2>.<4-30>:<33000-60000> - "GET /carts/<1000-9999> HTTP/1.1" 200 OK',
        'INFO:     10.244.<0-2>.<4-30>:<33000-60000> - "POST /carts/<1000-9999>/items HTTP/1.1" 201 Created',
        'INFO:     10.20.0.1<1-3>:<33000-60000> - "GET /healthz HTTP/1.1" 200 OK',
    ])  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=6)
