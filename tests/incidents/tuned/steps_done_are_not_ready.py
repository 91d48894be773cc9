"""A rule takes every pod that is not ready for a fault; a schema step's pod has done its work."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
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
    title="PodNotReady of a schema step's pod that ended well an hour ago and is kept for its log",
    half=Half.tuned,
    story=(
        "Each release of the catalogue first runs a Job that brings the schema forward. Its pod succeeded and stays for a day. The rule asks for pods whose condition Ready"
        " is not true and forgets those that are done. The release went through, the catalogue is well."
    ),
    sources=[
        "https://github.com/kubernetes-monitoring/kubernetes-mixin/blob/master/alerts/apps_alerts.libsonnet",
        "https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase",
        "https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/",
    ],
    labels={
        "alertname": "PodNotReady",
        "severity": "warning",
        "namespace": "library",
        "pod": "{pod:library/schema-}",
        "job": "kube-state-metrics",
    },
    annotations={"summary": "Pod library/{pod:library/schema-} has not been ready for more than 15 minutes."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
)


def _step(version: str) -> Body:
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"schema-{version.replace('.', '-')}", "namespace": "library", "labels": {"app": "schema"}},
        "spec": {"backoffLimit": 2, "ttlSecondsAfterFinished": 86400, "template": {"metadata": {"labels": {"app": "schema"}}, "spec": {"restartPolicy": "Never", "containers": [
            container("schema", f"library/catalogue:{version}", args=["migrate"], env={"DB_HOST": "shelves.library.svc", "DB_PASSWORD": from_secret("shelves-login", "password")})]}}},
    }  # fmt: skip


def play(stage: Stage) -> None:
    stage.apply([
        *system(),
        secret("library/shelves-login", {"password": ""}),
        deployment("library/catalogue", container("catalogue", "library/catalogue:10.3.0", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "shelves.library.svc", "DB_PASSWORD": from_secret("shelves-login", "password")}), replicas=3),
        service("library/catalogue", 80, 8080),
        stateful_set("library/shelves", container("postgres", "postgres:17.6", port=5432, memory=("1Gi", "2Gi"), env={"POSTGRES_PASSWORD": from_secret("shelves-login", "password")})),
        service("library/shelves", 5432, headless=True),
        deployment("library/loans", container("loans", "library/loans:4.0.8", port=8080, ready="/ready", env={"CATALOGUE_URL": "http://catalogue.library.svc"})),
        service("library/loans", 80, 8080),
        deployment("web/site", container("site", "web/site:7.1.1", port=3000, ready="/up", env={"CATALOGUE_URL": "http://catalogue.library.svc", "LOANS_URL": "http://loans.library.svc"}), replicas=3),
        service("web/site", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=9, hours=4)
    stage.apply([_step("10.4.0")])
    (pod,) = stage.placed("library/schema-10-4-0")
    began = stage.now
    kubelet = stage.kubelets[pod["spec"]["nodeName"]]
    kubelet.started(pod, at=stage.clock.real(began))
    stage.wait(seconds=34)
    (pod,) = stage.placed("library/schema-10-4-0")
    kubelet.complete(pod, began=stage.clock.real(began), ended=stage.clock.real(stage.now))
    stage.cluster.until("the step is complete", lambda: bool(stage.get("jobs/library/schema-10-4-0").get("status", {}).get("completionTime")))  # fmt: skip
    stage.log("library/schema-10-4-0", printed(began, [
        "INFO  [alembic.runtime.migration] Context impl PostgresqlImpl.",
        "INFO  [alembic.runtime.migration] Will assume transactional DDL.",
        "INFO  [alembic.runtime.migration] Running upgrade 71c0e2 -> 9ad4f1, add column shelfmark_sort",
        "catalogue 10.4.0: schema is at 9ad4f1",
    ], every_s=9))  # fmt: skip
    stage.kubectl("set", "image", "deployment/catalogue", "catalogue=registry.example.com/library/catalogue:10.4.0", "-n", "library")  # fmt: skip
    stage.calm()
    stage.wait(minutes=61)
    stage.heartbeat()
    chatter(stage, "library/catalogue", ["INFO catalogue: GET /books/<1000-9999> 200 <5-20>ms", "WARN catalogue: cover of book <1000-9999> is missing, default taken"])  # fmt: skip
    chatter(stage, "library/shelves", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=4)  # fmt: skip
    chatter(stage, "library/loans", ["INFO loans: POST /loans 201 <9-30>ms"])
    chatter(stage, "web/site", ["GET / 200 <4-20>ms", "GET /books 200 <10-40>ms"])
    stage.fire(minutes_ago=44)
