"""A controller ended once in the night, as it could not renew its lease while the API server was upgraded; it has worked since."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.manifests import kube_prometheus
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    container,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="ContainerRestarted of external-secrets, which gave up its lease while the API server was upgraded in the night and took it again a minute later",
    half=Half.tuned,
    story=(
        "At ten past three the control plane went from v1.36.3 to v1.36.4 and the API server was away for eighty seconds. external-secrets could not renew its lease, ended with"
        " exit code 1, as leaders do, and was leading again at the next start. All secrets are synced. The rule looks at twelve hours. A webhook's first probe after a drain failed"
        " and one pod of the parcels was killed for memory sixteen days ago."
    ),
    sources=[
        "https://github.com/kubernetes/client-go/blob/master/tools/leaderelection/leaderelection.go",
        "https://external-secrets.io/latest/api/controller-options/",
        "https://github.com/cert-manager/cert-manager/issues/1081",
        "https://kubernetes.io/docs/tasks/administer-cluster/cluster-upgrade/",
    ],
    labels={**kube_prometheus("ContainerRestarted", namespace="external-secrets"), "container": "external-secrets"},
    annotations={"summary": "Container external-secrets was started again within the last twelve hours."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["external-secrets status"],
)  # fmt: skip

GROUP = "external-secrets.io"
SYNCED = {"parcels": "parcels-db", "tracking": "tracking-db", "refunds": "refunds-key"}


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "ClusterSecretStore", "clustersecretstores", namespaced=False)
    stage.crd(GROUP, "v1", "ExternalSecret", "externalsecrets")
    stage.apply([
        *system(),
        deployment("external-secrets/external-secrets", container("external-secrets", "external-secrets/external-secrets:v1.1.0", port=8080, args=["--enable-leader-election=true", "--concurrent=1", "--zap-time-encoding=rfc3339"]), replicas=1),
        deployment("external-secrets/external-secrets-webhook", container("webhook", "external-secrets/external-secrets:v1.1.0", port=10250, ready="/readyz", args=["webhook"]), replicas=1), service("external-secrets/external-secrets-webhook", 443, 10250),
        {"apiVersion": f"{GROUP}/v1", "kind": "ClusterSecretStore", "metadata": {"name": "house"}, "spec": {"provider": {"vault": {"server": "https://vault.example.com", "path": "house", "version": "v2"}}}},
        *(_wanted(name, target) for name, target in SYNCED.items()),
        *(secret(f"post/{target}", {"value": "in the store"}) for target in SYNCED.values()),
        deployment("post/parcels", container("parcels", "post/parcels:15.1.0", port=8080, ready="/ready", env={"DB_HOST": "counter.post.svc", "DB_PASSWORD": from_secret("parcels-db", "value")}), replicas=3), service("post/parcels", 80, 8080),
        deployment("post/tracking", container("tracking", "post/tracking:4.4.0", port=8080, ready="/ready", env={"DB_HOST": "counter.post.svc", "DB_PASSWORD": from_secret("tracking-db", "value")})), service("post/tracking", 80, 8080),
        deployment("post/refunds", container("refunds", "post/refunds:2.0.1", port=8080, ready="/ready", env={"KEY": from_secret("refunds-key", "value")})), service("post/refunds", 80, 8080),
        stateful_set("post/counter", container("mariadb", "mariadb:11.8", port=3306, memory=("1Gi", "2Gi"))), service("post/counter", 3306, headless=True),
        deployment("web/post-office", container("post-office", "web/post-office:33.0.0", port=3000, ready="/up", env={"PARCELS_URL": "http://parcels.post.svc", "TRACKING_URL": "http://tracking.post.svc"}), replicas=3), service("web/post-office", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    _synced(stage)
    stage.wait(days=2, hours=5)
    stage.recovered(f"post/{stage.pods('post/parcels')[0]['metadata']['name']}", restarts=1, code=137, reason="OOMKilled", lived_s=180000)  # fmt: skip
    stage.wait(days=15, hours=12, minutes=56)
    away = stage.now
    stage.wait(seconds=50)
    stage.recovered("external-secrets/external-secrets-" + _hash(stage), restarts=1, code=1, lived_s=1500000, waited_s=11)  # fmt: skip
    back = stage.now
    stage.wait(hours=4, minutes=40)
    stage.kubectl("set", "image", "deployment/tracking", "tracking=registry.example.com/post/tracking:4.4.1", "-n", "post")  # fmt: skip
    stage.calm()
    stage.wait(minutes=55)
    hook = stage.pods("external-secrets/external-secrets-webhook")[0]
    stage.told(hook, "Unhealthy", 'Readiness probe failed: Get "http://10.244.1.6:10250/readyz": context deadline exceeded (Client.Timeout exceeded while awaiting headers)', kind="Warning", count=1, container="webhook", minutes_ago=31)  # fmt: skip
    _synced(stage)
    stage.heartbeat()
    _logs(stage, away, back)
    _metrics(stage)
    stage.fire(minutes_ago=330)


def _hash(stage: Stage) -> str:
    """The part of the controller's pod's name that its sister does not have."""
    (pod,) = (p for p in stage.pods("external-secrets/external-secrets-") if "webhook" not in p["metadata"]["name"])  # fmt: skip
    return pod["metadata"]["name"].removeprefix("external-secrets-")


def _wanted(name: str, target: str) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "ExternalSecret", "metadata": {"name": name, "namespace": "post"},
        "spec": {"refreshInterval": "1h", "secretStoreRef": {"kind": "ClusterSecretStore", "name": "house"}, "target": {"name": target}, "data": [{"secretKey": "value", "remoteRef": {"key": f"post/{name}", "property": "value"}}]},
    }  # fmt: skip


def _synced(stage: Stage) -> None:
    since = stage.stamp(minutes_ago=17)
    valid = {"type": "Ready", "status": "True", "reason": "Valid", "message": "store validated", "lastTransitionTime": since}  # fmt: skip
    stage.status(f"clustersecretstores.{GROUP}/_cluster/house", {"capabilities": "ReadWrite", "conditions": [valid]}, manager="external-secrets")  # fmt: skip
    for name in SYNCED:
        there = {"type": "Ready", "status": "True", "reason": "SecretSynced", "message": "secret synced", "lastTransitionTime": since}  # fmt: skip
        stage.status(f"externalsecrets.{GROUP}/post/{name}", {"refreshTime": since, "syncedResourceVersion": "1-7b0f", "conditions": [there]}, manager="external-secrets")  # fmt: skip


def _logs(stage: Stage, away, back) -> None:
    place = "external-secrets/external-secrets-" + _hash(stage)
    lease = "external-secrets/external-secrets-controller"
    asked = 'Get "https://10.96.0.1:443/apis/coordination.k8s.io/v1/namespaces/external-secrets/leases/external-secrets-controller": dial tcp 10.96.0.1:443: connect: connection refused'
    stage.log(place, printed(away - timedelta(minutes=9), [
        *['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%SZ>","logger":"controllers.ExternalSecret","msg":"reconciled secret","ExternalSecret":{"name":"parcels","namespace":"post"}}'] * 9,
    ], every_s=58) + "\n" + printed(away, [
        *[f"E<%m%d %H:%M:%S.%3>903       1 leaderelection.go:436] error retrieving resource lock {lease}: {asked}"] * 5,
        f"I<%m%d %H:%M:%S.%3>118       1 leaderelection.go:297] failed to renew lease {lease}: context deadline exceeded",
        '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%SZ>","logger":"setup","msg":"problem running manager","error":"leader election lost"}',
    ], every_s=5), previous=True)  # fmt: skip
    stage.log(place, printed(back, [
        f"I<%m%d %H:%M:%S.%3>221       1 leaderelection.go:257] attempting to acquire leader lease {lease}...",
        f"E<%m%d %H:%M:%S.%3>640       1 leaderelection.go:436] error retrieving resource lock {lease}: {asked}",
        f"I<%m%d %H:%M:%S.%3>705       1 leaderelection.go:271] successfully acquired lease {lease}",
    ], every_s=12) + "\n" + printed(stage.ago(minutes=58), [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%SZ>","logger":"controllers.ExternalSecret","msg":"reconciled secret","ExternalSecret":{"name":"parcels","namespace":"post"}}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%SZ>","logger":"controllers.ExternalSecret","msg":"reconciled secret","ExternalSecret":{"name":"refunds","namespace":"post"}}',
    ] * 6, every_s=280))  # fmt: skip
    chatter(stage, "external-secrets/external-secrets-webhook", ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%SZ>","logger":"certchecker","msg":"validating certs"}'], count=12, minutes=60)  # fmt: skip
    chatter(stage, "post/parcels", ["INFO  parcels: POST /parcels 201 <10-40>ms", "WARN  parcels: postcode <10000-99999> is unknown, sorted by hand"], minutes=60)  # fmt: skip
    chatter(stage, "post/tracking", ["INFO  tracking: GET /t/<100000-999999> 200 <4-20>ms"], minutes=50)
    chatter(stage, "post/refunds", ["INFO  refunds: nothing to pay out"], count=6, minutes=60)
    chatter(stage, "post/counter", ["<%Y-%m-%d %H:%M:%S> <10-90> [Warning] Aborted connection <10-90> to db: 'parcels' user: 'parcels' host: '10.244.1.9' (Got timeout reading communication packets)"], count=5, minutes=60)  # fmt: skip
    chatter(stage, "web/post-office", ["GET /track 200 <10-50>ms"], minutes=60)


def _metrics(stage: Stage) -> None:
    """Every five minutes for fourteen hours; the API server was away five hours and a half ago."""
    count, since = 168, 67
    stage.metric("restarts", 'sum by (namespace, container) (increase(kube_pod_container_status_restarts_total{namespace="external-secrets"}[12h]))', [
        ({"namespace": "external-secrets", "container": "external-secrets"}, [*[0.0] * (count - since), *[1.0] * since]),
        ({"namespace": "external-secrets", "container": "webhook"}, [0.0] * count),
    ], step_s=300)  # fmt: skip
    stage.metric("apiserver-up", 'sum by (job) (up{job="apiserver"})', [({"job": "apiserver"}, [*[1.0] * (count - since - 1), 0.0, *[1.0] * since])], step_s=300)  # fmt: skip
    stage.metric("sync-errors", 'sum by (namespace) (increase(externalsecret_sync_calls_error[5m]))', [({"namespace": "post"}, [*[0.0] * (count - since - 1), 1.0, *[0.0] * since])], step_s=300)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({"namespace": "post", "service": "parcels"}, about(0.0004, count, noise=0.9)),
        ({"namespace": "web", "service": "post-office"}, about(0.0005, count, noise=0.9)),
    ], step_s=300)  # fmt: skip
