"""A node was drained for its new kernel, Patroni chose another leader, and everything is well; the alert looks an hour back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="A database's leader moved while a node was drained; rides were refused for a minute and have gone well since",
    half=Half.tuned,
    story=(
        "The node of the leader of rides-db is drained for a new kernel. Patroni makes the replica the leader, dispatch"
        " cannot write for 70 seconds, then all is as before. The rule looks at an hour and still fires. The pod came"
        " back as a replica and rewound; a Kustomization is suspended and a canary elsewhere is scaled to zero on purpose."
    ),
    sources=[
        "https://github.com/zalando/postgres-operator/blob/master/docs/administrator.md",
        "https://patroni.readthedocs.io/en/latest/replica_bootstrap.html",
        "https://github.com/patroni/patroni/issues/1587",
        "https://sre.google/workbook/alerting-on-slos/",
    ],
    labels={"alertname": "DispatchErrorBudgetBurn", "namespace": "rides", "service": "dispatch", "long_window": "1h", "severity": "critical"},
    annotations={"summary": "dispatch has spent 2 % of its monthly error budget within an hour."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["zalando postgres-operator status", "patroni annotations", "flux status"],
)  # fmt: skip

GROUP, FLUX = "acid.zalan.do", "kustomize.toolkit.fluxcd.io"


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "postgresql", "postgresqls")
    stage.crd(FLUX, "v1", "Kustomization", "kustomizations")
    stage.apply([
        *system(),
        {"apiVersion": f"{GROUP}/v1", "kind": "postgresql", "metadata": {"name": "rides-db", "namespace": "rides"},
         "spec": {"teamId": "rides", "numberOfInstances": 2, "postgresql": {"version": "17"}, "volume": {"size": "40Gi"}}},
        {"apiVersion": f"{FLUX}/v1", "kind": "Kustomization", "metadata": {"name": "rides-trial", "namespace": "flux-system"}, "spec": {"interval": "10m", "path": "./trial", "prune": True, "suspend": True}},
        deployment("operators/postgres-operator", container("postgres-operator", "zalando/postgres-operator:v1.15.0"), replicas=1),
        deployment("rides/dispatch", container("dispatch", "rides/dispatch:19.3.0", port=8080, ready="/ready", env={"DATABASE_URL": "postgresql://rides-db.rides:5432/rides"}), replicas=3),
        service("rides/dispatch", 80, 8080),
        deployment("rides/dispatch-canary", container("dispatch", "rides/dispatch:19.4.0-rc1", port=8080, ready="/ready"), replicas=0),
        deployment("rides/fares", container("fares", "rides/fares:4.7.2", port=8080, ready="/ready", env={"DATABASE_URL": "postgresql://rides-db-repl.rides:5432/rides"})),
        service("rides/fares", 80, 8080),
        deployment("riders/app-backend", container("app-backend", "riders/app-backend:52.0.1", port=3000, ready="/healthz", env={"DISPATCH_URL": "http://dispatch.rides.svc.cluster.local"}), replicas=3),
        service("riders/app-backend", 80, 3000),
    ])  # fmt: skip
    owner = stage.get(f"postgresqls.{GROUP}/rides/rides-db")
    mine = [{"apiVersion": owner["apiVersion"], "kind": "postgresql", "name": "rides-db", "uid": owner["metadata"]["uid"], "controller": True}]  # fmt: skip
    spilo = container("postgres", "zalando/spilo-17:4.0-p3", port=5432, cpu="200m", memory=("512Mi", "2Gi"), readinessProbe={"httpGet": {"path": "/readiness", "port": 8008}, "periodSeconds": 10})  # fmt: skip
    spread = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {"matchLabels": {"app": "rides-db"}}, "topologyKey": "kubernetes.io/hostname"}]}}  # fmt: skip
    made = [
        stateful_set("rides/rides-db", spilo, replicas=2, labels={"cluster-name": "rides-db", "application": "spilo"}, pod={"affinity": spread}),
        service("rides/rides-db", 5432, selector={"cluster-name": "rides-db", "spilo-role": "master"}),
        service("rides/rides-db-repl", 5432, selector={"cluster-name": "rides-db", "spilo-role": "replica"}),
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "postgres-rides-db-pdb", "namespace": "rides"}, "spec": {
            "minAvailable": 1, "selector": {"matchLabels": {"cluster-name": "rides-db", "spilo-role": "master"}}}},
    ]  # fmt: skip
    for each in made:
        each["metadata"]["ownerReferences"] = mine
    stage.apply(made, manager="postgres-operator")
    stage.calm()
    _roles(stage, leader=0)
    stage.status(
        f"postgresqls.{GROUP}/rides/rides-db",
        {"PostgresClusterStatus": "Running"},
        manager="postgres-operator",
    )
    stage.calm()
    stage.wait(days=28, hours=2)
    node = stage.pod("rides/rides-db-0")["spec"]["nodeName"]
    stage.kubectl("cordon", node)
    stage.wait(seconds=20)
    moved = stage.now
    _roles(stage, leader=1)
    stage.wait(seconds=5)
    stage.evict("rides/rides-db-0")
    stage.calm(unfinished=["rides/rides-db"])
    stage.wait(minutes=4)
    stage.kubectl("uncordon", node)
    stage.calm()
    _roles(stage, leader=1)
    stage.calm()
    back = stage.now
    fresh = stage.pod("rides/rides-db-0")
    stage.told(fresh, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", kind="Warning", count=2, container="postgres")  # fmt: skip
    stage.wait(minutes=31)
    stage.heartbeat()
    stage.log("rides/rides-db-1", printed(moved - timedelta(minutes=1), [
        *["<%Y-%m-%d %H:%M:%S,%3> INFO: no action. I am (rides-db-1), a secondary, and following a leader (rides-db-0)"] * 5,
        "<%Y-%m-%d %H:%M:%S,%3> INFO: Cleaning up failover key after acquiring leader lock...",
        "<%Y-%m-%d %H:%M:%S,%3> INFO: promoted self to leader by acquiring session lock",
        *["<%Y-%m-%d %H:%M:%S,%3> INFO: no action. I am (rides-db-1), the leader with the lock"] * 30,
    ], every_s=11) + "\n" + printed(stage.ago(minutes=6), ["<%Y-%m-%d %H:%M:%S,%3> INFO: no action. I am (rides-db-1), the leader with the lock"] * 30, every_s=11))  # fmt: skip
    stage.log("rides/rides-db-0", printed(back - timedelta(seconds=30), [
        "<%Y-%m-%d %H:%M:%S,%3> INFO: Lock owner: rides-db-1; I am rides-db-0",
        "<%Y-%m-%d %H:%M:%S,%3> INFO: running pg_rewind from rides-db-1",
        "<%Y-%m-%d %H:%M:%S,%3> INFO: starting as a secondary",
        *["<%Y-%m-%d %H:%M:%S,%3> INFO: no action. I am (rides-db-0), a secondary, and following a leader (rides-db-1)"] * 40,
    ], every_s=40))  # fmt: skip
    assigned = '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"ride assigned","ride":<100000-999999>,"driver":<1000-9999>,"ms":<12-40>}'
    refused = '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"ride not stored","status":500,"err":"ERROR: cannot execute INSERT in a read-only transaction (SQLSTATE 25006)"}'
    closed = '{"level":"error","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"ride not stored","status":500,"err":"dial tcp 10.96.140.7:5432: connect: connection refused"}'
    for n, pod in enumerate(stage.pods("rides/dispatch")):
        stage.log(f"rides/{pod['metadata']['name']}", "\n".join([
            printed(moved - timedelta(minutes=10, seconds=4 * n), [assigned] * 20, every_s=29),
            printed(moved + timedelta(seconds=n), [refused, closed] * 12, every_s=2.9),
            printed(moved + timedelta(seconds=75 + n), [assigned] * 70, every_s=29.5),
        ]))  # fmt: skip
    chatter(
        stage,
        "rides/fares",
        ['{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"fare computed","ms":<3-14>}'],
    )
    chatter(stage, "riders/app-backend", ['{"level":30,"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","req":{"method":"POST","url":"/rides"},"res":{"statusCode":201},"responseTime":<30-80>,"msg":"request completed"}'], count=30)  # fmt: skip
    minutes = round((stage.now - moved).total_seconds() / 60)
    stage.metric("dispatch_error_ratio", 'sum(rate(http_requests_total{namespace="rides",service="dispatch",code=~"5.."}[1m])) / sum(rate(http_requests_total{namespace="rides",service="dispatch"}[1m]))', [
        ({"namespace": "rides", "service": "dispatch"}, [0.0004] * 20 + [0.0, 0.71, 0.34] + [0.0004, 0.0, 0.0006] * ((minutes - 2) // 3) + [0.0] * ((minutes - 2) % 3)),
    ])  # fmt: skip
    stage.fire(minutes_ago=minutes - 4)


def _roles(stage: Stage, *, leader: int) -> None:
    """What Patroni writes: its pods' roles and who holds the lock."""
    for number in (0, 1):
        role = "master" if number == leader else "replica"
        stage.kubectl("label", "pod", f"rides-db-{number}", f"spilo-role={role}", "--overwrite", "-n", "rides", "--field-manager=Patroni")  # fmt: skip
