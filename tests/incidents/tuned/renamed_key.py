"""A rotation writes a Secret's key under another name; the portal that needs tokens is what alerts."""

from __future__ import annotations

import base64

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.manifests import deployment, kube_prometheus
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import secret, service

INCIDENT = Incident(
    title="A rotated Secret has its key under a new name, and tokens are issued no more",
    half=Half.tuned,
    story="The rotation job writes `signing-key` where `SIGNING_KEY` was and restarts the issuer, which cannot be "
    "created; the portal of another namespace refuses its users.",
    sources=[
        "https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-environment-variables",
        "https://kubernetes.io/docs/tasks/inject-data-application/distribute-credentials-secure/",
    ],
    labels=kube_prometheus("KubeDeploymentReplicasMismatch", namespace="portal", deployment="account-web"),
    causes=["Secret/identity/issuer-keys"],
    says=[["SIGNING_KEY"], ["rotate-keys", "rotation"], ["signing-key"]],
    innocent=["Deployment/portal/account-web", "Service/identity/issuer"],
    traits=frozenset({Trait.innocent}),
)

FROM_SECRET = [
    {"name": "SIGNING_KEY", "valueFrom": {"secretKeyRef": {"name": "issuer-keys", "key": "SIGNING_KEY"}}},
]
MANIFESTS = [
    secret("identity/issuer-keys", {"SIGNING_KEY": "not-a-key-1", "kid": "2026-10"}),
    deployment(
        "identity/issuer", "identity/issuer:6.1.0", port=8443, env={"AUDIENCE": "portal"}, more_env=FROM_SECRET, spec={"strategy": {"type": "Recreate"}},
    ),
    service("identity/issuer", 8443),
    deployment("identity/directory", "identity/directory:2.5.1", ports=[{"containerPort": 389}]),
    service("identity/directory", 389),
    deployment(
        "portal/account-web", "portal/account:9.0.0", replicas=3, port=3000, ready="/health",
        env={"TOKEN_ENDPOINT": "http://issuer.identity:8443/oauth/token"},
    ),
    service("portal/account-web", 80, target=3000),
    deployment("portal/help", "portal/help:1.0.7", port=3000),
]  # fmt: skip

WEB_LOG = """
{"level":50,"time":1795000000000,"pid":1,"name":"account-web","err":{"type":"Error","message":"connect ECONNREFUSED 10.96.33.2:8443","code":"ECONNREFUSED"},"url":"http://issuer.identity:8443/oauth/token","msg":"token request failed"}
{"level":40,"time":1795000002000,"pid":1,"name":"account-web","msg":"health: degraded","missing":["token"]}
{"level":50,"time":1795000005000,"pid":1,"name":"account-web","err":{"type":"Error","message":"connect ECONNREFUSED 10.96.33.2:8443","code":"ECONNREFUSED"},"url":"http://issuer.identity:8443/oauth/token","msg":"token request failed"}
"""


def _rotate(body: Body) -> None:
    del body["data"]["SIGNING_KEY"]
    body["data"] |= {
        "signing-key": base64.b64encode(b"not-a-key-2").decode(),
        "kid": base64.b64encode(b"2026-11").decode(),
    }


def play(stage: Stage) -> None:
    stage.apply(MANIFESTS)
    stage.calm()
    stage.wait(days=12)
    stage.edit("secrets/identity/issuer-keys", _rotate, manager="rotate-keys")
    stage.hold("identity/issuer-")
    stage.restart("deployments/identity/issuer", manager="rotate-keys")
    stage.calm()
    why = "couldn't find key SIGNING_KEY in Secret identity/issuer-keys"
    stage.stuck(
        "identity/issuer-", "CreateContainerConfigError", why, event=("Failed", f"Error: {why}"), count=2
    )
    stage.wait(minutes=1)
    stage.unready("portal/account-web", "HTTP probe failed with statuscode: 503", count=3, failures=40)
    stage.log("portal/account-web", WEB_LOG)
    stage.wait(minutes=18)
    stage.fire(minutes_ago=2)
