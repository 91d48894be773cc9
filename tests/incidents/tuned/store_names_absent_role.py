"""A SecretStore names a role that Vault does not have: secrets grow stale unseen, until a password is changed."""

from __future__ import annotations

from typing import Any

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import (
    container,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)

Body = dict[str, Any]

INCIDENT = Incident(
    title="Payroll keeps a password that was rotated, since its SecretStore can no longer log in to Vault",
    half=Half.tuned,
    story="Three hours ago the store's role was changed to payroll-prod, which Vault does not know. The Secret stayed as it was, and so did everything else, until Vault rotated the database's password. Elsewhere a kiosk's release fails for a reason of its own.",
    sources=[
        "https://external-secrets.io/latest/provider/hashicorp-vault/",
        "https://external-secrets.io/latest/api/externalsecret/",
        "https://github.com/external-secrets/external-secrets/issues/2560",
        "https://developer.hashicorp.com/vault/docs/secrets/databases#static-roles",
    ],
    labels={
        "alertname": "KubeDeploymentReplicasMismatch",
        "severity": "warning",
        "namespace": "payroll",
        "deployment": "runs",
        "job": "kube-state-metrics",
    },
    causes=["SecretStore/payroll/vault"],
    says=[["payroll-prod"], ["invalid role name", "InvalidProviderConfig", "log in"]],
    innocent=["Deployment/payroll/runs", "ExternalSecret/payroll/runs-db"],
    second=["Deployment/museum/kiosk"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
    authored=["external-secrets status", "external-secrets events"],
)

GROUP, VERSION = "external-secrets.io", "v1"
SYNCED = ("payroll/runs-db", "payroll/mail", "hiring/offers-db")
REFUSED = (
    "unable to log in to auth method: unable to log in with Kubernetes auth: Error making API request.\n\n"
    "URL: PUT https://vault.example.com:8200/v1/auth/kubernetes/login\nCode: 400. Errors:\n\n"
    '* invalid role name "payroll-prod"'
)


def play(stage: Stage) -> None:
    stage.crd(GROUP, VERSION, "SecretStore", "secretstores")
    stage.crd(GROUP, VERSION, "ExternalSecret", "externalsecrets")
    stage.apply([
        *system(),
        *(_store(namespace, namespace) for namespace in ("payroll", "hiring")),
        *(_external(place) for place in SYNCED),
        *(stateful_set(place, container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))) for place in ("payroll/runs-pg", "hiring/offers-pg")),
        *(service(place, 5432, headless=True) for place in ("payroll/runs-pg", "hiring/offers-pg")),
        deployment("payroll/runs", _api("runs", "payroll/runs:9.1.0", "runs-pg", "runs-db"), replicas=3),
        service("payroll/runs", 8080),
        deployment("payroll/notices", container("notices", "payroll/notices:2.0.2", port=8080, ready="/ready",
                                                env={"SMTP_PASSWORD": from_secret("mail", "password")})),
        deployment("hiring/offers", _api("offers", "hiring/offers:4.3.1", "offers-pg", "offers-db")),
        service("hiring/offers", 8080),
        deployment("museum/kiosk", container("kiosk", "museum/kiosk:1.6.0", port=8080, ready="/ready"), replicas=1),
        deployment("museum/tickets", container("tickets", "museum/tickets:3.3.3", port=8080, ready="/ready")),
    ])  # fmt: skip
    stage.apply([_made(stage, place) for place in SYNCED], manager="externalsecrets.external-secrets.io")
    stage.calm()
    _valid(stage, "payroll")
    _valid(stage, "hiring")
    for place in SYNCED:
        _synced(stage, place)
    stage.wait(days=34)

    def rename(store: Body) -> None:
        store["spec"]["provider"]["vault"]["auth"]["kubernetes"]["role"] = "payroll-prod"

    stage.edit("secretstores/payroll/vault", rename)
    _refused(stage)
    stage.wait(hours=2, minutes=20)

    # The kiosk's own trouble.
    before = {pod["metadata"]["name"] for pod in stage.pods("museum/kiosk-")}
    stage.hold("museum/kiosk-")
    stage.kubectl(
        "set", "image", "deployment/kiosk", "kiosk=registry.example.com/museum/kiosk:1.7.0", "-n", "museum"
    )
    (fresh,) = [p for p in stage.placed("museum/kiosk-", 2) if p["metadata"]["name"] not in before]
    stage.crash(
        f"museum/{fresh['metadata']['name']}", restarts=9, code=2, lives_s=1,
        log="kiosk 1.7.0\nfatal: tour catalogue: unsupported schema version 3 in /data/tours.json, expected 4",
    )  # fmt: skip

    wrong = 'FATAL:  password authentication failed for user "runs"'
    stage.wait(minutes=9)
    api = [
        f"payroll/{p['metadata']['name']}"
        for p in stage.pods("payroll/runs-")
        if p["metadata"]["labels"]["app"] == "runs"
    ]
    for pod in api:
        stage.unready(pod)
    stage.wait(minutes=16)
    for pod in api:
        stage.told(stage.pod(pod), "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503",
                   kind="Warning", count=96, container="runs")  # fmt: skip
    _heard(stage)
    since = stage.ago(minutes=14)
    for pod in api:
        stage.log(pod, printed(since, [
            f'level=error msg="database is not usable" host=runs-pg.payroll.svc err="{wrong} (SQLSTATE 28P01)"',
            'level=warn msg="not ready" check=database',
        ] * 14, every_s=30))  # fmt: skip
    stage.log("payroll/runs-pg-0", printed(since, [
        f"<%Y-%m-%d %H:%M:%S.%3> UTC [<100-900>] {wrong}",
        '<%Y-%m-%d %H:%M:%S.%3> UTC [<100-900>] DETAIL:  Connection matched file "/etc/postgresql/pg_hba.conf" line 12: "host all all all scram-sha-256"',
    ] * 14, every_s=30))  # fmt: skip
    chatter(
        stage,
        "hiring/offers-pg",
        ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint complete: wrote <20-90> buffers (0.2%)"],
    )
    chatter(stage, "payroll/notices", ['level=info msg="notice sent" to=staff count=<1-12>'])
    chatter(stage, "museum/tickets", ['level=info msg="ticket sold" hall=<1-4>'])
    stage.fire(minutes_ago=1)


def _api(name: str, image: str, database: str, password: str) -> Body:
    return container(
        name, image, port=8080, ready="/ready", alive="/alive",
        env={"DB_HOST": database, "DB_USER": name, "DB_PASSWORD": from_secret(password, "password")},
    )  # fmt: skip


def _store(namespace: str, role: str) -> Body:
    login = {"mountPath": "kubernetes", "role": role, "serviceAccountRef": {"name": "default"}}
    return {
        "apiVersion": f"{GROUP}/{VERSION}", "kind": "SecretStore", "metadata": {"name": "vault", "namespace": namespace},
        "spec": {"provider": {"vault": {
            "server": "https://vault.example.com:8200", "path": "kv", "version": "v2", "auth": {"kubernetes": login},
        }}},
    }  # fmt: skip


def _external(place: str) -> Body:
    namespace, name = place.split("/")
    return {
        "apiVersion": f"{GROUP}/{VERSION}", "kind": "ExternalSecret", "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "refreshInterval": "15m", "secretStoreRef": {"name": "vault", "kind": "SecretStore"},
            "target": {"name": name, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
            "data": [{"secretKey": key, "remoteRef": {"key": f"{namespace}/{name}", "property": key}} for key in ("username", "password")],
        },
    }  # fmt: skip


def _made(stage: Stage, place: str) -> Body:
    """The Secret that the operator makes of an ExternalSecret."""
    owner = stage.get(f"externalsecrets/{place}")
    made = secret(place, {"username": "app", "password": "example"})
    made["metadata"] |= {
        "labels": {"reconcile.external-secrets.io/managed": "true"},
        "ownerReferences": [{"apiVersion": owner["apiVersion"], "kind": "ExternalSecret", "name": owner["metadata"]["name"],
                             "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}],
    }  # fmt: skip
    return made


def _valid(stage: Stage, namespace: str) -> None:
    stage.status(f"secretstores/{namespace}/vault", {
        "capabilities": "ReadWrite",
        "conditions": [{"type": "Ready", "status": "True", "reason": "Valid", "message": "store validated", "lastTransitionTime": stage.stamp()}],
    }, manager="external-secrets")  # fmt: skip


def _synced(stage: Stage, place: str) -> None:
    name = place.split("/")[1]
    stage.status(f"externalsecrets/{place}", {
        "binding": {"name": name}, "refreshTime": stage.stamp(), "syncedResourceVersion": "1-5f0c0d6a",
        "conditions": [{"type": "Ready", "status": "True", "reason": "SecretSynced", "message": "secret synced", "lastTransitionTime": stage.stamp()}],
    }, manager="external-secrets")  # fmt: skip


def _refused(stage: Stage) -> None:
    stage.status("secretstores/payroll/vault", {
        "conditions": [{"type": "Ready", "status": "False", "reason": "InvalidProviderConfig", "message": REFUSED, "lastTransitionTime": stage.stamp()}],
    }, manager="external-secrets")  # fmt: skip
    for name in ("runs-db", "mail"):
        stage.status(f"externalsecrets/payroll/{name}", {
            "refreshTime": stage.stamp(minutes_ago=6),
            "conditions": [{"type": "Ready", "status": "False", "reason": "SecretSyncedError", "message": "could not get secret data from provider", "lastTransitionTime": stage.stamp()}],
        }, manager="external-secrets")  # fmt: skip


def _heard(stage: Stage) -> None:
    """Events of the last hour: the operator tries again and again."""
    stage.event(
        stage.get("secretstores/payroll/vault"),
        "InvalidProviderConfig",
        REFUSED,
        component="secret-store",
        count=41,
        minutes_ago=2,
    )
    for name in ("runs-db", "mail"):
        stage.event(
            stage.get(f"externalsecrets/payroll/{name}"), "UpdateFailed",
            f"error processing spec.data[0] (key: payroll/{name}), err: {REFUSED}", component="external-secrets", count=22, minutes_ago=3,
        )  # fmt: skip
    stage.status(
        "externalsecrets/hiring/offers-db",
        {"refreshTime": stage.stamp(minutes_ago=7)},
        manager="external-secrets",
    )
