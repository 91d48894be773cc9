"""A setting of a dependency's dependency was edited; the shop front is what alerts."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus, stateful_set
from tests.incidents.stage import Stage
from tests.incidents.workloads import config_map, service

INCIDENT = Incident(
    title="A database port edited in one namespace takes the shop front of another down",
    half=Half.tuned,
    story="`kubectl edit` sets the pricing service's DB_PORT to the pooler's 6432, which nobody runs; its restart "
    "cannot connect, the catalogue answers 503 without prices, and the shop front fails its readiness.",
    sources=[
        "https://www.postgresql.org/docs/current/errcodes-appendix.html",
        "https://kubernetes.io/docs/concepts/configuration/configmap/",
    ],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="storefront", deployment="web"),
    causes=["ConfigMap/pricing/pricing-settings"],
    says=[["DB_PORT"], ["5432"], ["6432"]],
    innocent=["Deployment/storefront/web", "Deployment/catalog/catalog-api", "Deployment/mailroom/digest"],
    second=["Deployment/mailroom/digest"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
)

SETTINGS = {
    "DB_HOST": "ledger.pricing.svc.cluster.local",
    "DB_PORT": "5432",
    "DB_NAME": "prices",
    "CACHE_TTL": "300s",
}

MANIFESTS = [
    deployment(
        "storefront/web", "shop/web:7.4.1", replicas=3, port=8080, ready="/ready",
        env={"CATALOG_URL": "http://catalog-api.catalog.svc.cluster.local:8080", "LOG_LEVEL": "info"},
    ),
    service("storefront/web", 80, target=8080),
    deployment("storefront/static", "shop/static:2.0.0", port=8081),
    service("storefront/static", 80, target=8081),
    deployment(
        "catalog/catalog-api", "shop/catalog:5.1.3", port=8080, ready="/healthz/ready",
        env={"PRICING_ADDR": "pricing.pricing:9090", "SEARCH_ADDR": "search.catalog:9200"},
    ),
    service("catalog/catalog-api", 8080),
    stateful_set("catalog/search", "shop/search:8.15.0", port=9200),
    service("catalog/search", 9200),
    config_map("pricing/pricing-settings", SETTINGS),
    deployment(
        "pricing/pricing", "shop/pricing:3.9.0", port=9090, envFrom=[{"configMapRef": {"name": "pricing-settings"}}],
        spec={"strategy": {"type": "Recreate"}},
    ),
    service("pricing/pricing", 9090),
    stateful_set("pricing/ledger", "postgres:16.4", ports=[{"containerPort": 5432}]),
    service("pricing/ledger", 5432),
    deployment("mailroom/digest", "mail/digest:1.12.0", replicas=1),
]  # fmt: skip

PRICING_LOG = """
{"timestamp":"2026-11-24T08:00:01Z","level":"info","logger":"main","message":"pricing 3.9.0 starting"}
{"timestamp":"2026-11-24T08:00:02Z","level":"error","logger":"store","message":"cannot open store: dial tcp 10.96.81.14:6432: connect: connection refused","dsn":"postgres://ledger.pricing.svc.cluster.local:6432/prices"}
{"timestamp":"2026-11-24T08:00:02Z","level":"fatal","logger":"main","message":"giving up: store not available"}
"""
CATALOG_LOG = """
ts=08:12:01 level=info msg="GET /v1/items" status=503 took=12ms
ts=08:12:03 level=error component=prices msg="rpc error: code = Unavailable desc = connection error: dial tcp 10.96.12.7:9090: connect: connection refused" target=pricing.pricing:9090
ts=08:12:07 level=error component=prices msg="rpc error: code = Unavailable desc = connection error: dial tcp 10.96.12.7:9090: connect: connection refused" target=pricing.pricing:9090
"""
WEB_LOG = """
[web] GET / 200 31ms
[web] Error: upstream catalog-api.catalog.svc.cluster.local:8080 answered 503 Service Unavailable
    at Catalog.fetch (/srv/app/lib/catalog.js:88:11)
[web] GET /ready 503 4ms
[web] Error: upstream catalog-api.catalog.svc.cluster.local:8080 answered 503 Service Unavailable
    at Catalog.fetch (/srv/app/lib/catalog.js:88:11)
"""


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=21)
    image = "registry.example.com/mail/digest:1.13"
    stage.hold("mailroom/digest")
    before = {p["metadata"]["name"] for p in stage.pods("mailroom/digest")}
    stage.kubectl("set", "image", "deployment/digest", f"digest={image}", "-n", "mailroom")
    (fresh,) = [p for p in stage.placed("mailroom/digest", 2) if p["metadata"]["name"] not in before]
    why = f'failed to resolve reference "{image}": {image}: not found'
    stage.stuck(
        f"mailroom/{fresh['metadata']['name']}", "ImagePullBackOff", f'Back-off pulling image "{image}"',
        event=("Failed", f'Failed to pull image "{image}": rpc error: code = NotFound desc = {why}'),
    )  # fmt: skip
    stage.wait(minutes=14)
    stage.edit("configmaps/pricing/pricing-settings", lambda body: body["data"].update(DB_PORT="6432"))
    stage.wait(minutes=2)
    stage.restart("deployments/pricing/pricing")
    stage.hold("pricing/pricing-")
    stage.calm()  # Recreate starts new pods once the old ones have gone
    stage.crash("pricing/pricing-", log=PRICING_LOG, count=2, restarts=4, lives_s=3)
    stage.unready("catalog/catalog-api", "HTTP probe failed with statuscode: 503", count=2)
    stage.log("catalog/catalog-api", CATALOG_LOG)
    stage.unready("storefront/web", "HTTP probe failed with statuscode: 503", count=3)
    stage.log("storefront/web", WEB_LOG)
    stage.wait(minutes=17)
    stage.fire(minutes_ago=2)
