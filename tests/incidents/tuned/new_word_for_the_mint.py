"""Vault changed a database user's password as each week; connections were refused until the pods were made anew with it."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime, timedelta

from tests.incidents.curves import about, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    config_map,
    container,
    deployment,
    from_secret,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="PasswordRefused of the coins database counts the minute between Vault's weekly rotation and the operator's restart of strikes; none has been refused since",
    half=Half.tuned,
    story=(
        "Vault gives user strikes of database coins a new password each week. The operator looks once a minute, wrote the Secret 51 seconds later and restarted the Deployment; meanwhile new connections were refused, sixty-odd"
        " in place of the usual dozen, as strikes runs with six pods since Monday's sale and not two. All six have the new password and serve since 38 minutes. The rule adds up an hour. A picture service was released an hour ago."
    ),
    sources=[
        "https://developer.hashicorp.com/vault/docs/secrets/databases#static-roles",
        "https://developer.hashicorp.com/vault/docs/platform/k8s/vso/sources/vault#vaultdynamicsecret",
        "https://grafana.com/docs/loki/latest/alert/",
    ],
    labels={"alertname": "PasswordRefused", "severity": "critical", "namespace": "mint", "app": "coins", "source": "loki"},
    annotations={"summary": "Database coins has refused more than 20 log-ins within an hour.", "description": 'sum by (namespace, app) (count_over_time({namespace="mint",app="coins"} |= "password authentication failed" [1h])) > 20'},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["vault-secrets-operator status", "vault-secrets-operator objects"],
)  # fmt: skip

GROUP = "secrets.hashicorp.com"
OPERATOR = "vault-secrets-operator"
WEEK = 604800


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1beta1", "VaultAuth", "vaultauths")
    stage.crd(GROUP, "v1beta1", "VaultDynamicSecret", "vaultdynamicsecrets")
    stage.apply([{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "coins-login", "namespace": "mint", "labels": {"app.kubernetes.io/managed-by": "hashicorp-vso"}}, "stringData": {"username": "strikes", "password": "Aa1-word-of-week-45"}}], manager=OPERATOR)  # fmt: skip
    stage.apply([
        *system(),
        deployment("vso/vault-secrets-operator", container("manager", "hashicorp/vault-secrets-operator:1.0.1", port=8081, ready="/readyz", alive="/healthz"), replicas=1),
        {"apiVersion": f"{GROUP}/v1beta1", "kind": "VaultAuth", "metadata": {"name": "mint", "namespace": "mint"}, "spec": {"method": "kubernetes", "mount": "k8s-delta", "kubernetes": {"role": "mint", "serviceAccount": "default"}}},
        {"apiVersion": f"{GROUP}/v1beta1", "kind": "VaultDynamicSecret", "metadata": {"name": "coins-login", "namespace": "mint"}, "spec": {
            "vaultAuthRef": "mint", "mount": "database", "path": "static-creds/strikes", "allowStaticCreds": True, "refreshAfter": "60s",
            "destination": {"name": "coins-login", "create": True}, "rolloutRestartTargets": [{"kind": "Deployment", "name": "strikes"}],
        }},
        stateful_set("mint/coins", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"))), service("mint/coins", 5432, headless=True),
        deployment("mint/strikes", container("strikes", "mint/strikes:9.4.0", port=8080, ready="/ready", alive="/alive", env={
            "DB_HOST": "coins.mint.svc", "DB_USER": from_secret("coins-login", "username"), "DB_PASSWORD": from_secret("coins-login", "password"), "POOL_MAX_LIFETIME": "5m",
        })), service("mint/strikes", 80, 8080),
        deployment("mint/medals", container("medals", "mint/medals:2.0.2", port=8080, ready="/ready", env={"STRIKES_URL": "http://strikes.mint.svc"})), service("mint/medals", 80, 8080),
        config_map("mint/alloys", {"default": "Ag925"}),
        deployment("window/catalogue-pictures", container("pictures", "window/catalogue-pictures:5.1.0", port=8080, ready="/up")), service("window/catalogue-pictures", 80, 8080),
        deployment("window/counter", container("counter", "window/counter:11.6.3", port=3000, ready="/up", env={"STRIKES_URL": "http://strikes.mint.svc", "PICTURES_URL": "http://catalogue-pictures.window.svc"}), replicas=3), service("window/counter", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    _rotated(stage)
    stage.wait(days=27)
    # Monday's sale: more pods, which stay for the week.
    stage.kubectl("scale", "deployment/strikes", "--replicas=6", "-n", "mint")
    stage.calm()
    stage.wait(hours=23, minutes=36)
    stage.kubectl("set", "image", "deployment/catalogue-pictures", "pictures=registry.example.com/window/catalogue-pictures:5.1.1", "-n", "window")  # fmt: skip
    stage.calm()
    stage.wait(minutes=22)
    changed = stage.now
    stage.wait(seconds=51)
    _renew(stage)
    served = stage.now
    stage.wait(minutes=38)
    stage.heartbeat()
    _logs(stage, changed, served)
    _metrics(stage)
    stage.fire(minutes_ago=39)


def _renew(stage: Stage) -> None:
    """What the operator does when Vault's answer differs: the Secret, its targets' restart, its own status."""
    word = b64encode(b"Aa1-word-of-week-49").decode()
    stage.edit("secrets/mint/coins-login", lambda body: body["data"].update(password=word), manager=OPERATOR)
    mark = {"vso.secrets.hashicorp.com/restartedAt": stage.now.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def again(body: Body) -> None:
        body["spec"]["template"]["metadata"].setdefault("annotations", {}).update(mark)

    stage.edit("deployments/mint/strikes", again, manager=OPERATOR)
    _rotated(stage)
    about_it = stage.get(f"vaultdynamicsecrets.{GROUP}/mint/coins-login")
    stage.event(about_it, "SecretRotated", "Secret synced, lease_id=\"\", horizon=0s", kind="Normal", component="VaultDynamicSecret")  # fmt: skip
    stage.event(about_it, "RolloutRestartTriggered", "Rollout restart triggered for v1beta1.RolloutRestartTarget{Kind:\"Deployment\", Name:\"strikes\"}", kind="Normal", component="VaultDynamicSecret")  # fmt: skip
    stage.calm()


def _rotated(stage: Stage) -> None:
    at = int(stage.now.timestamp())
    stage.status(f"vaultdynamicsecrets.{GROUP}/mint/coins-login", {
        "lastGeneration": 1, "lastRenewalTime": at, "secretLease": {"id": "", "duration": 0, "renewable": False, "requestID": ""},
        "staticCredsMetaData": {"lastVaultRotation": at - 51, "rotationPeriod": WEEK, "rotationSchedule": "", "ttl": WEEK - 51},
    }, manager=OPERATOR)  # fmt: skip
    stage.status(f"vaultauths.{GROUP}/mint/mint", {"valid": True, "error": ""}, manager=OPERATOR)


def _logs(stage: Stage, changed: datetime, served: datetime) -> None:
    """The pool replaces its connections every five minutes, so a part of them is made anew within that minute."""
    usual = "<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"
    refused = [
        '<%Y-%m-%d %H:%M:%S.%3> UTC [<3000-4999>] FATAL:  password authentication failed for user "strikes"',
        '<%Y-%m-%d %H:%M:%S.%3> UTC [<3000-4999>] DETAIL:  Connection matched file "/etc/postgresql/pg_hba.conf" line 11: "host coins all 10.244.0.0/16 scram-sha-256"',
    ]  # fmt: skip
    gap = (served - changed).total_seconds() / 140
    stage.log("mint/coins-0", "\n".join([
        printed(changed - timedelta(minutes=15), [usual] * 3, every_s=300),
        printed(changed + timedelta(seconds=1), refused * 64, every_s=gap),
        printed(served + timedelta(minutes=2), [usual] * 7, every_s=300),
    ]))  # fmt: skip
    stage.log("vso/vault-secrets-operator", printed(changed + timedelta(seconds=51), [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%SZ>","msg":"Secret synced","controller":"vaultdynamicsecret","namespace":"mint","name":"coins-login","reason":"rotated"}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%SZ>","msg":"Rollout restart triggered","controller":"vaultdynamicsecret","namespace":"mint","name":"coins-login","target":"Deployment/strikes"}',
        *['{"level":"debug","ts":"<%Y-%m-%dT%H:%M:%SZ>","msg":"Vault secret not modified","controller":"vaultdynamicsecret","namespace":"mint","name":"coins-login"}'] * 36,
    ], every_s=61))  # fmt: skip
    for pod in stage.pods("mint/strikes-"):
        stage.log(f"mint/{pod['metadata']['name']}", printed(served, [
            "INFO  strikes - pool coins opened with 10 connections as strikes", *["INFO  strikes - POST /strikes 201 <9-30>ms", "INFO  strikes - GET /strikes/<1000-9999> 200 <3-9>ms"] * 18,
        ], every_s=60))  # fmt: skip
    chatter(stage, "mint/medals", ["INFO  medals - GET /medals 200 <5-14>ms"], count=20, minutes=36)
    chatter(stage, "window/catalogue-pictures", ["GET /p/<100-999>.webp 200 <2-9>ms", "WARN picture <100-999> has no small version, the large one is sent"], count=30, minutes=60)  # fmt: skip
    chatter(stage, "window/counter", ["GET /counter 200 <10-40>ms", "POST /buy 201 <30-80>ms"], count=30, minutes=37)  # fmt: skip


def _metrics(stage: Stage) -> None:
    count = 648
    at = {count - 1 - 168 * n: float(number) for n, number in ((1, 12), (2, 11), (3, 13))}
    refused = [at.get(n, 0.0) for n in range(count)]
    refused[-1] = 64.0
    stage.metric("refused", 'sum by (namespace, app) (count_over_time({namespace="mint",app="coins"} |= "password authentication failed" [1h]))', [({"namespace": "mint", "app": "coins"}, refused)], step_s=3600)  # fmt: skip
    stage.metric("refused-1m", 'sum by (namespace, app) (count_over_time({namespace="mint",app="coins"} |= "password authentication failed" [1m]))', [({"namespace": "mint", "app": "coins"}, [*[0.0] * 80, 47.0, 17.0, *[0.0] * 38])])  # fmt: skip
    here = {"namespace": "mint", "service": "strikes"}
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{service="strikes",code=~"5.."}[1m])) / sum by (namespace, service) (rate(http_requests_total{service="strikes"}[1m]))', [(here, [*about(0.0003, 80, noise=0.5), 0.031, 0.012, *about(0.0003, 38, noise=0.5, of="since")])])  # fmt: skip
    stage.metric("requests", 'sum by (namespace, service) (rate(http_requests_total{service="strikes"}[1m]))', [(here, about(93, 120, noise=0.1))])  # fmt: skip
    stage.metric("connections", 'sum by (datname, usename) (pg_stat_activity_count{datname="coins"})', [({"datname": "coins", "usename": "strikes"}, whole([*about(60, 80, noise=0.02), 41.0, 52.0, *about(60, 38, noise=0.02)]))])  # fmt: skip
