"""Steps of a nightly workflow may not write their results any more; a connector elsewhere has failed for its own reason."""

from __future__ import annotations

from typing import Any

from tests.incidents.curves import slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="A role for workflow steps was trimmed, so last night's tiles were not made and the map shows old ones",
    half=Half.tuned,
    story=(
        "Two days ago the Role workflow-executor was trimmed to what pods of the team were thought to need; the rule for"
        " workflowtaskresults went with it. Argo's wait container then ends with code 64, and the workflow ends in Error."
        " The alert is about the map that serves tiles of yesterday. In feeds a connector's task has failed on a record"
        " that it cannot read."
    ),
    sources=[
        "https://argo-workflows.readthedocs.io/en/latest/workflow-rbac/",
        "https://github.com/argoproj/argo-workflows/issues/15203",
        "https://github.com/argoproj/argo-helm/issues/3592",
        "https://github.com/strimzi/strimzi-kafka-operator/pull/7313",
        "https://www.confluent.io/blog/kafka-connect-deep-dive-error-handling-dead-letter-queues/",
    ],
    labels={"alertname": "TilesTooOld", "namespace": "imagery", "service": "map", "layer": "roads", "severity": "warning"},
    annotations={"summary": "Tiles of layer roads are older than 30 hours."},
    causes=["Role/imagery/workflow-executor"],
    says=[["workflowtaskresults"], ["forbidden", "may not", "cannot create", "not allowed"]],
    innocent=["Deployment/imagery/map", "Service/imagery/map", "Deployment/argo/workflow-controller"],
    second=["KafkaConnector/feeds/positions"],
    traits=frozenset({Trait.innocent, Trait.two_faults}),
    authored=["argo workflows resources", "argo workflows status", "argo workflows events", "strimzi status"],
)  # fmt: skip

ARGO, KAFKA = "argoproj.io", "kafka.strimzi.io"
RULES = [
    {"apiGroups": [ARGO], "resources": ["workflowtaskresults"], "verbs": ["create", "patch"]},
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]},
]
DENIED = (
    'workflowtaskresults.argoproj.io is forbidden: User "system:serviceaccount:imagery:renderer" cannot create resource'
    ' "workflowtaskresults" in API group "argoproj.io" in the namespace "imagery"'
)
RUN = "tiles-1799114400"


def play(stage: Stage) -> None:
    for kind, plural in (
        ("Workflow", "workflows"),
        ("CronWorkflow", "cronworkflows"),
        ("WorkflowTaskResult", "workflowtaskresults"),
    ):
        stage.crd(ARGO, "v1alpha1", kind, plural)
    for kind, plural in (("KafkaConnect", "kafkaconnects"), ("KafkaConnector", "kafkaconnectors")):
        stage.crd(KAFKA, "v1", kind, plural)
    tiles = {"volumes": [{"name": "tiles", "persistentVolumeClaim": {"claimName": "tiles"}}]}
    stage.apply([
        *system(),
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "tiles"}, "spec": {
            "capacity": {"storage": "500Gi"}, "accessModes": ["ReadWriteMany"], "storageClassName": "shared", "nfs": {"server": "10.30.0.7", "path": "/exports/tiles"}, "claimRef": {"namespace": "imagery", "name": "tiles"}}},
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "tiles", "namespace": "imagery"}, "spec": {
            "accessModes": ["ReadWriteMany"], "storageClassName": "shared", "volumeName": "tiles", "resources": {"requests": {"storage": "500Gi"}}}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "renderer", "namespace": "imagery"}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "workflow-executor", "namespace": "imagery"}, "rules": RULES},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "renderer", "namespace": "imagery"},
         "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "workflow-executor"}, "subjects": [{"kind": "ServiceAccount", "name": "renderer", "namespace": "imagery"}]},
        deployment("argo/workflow-controller", container("workflow-controller", "argoproj/workflow-controller:v3.7.3"), replicas=1),
        deployment("argo/argo-server", container("argo-server", "argoproj/argocli:v3.7.3", port=2746), replicas=1),
        deployment("imagery/map", container("map", "imagery/map:11.2.0", port=8080, ready="/ready", mounts={"tiles": "/srv/tiles"}), replicas=3, pod=tiles),
        service("imagery/map", 80, 8080),
        deployment("imagery/search", container("search", "imagery/search:2.6.5", port=8080, ready="/ready")),
        service("imagery/search", 80, 8080),
        {"apiVersion": f"{ARGO}/v1alpha1", "kind": "CronWorkflow", "metadata": {"name": "tiles", "namespace": "imagery"}, "spec": {
            "schedules": ["0 2 * * *"], "concurrencyPolicy": "Forbid", "workflowSpec": {"entrypoint": "render", "serviceAccountName": "renderer"}}},
        {"apiVersion": f"{KAFKA}/v1", "kind": "KafkaConnect", "metadata": {"name": "links", "namespace": "feeds", "annotations": {"strimzi.io/use-connector-resources": "true"}}, "spec": {"replicas": 1, "bootstrapServers": "bus.feeds:9092"}},
        *(_connector(name) for name in ("positions", "stops")),
        stateful_set("feeds/bus", container("kafka", "kafka:4.1.0", port=9092, memory=("1Gi", "2Gi")), replicas=3),
        service("feeds/bus", 9092, headless=True),
        deployment("feeds/links-connect", container("connect", "strimzi/kafka:4.1.0", port=8083, memory=("1Gi", "2Gi")), replicas=1, labels={"strimzi.io/cluster": "links", "strimzi.io/kind": "KafkaConnect"}),
        service("feeds/links-connect-api", 8083, selector={"app": "links-connect"}),
        deployment("feeds/arrivals", container("arrivals", "feeds/arrivals:7.0.1", port=8080, ready="/ready")),
    ])  # fmt: skip
    stage.calm()
    stage.status(f"kafkaconnects.{KAFKA}/feeds/links", {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": stage.stamp()}], "observedGeneration": 1, "replicas": 1}, manager="strimzi-cluster-operator")  # fmt: skip
    for name in ("positions", "stops"):
        _connected(stage, name)
    stage.wait(days=61, hours=7)
    stage.edit("roles/imagery/workflow-executor", lambda role: role.update(rules=RULES[1:]))  # fmt: skip
    stage.wait(days=1, hours=10)
    # The nightly run.
    stage.apply([_workflow(stage)], manager="workflow-controller")
    stage.hold(f"imagery/{RUN}")
    stage.apply([_step(stage)], manager="workflow-controller")
    stage.placed(f"imagery/{RUN}")
    stage.wait(seconds=44)
    stage.failed(f"imagery/{RUN}", code=64, lives_s=40, container="wait")
    stage.log(f"imagery/{RUN}", printed(stage.ago(seconds=40), [
        'time="<%Y-%m-%dT%H:%M:%S.%3>Z" level=info msg="Starting Workflow Executor" version=v3.7.3',
        'time="<%Y-%m-%dT%H:%M:%S.%3>Z" level=warning msg="Non-transient error: ' + DENIED.replace('"', '\\"') + '"',
        'time="<%Y-%m-%dT%H:%M:%S.%3>Z" level=error msg="executor error: ' + DENIED.replace('"', '\\"') + '"',
        'time="<%Y-%m-%dT%H:%M:%S.%3>Z" level=info msg="Alloc=11712 TotalAlloc=18949 Sys=24165 NumGC=5 Goroutines=8"',
    ]), container="wait")  # fmt: skip
    stage.log(f"imagery/{RUN}", printed(stage.ago(seconds=38), [
        "INFO render: region <10-40>/64 done", "INFO render: region 64/64 done, 1.9 GiB in /srv/tiles/roads.next",
    ], every_s=30), container="main")  # fmt: skip
    _ended(stage)
    stage.wait(hours=3, minutes=12)
    _connected(stage, "positions", failed=True)
    stage.wait(hours=2, minutes=50)
    stage.heartbeat()
    chatter(stage, "argo/workflow-controller", [
        'time="<%Y-%m-%dT%H:%M:%S.%3>Z" level=info msg="Alloc=39204 TotalAlloc=9921034 Sys=90210 NumGC=2110 Goroutines=312"',
    ], count=5)  # fmt: skip
    chatter(stage, "imagery/map", [
        '{"level":"warn","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"layer is stale","layer":"roads","newest":"/srv/tiles/roads/index.json","age_h":<30-31>}',
        '{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"tile","z":<10-16>,"status":200,"ms":<1-6>}',
    ], count=30)  # fmt: skip
    chatter(stage, "imagery/search", ['{"level":"info","time":"<%Y-%m-%dT%H:%M:%S.%3>Z","msg":"found","n":<0-20>,"ms":<3-15>}'])  # fmt: skip
    stage.log("feeds/links-connect", printed(stage.ago(minutes=170), [
        ("<%Y-%m-%d %H:%M:%S,%3> ERROR [positions|task-0] WorkerSinkTask{id=positions-0} Task threw an uncaught and unrecoverable exception. Task is being killed and will not recover until manually restarted (org.apache.kafka.connect.runtime.WorkerTask) [task-thread-positions-0]\n"
        "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n"
        "\tat org.apache.kafka.connect.runtime.errors.RetryWithToleranceOperator.execAndHandleError(RetryWithToleranceOperator.java:260)\n"
        "Caused by: org.apache.kafka.connect.errors.DataException: Converting byte[] to Kafka Connect data failed due to serialization error: "),
        "<%Y-%m-%d %H:%M:%S,%3> INFO [stops|task-0] WorkerSinkTask{id=stops-0} Committing offsets asynchronously using sequence number <100-999> (org.apache.kafka.connect.runtime.WorkerSinkTask) [task-thread-stops-0]",
    ], every_s=60))  # fmt: skip
    chatter(stage, "feeds/arrivals", ['level=info msg="arrival computed" line=<1-40> ms=<4-20>'])
    stage.metric("tiles_age_hours", '(time() - max by (layer) (tiles_written_timestamp_seconds{namespace="imagery"})) / 3600', [
        ({"layer": "roads"}, slope(6.1, 30.2, 73, noise=0.0)), ({"layer": "terrain"}, slope(70, 94.1, 73, noise=0.0)),
    ], step_s=1200)  # fmt: skip
    stage.fire(minutes_ago=11)


def _connector(name: str) -> Body:
    return {
        "apiVersion": f"{KAFKA}/v1", "kind": "KafkaConnector", "metadata": {"name": name, "namespace": "feeds", "labels": {"strimzi.io/cluster": "links"}},
        "spec": {"class": "io.example.sink.TimeSeriesSink", "tasksMax": 1, "config": {"topics": name, "value.converter": "org.apache.kafka.connect.json.JsonConverter"}},
    }  # fmt: skip


def _connected(stage: Stage, name: str, *, failed: bool = False) -> None:
    trace = "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler\n\tat org.apache.kafka.connect.runtime.errors.RetryWithToleranceOperator.execAndHandleError(RetryWithToleranceOperator.java:260)\nCaused by: org.apache.kafka.connect.errors.DataException: Converting byte[] to Kafka Connect data failed due to serialization error"  # fmt: skip
    stage.status(f"kafkaconnectors.{KAFKA}/feeds/{name}", {
        "observedGeneration": 1, "tasksMax": 1, "topics": [name],
        "conditions": [{"type": "NotReady", "status": "True", "reason": "Throwable", "message": "The following connector tasks have failed: 0", "lastTransitionTime": stage.stamp()}
                       if failed else {"type": "Ready", "status": "True", "lastTransitionTime": stage.stamp()}],
        "connectorStatus": {"name": name, "type": "sink", "connector": {"state": "RUNNING", "worker_id": "10.244.1.9:8083"},
                            "tasks": [{"id": 0, "state": "FAILED", "worker_id": "10.244.1.9:8083", "trace": trace} if failed else {"id": 0, "state": "RUNNING", "worker_id": "10.244.1.9:8083"}]},
    }, manager="strimzi-cluster-operator")  # fmt: skip


def _workflow(stage: Stage) -> Body:
    owner = stage.get(f"cronworkflows.{ARGO}/imagery/tiles")
    mine = [{"apiVersion": owner["apiVersion"], "kind": "CronWorkflow", "name": "tiles", "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}]  # fmt: skip
    return {
        "apiVersion": f"{ARGO}/v1alpha1", "kind": "Workflow",
        "metadata": {"name": RUN, "namespace": "imagery", "ownerReferences": mine, "labels": {"workflows.argoproj.io/cron-workflow": "tiles"}},
        "spec": {"entrypoint": "render", "serviceAccountName": "renderer", "templates": [{"name": "render", "container": {"image": "registry.example.com/imagery/render:4.0.2"}}]},
    }  # fmt: skip


def _step(stage: Stage) -> Body:
    owner = stage.get(f"workflows.{ARGO}/imagery/{RUN}")
    mine = [{"apiVersion": owner["apiVersion"], "kind": "Workflow", "name": RUN, "uid": owner["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}]  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": RUN, "namespace": "imagery", "ownerReferences": mine, "labels": {"workflows.argoproj.io/workflow": RUN, "workflows.argoproj.io/completed": "true"},
                     "annotations": {"workflows.argoproj.io/node-name": RUN, "kubectl.kubernetes.io/default-container": "main"}},
        "spec": {"serviceAccountName": "renderer", "restartPolicy": "Never", "containers": [
            container("wait", "argoproj/argoexec:v3.7.3", args=["wait"]), container("main", "imagery/render:4.0.2", cpu="500m", memory=("1Gi", "2Gi"), mounts={"tiles": "/srv/tiles"})],
            "volumes": [{"name": "tiles", "persistentVolumeClaim": {"claimName": "tiles"}}]},
    }  # fmt: skip


def _ended(stage: Stage) -> None:
    message = f"wait: Error (exit code 64): {DENIED}"
    stage.status(f"workflows.{ARGO}/imagery/{RUN}", {
        "phase": "Error", "message": message, "startedAt": stage.stamp(minutes_ago=1), "finishedAt": stage.stamp(), "progress": "0/1",
        "conditions": [{"type": "PodRunning", "status": "False"}, {"type": "Completed", "status": "True"}],
        "nodes": {RUN: {"id": RUN, "name": RUN, "type": "Pod", "templateName": "render", "phase": "Error", "message": message, "startedAt": stage.stamp(minutes_ago=1), "finishedAt": stage.stamp()}},
    }, manager="workflow-controller")  # fmt: skip
    stage.status(f"cronworkflows.{ARGO}/imagery/tiles", {"lastScheduledTime": stage.stamp(minutes_ago=1), "phase": "Active", "failed": 2, "succeeded": 61, "active": []}, manager="workflow-controller")  # fmt: skip
