"""A database's statement timeout was cut in its custom resource, and the dispatcher's longest question ends too early."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="statement_timeout of the tours database went from 60s to 3s in its resource, and the planner's questions are canceled",
    half=Half.tuned,
    story=(
        "A reviewer wanted runaway statements ended, and set statement_timeout of the Cluster tours-db to 3s; the operator reloads the server at once. The"
        " planner's question for all tours of a day takes eight seconds and is canceled now, so half of its answers are 500. The front, of which the alert"
        " tells, passes them on."
    ),
    sources=[
        "https://www.postgresql.org/docs/17/runtime-config-client.html#GUC-STATEMENT-TIMEOUT",
        "https://cloudnative-pg.io/documentation/current/postgresql_conf/",
    ],
    labels={"alertname": "HighErrorRate", "severity": "critical", "namespace": "dispatch", "service": "front"},
    annotations={"summary": "More than 20 % of the front's answers are 5xx."},
    causes=["Cluster/dispatch/tours-db"],
    says=[["statement_timeout"], ["`3s`", "to 3s"], ["60s"], ["canceling statement", "statement timeout"]],
    innocent=["Deployment/dispatch/front", "Deployment/dispatch/planner", "Deployment/dispatch/depots"],
    traits=frozenset({Trait.innocent}),
    authored=["cloudnative-pg status and pods"],
)  # fmt: skip

GROUP = "postgresql.cnpg.io"


def _cluster(timeout: str) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "Cluster", "metadata": {"name": "tours-db", "namespace": "dispatch"},
        "spec": {
            "instances": 1, "imageName": "registry.example.com/cloudnative-pg/postgresql:17.6",
            "postgresql": {"parameters": {"max_connections": "200", "shared_buffers": "1GB", "statement_timeout": timeout, "work_mem": "16MB"}},
            "storage": {"size": "20Gi"},
        },
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "Cluster", "clusters")
    stage.apply([*system(), _cluster("60s")])
    owner = stage.get(f"clusters.{GROUP}/dispatch/tours-db")
    made = stateful_set(
        "dispatch/tours-db",
        container("postgres", "cloudnative-pg/postgresql:17.6", port=5432, memory=("2Gi", "4Gi")),
        serviceName="tours-db-rw",
    )
    made["metadata"]["ownerReferences"] = [
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "Cluster",
            "name": "tours-db",
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    stage.apply(
        [made, service("dispatch/tours-db-rw", 5432, selector={"app": "tours-db"})],
        manager="cnpg-controller-manager",
    )
    stage.apply([
        deployment("cnpg-system/cnpg-controller-manager", container("manager", "cloudnative-pg/cloudnative-pg:1.27.1", port=9443), replicas=1),
        deployment("dispatch/planner", container("planner", "dispatch/planner:12.4.1", port=8080, ready="/ready", env={"PGHOST": "tours-db-rw.dispatch.svc", "PGDATABASE": "tours"})),
        service("dispatch/planner", 8080),
        deployment("dispatch/depots", container("depots", "dispatch/depots:2.2.0", port=8080, ready="/ready")),
        service("dispatch/depots", 8080),
        deployment("dispatch/front", container("front", "dispatch/front:7.0.3", port=8080, ready="/up", env={"PLANNER": "http://planner:8080", "DEPOTS": "http://depots:8080"})),
        service("dispatch/front", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.status(f"clusters.{GROUP}/dispatch/tours-db", {
        "instances": 1, "readyInstances": 1, "phase": "Cluster in healthy state", "currentPrimary": "tours-db-0",
        "conditions": [{"type": "Ready", "status": "True", "reason": "ClusterIsReady", "message": "Cluster is Ready", "lastTransitionTime": stage.stamp()}],
    }, manager="cnpg-controller-manager")  # fmt: skip
    stage.wait(days=31, hours=4)
    stage.kubectl(
        "set", "image", "deployment/depots", "depots=registry.example.com/dispatch/depots:2.2.1", "-n", "dispatch"
    )  # fmt: skip
    stage.calm()
    stage.wait(minutes=33)
    stage.edit(f"clusters.{GROUP}/dispatch/tours-db", lambda body: body.update(spec=_cluster("3s")["spec"]))
    stage.wait(minutes=26)
    stage.heartbeat()
    stage.log("dispatch/tours-db-0", printed(stage.ago(minutes=25), [
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"postgres","msg":"record","record":{"error_severity":"ERROR","sql_state_code":"57014","message":"canceling statement due to statement timeout","query":"SELECT t.* FROM tours t JOIN stops s USING (tour) WHERE t.day = $1"}}',
        '{"level":"info","ts":"<%Y-%m-%dT%H:%M:%S.%3>Z","logger":"postgres","msg":"record","record":{"error_severity":"LOG","message":"checkpoint complete"}}',
    ] * 12, every_s=60))  # fmt: skip
    for pod in stage.pods("dispatch/planner"):
        stage.log(f"dispatch/{pod['metadata']['name']}", printed(stage.ago(minutes=25), [
            "<%Y-%m-%d %H:%M:%S> INFO  planner - GET /stops/<100-999> 200 <3-30>ms",
            "<%Y-%m-%d %H:%M:%S> ERROR planner - GET /tours: ERROR: canceling statement due to statement timeout (SQLSTATE 57014)",
        ] * 15, every_s=48))  # fmt: skip
    for pod in stage.pods("dispatch/front"):
        stage.log(f"dispatch/{pod['metadata']['name']}", printed(stage.ago(minutes=25), [
            'level=error msg="upstream failed" url=http://planner:8080/tours status=500',
            'level=info msg="answered" path=/depots status=200 ms=<2-20>',
        ] * 15, every_s=48))  # fmt: skip
    chatter(stage, "dispatch/depots", ["INFO depots - GET /depots 200 <1-9>ms"])
    stage.fire(minutes_ago=19)
