"""Who may enter a database was edited to another team's label; its client in a third namespace times out."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus, stateful_set
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import service

INCIDENT = Incident(
    title="An ingress rule now names another team, and the accounts lose their database",
    half=Half.tuned,
    story="The policy before the accounts' database let in namespaces of team `core`; an edit makes it `payments`. At the "
    "same time an unrelated search workload cannot be scheduled.",
    sources=["https://kubernetes.io/docs/concepts/services-networking/network-policies/"],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="members", deployment="profile-web"),
    causes=["NetworkPolicy/vaults/accounts-db"],
    says=[["5432"], ["payments"], ["core"]],
    innocent=[
        "Deployment/members/profile-web",
        "Deployment/members/accounts",
        "StatefulSet/vaults/accounts-db",
    ],
    second=["Deployment/search/ranker"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
)


def namespace(name: str, team: str) -> Body:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": team}}}


POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "accounts-db", "namespace": "vaults"},
    "spec": {
        "podSelector": {"matchLabels": {"app": "accounts-db"}},
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [{"namespaceSelector": {"matchLabels": {"team": "core"}}}], "ports": [{"port": 5432}]}
        ],
    },
}
NAMESPACES = [namespace("members", "core"), namespace("vaults", "data"), namespace("billing", "payments")]
MANIFESTS = [
    stateful_set("vaults/accounts-db", "postgres:16.4", ports=[{"containerPort": 5432}]),
    service("vaults/accounts-db", 5432),
    POLICY,
    deployment("members/accounts", "members/accounts:11.0.3", port=8080, ready="/ready", env={"PGHOST": "accounts-db.vaults", "PGPORT": "5432"}),
    service("members/accounts", 8080),
    deployment("members/profile-web", "members/profile:6.1.0", port=3000, ready="/ready", env={"ACCOUNTS": "http://accounts:8080"}),
    service("members/profile-web", 80, target=3000),
    deployment("billing/ledger", "billing/ledger:2.0.0", port=8080),
    deployment("search/ranker", "search/ranker:1.7.0", replicas=1),
]  # fmt: skip

ACCOUNTS_LOG = """
2026-11-16 13:40:02.551 ERROR 1 --- [nio-8080-exec-4] o.h.engine.jdbc.spi.SqlExceptionHelper : HikariPool-1 - Connection is not available, request timed out after 30000ms
2026-11-16 13:40:02.552 ERROR 1 --- [nio-8080-exec-4] c.e.accounts.Health : org.postgresql.util.PSQLException: The connection attempt failed. Caused by: java.net.SocketTimeoutException: Connect timed out
"""
WEB_LOG = """
{"severity":"ERROR","message":"GET http://accounts:8080/me: 503 Service Unavailable","httpRequest":{"status":503}}
"""


def play(stage: Stage) -> None:
    stage.apply(NAMESPACES)
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=13, hours=4)
    stage.kubectl("set", "resources", "deployment/ranker", "-n", "search", "--requests=memory=120Gi")
    stage.wait(minutes=7)
    stage.edit("networkpolicies/vaults/accounts-db", _let_in_payments)
    stage.wait(minutes=2)
    stage.unready("members/accounts", "HTTP probe failed with statuscode: 503", count=2, failures=60)
    stage.log("members/accounts", ACCOUNTS_LOG)
    stage.wait(seconds=30)
    stage.unready("members/profile-web", "HTTP probe failed with statuscode: 503", count=2, failures=58)
    stage.log("members/profile-web", WEB_LOG)
    stage.wait(minutes=19)
    stage.fire(minutes_ago=3)


def _let_in_payments(body: Body) -> None:
    body["spec"]["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"]["team"] = "payments"
