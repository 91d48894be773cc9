"""A setting with a letter too many in an Elasticsearch resource: the first node that restarts with it does not boot."""

from __future__ import annotations

from typing import Any

import yaml

from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter
from tests.incidents.stage import Stage
from tests.incidents.workloads import container, deployment, service, stateful_set, system

Body = dict[str, Any]

INCIDENT = Incident(
    title="An unknown setting in the Elasticsearch resource keeps its restarted node from booting",
    half=Half.tuned,
    story="indices.memory.index_buffer_sizes was written into the node set's config; the setting has no s at its end. ECK renders the config and restarts node 2, which ends at once; ECK waits for it before it touches the next one. Editing the StatefulSet would be undone by the operator.",
    sources=[
        "https://www.elastic.co/docs/deploy-manage/deploy/cloud-on-k8s/node-configuration",
        "https://www.elastic.co/docs/reference/elasticsearch/configuration-reference/indexing-buffer-settings",
        "https://github.com/elastic/cloud-on-k8s/issues/8632",
        "https://github.com/elastic/kibana/issues/195811",
    ],
    labels={
        "alertname": "KubeStatefulSetReplicasMismatch",
        "severity": "warning",
        "namespace": "lookup",
        "statefulset": "titles-es-default",
        "job": "kube-state-metrics",
    },
    causes=["Elasticsearch/lookup/titles"],
    says=[["index_buffer_sizes"], ["unknown setting"]],
    innocent=["StatefulSet/lookup/titles-es-default", "Pod/lookup/titles-es-default-2"],
    traits=frozenset({Trait.innocent}),
    authored=["eck resources", "eck status", "eck events"],
)

GROUP = "elasticsearch.k8s.elastic.co"
WELL: Body = {"node.store.allow_mmap": False, "indices.memory.index_buffer_size": "15%"}
WRONG: Body = {"node.store.allow_mmap": False, "indices.memory.index_buffer_sizes": "25%"}


def play(stage: Stage) -> None:
    stage.crd(GROUP, "v1", "Elasticsearch", "elasticsearches")
    stage.apply([
        *system(),
        *(_cluster(name, count) for name, count in (("titles", 3), ("reviews", 2))),
        deployment("elastic-system/elastic-operator", container("manager", "eck/eck-operator:3.2.0"), replicas=1),
        deployment("lookup/lookup-api", container("lookup-api", "lookup/lookup-api:5.5.0", port=8080, ready="/ready",
                                                  env={"ELASTICSEARCH_URL": "https://titles-es-http.lookup.svc:9200"})),
        service("lookup/lookup-api", 8080),
    ])  # fmt: skip
    for name, count in (("titles", 3), ("reviews", 2)):
        owner = stage.get(f"elasticsearches/lookup/{name}")
        stage.apply(_owned(owner, count), manager="elastic-operator")
    stage.calm()
    for name, count in (("titles", 3), ("reviews", 2)):
        _healthy(stage, name, count)
    stage.wait(days=29, hours=9)

    def widen(cluster: Body) -> None:
        cluster["spec"]["nodeSets"][0]["config"] = WRONG

    stage.edit("elasticsearches/lookup/titles", widen)
    stage.wait(seconds=4)
    owner = stage.get("elasticsearches/lookup/titles")
    stage.apply(_owned(owner, 3, config=WRONG), manager="elastic-operator")
    _applying(stage)
    # Their update strategy is OnDelete: the operator deletes the one whose turn it is.
    stage.hold("lookup/titles-es-default-2")
    old = stage.pods("lookup/titles-es-default-2")[0]["metadata"]["uid"]
    stage.delete("pods/lookup/titles-es-default-2")
    stage.cluster.until("the next node 2", lambda: _replaced(stage, old))
    boot = [
        '{"log.level":"INFO","message":"version[9.2.1], pid[71], build[docker], OS[Linux], JVM[Oracle Corporation/OpenJDK 64-Bit Server VM/25.0.1]","service.name":"ES_ECS","process.thread.name":"main","log.logger":"org.elasticsearch.node.Node","elasticsearch.node.name":"titles-es-default-2","elasticsearch.cluster.name":"titles"}',
        '{"log.level":"ERROR","message":"fatal exception while booting Elasticsearch","service.name":"ES_ECS","process.thread.name":"main","log.logger":"org.elasticsearch.bootstrap.Elasticsearch","elasticsearch.node.name":"titles-es-default-2","elasticsearch.cluster.name":"titles","error.type":"java.lang.IllegalArgumentException","error.message":"unknown setting [indices.memory.index_buffer_sizes] did you mean [indices.memory.index_buffer_size]?"}',
        "ERROR: Elasticsearch did not exit normally - check the logs at /usr/share/elasticsearch/logs/titles.log",
        "ERROR: Elasticsearch died while starting up, with exit code 1",
    ]
    stage.crash("lookup/titles-es-default-2", restarts=9, code=1, lives_s=14, log="\n".join(boot))
    titles = stage.get("elasticsearches/lookup/titles")
    stage.event(
        titles,
        "Unhealthy",
        "Elasticsearch cluster health degraded",
        component="elasticsearch-controller",
        minutes_ago=24,
    )
    chatter(stage, "lookup/lookup-api", ['level=info msg="titles found" hits=<0-400> took=<6-40>ms'])
    for number in (0, 1):
        chatter(stage, f"lookup/titles-es-default-{number}", [
            f'{{"log.level":"WARN","message":"[titles][0] marking unavailable shards as stale: [q8ZyR0sTQ5iU1x{number}wA]","log.logger":"org.elasticsearch.cluster.action.shard.ShardStateAction","elasticsearch.node.name":"titles-es-default-{number}"}}',
            f'{{"log.level":"INFO","message":"delaying allocation for [4] unassigned shards","log.logger":"org.elasticsearch.cluster.routing.allocation.AllocationService","elasticsearch.node.name":"titles-es-default-{number}"}}',
        ], count=4)  # fmt: skip
    chatter(stage, "elastic-system/elastic-operator", [
        '{"log.level":"info","@timestamp":"<%Y-%m-%dT%H:%M:%S.%3>Z","log.logger":"elasticsearch-controller","message":"Cannot restart some nodes for upgrade at this time","namespace":"lookup","es_name":"titles","failed_predicates":{"do_not_restart_healthy_node_if_MaxUnavailable_reached":["titles-es-default-1","titles-es-default-0"]}}',
    ], count=10)  # fmt: skip
    stage.fire(minutes_ago=6)


def _cluster(name: str, count: int) -> Body:
    return {
        "apiVersion": f"{GROUP}/v1", "kind": "Elasticsearch", "metadata": {"name": name, "namespace": "lookup"},
        "spec": {"version": "9.2.1", "nodeSets": [{"name": "default", "count": count, "config": WELL}]},
    }  # fmt: skip


def _owned(owner: Body, count: int, *, config: Body | None = None) -> list[Body]:
    """What ECK makes of the resource: the rendered config, a StatefulSet, Services."""
    name = owner["metadata"]["name"]
    sets = f"{name}-es-default"
    labels = {"common.k8s.elastic.co/type": "elasticsearch", f"{GROUP}/cluster-name": name}
    mine = [{"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name, "uid": owner["metadata"]["uid"],
             "controller": True, "blockOwnerDeletion": True}]  # fmt: skip
    rendered = {"cluster.name": name, "path.data": "/usr/share/elasticsearch/data", **(config or WELL)}
    secret: Body = {
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": f"{sets}-es-config", "namespace": "lookup"},
        "stringData": {"elasticsearch.yml": yaml.safe_dump(rendered)},
    }  # fmt: skip
    node = container("elasticsearch", "elasticsearch/elasticsearch:9.2.1", port=9200, cpu="250m", memory=("2Gi", "2Gi"),
                     mounts={"elastic-internal-elasticsearch-config": "/mnt/elastic-internal/elasticsearch-config"})  # fmt: skip
    nodes = stateful_set(
        f"lookup/{sets}", node, replicas=count, labels=labels, podManagementPolicy="Parallel", updateStrategy={"type": "OnDelete"},
        pod={"volumes": [{"name": "elastic-internal-elasticsearch-config", "secret": {"secretName": f"{sets}-es-config"}}]},
    )  # fmt: skip
    nodes["spec"]["template"]["metadata"]["annotations"] = {
        f"{GROUP}/config-hash": "2807195541" if config is None else "1190642873"
    }
    objects = [secret, nodes, service(f"lookup/{name}-es-http", 9200, selector={f"{GROUP}/cluster-name": name}),
               service(f"lookup/{sets}", 9200, headless=True)]  # fmt: skip
    for each in objects:
        each["metadata"]["ownerReferences"] = mine
        each["metadata"]["labels"] = {**each["metadata"].get("labels", {}), **labels}
    return objects


def _healthy(stage: Stage, name: str, count: int) -> None:
    stage.status(f"elasticsearches/lookup/{name}", {
        "availableNodes": count, "health": "green", "phase": "Ready", "version": "9.2.1", "observedGeneration": 1,
        "conditions": [
            {"type": "ReconciliationComplete", "status": "True", "lastTransitionTime": stage.stamp()},
            {"type": "RunningDesiredVersion", "status": "True", "message": "All nodes are running version 9.2.1", "lastTransitionTime": stage.stamp()},
            {"type": "ElasticsearchIsReachable", "status": "True", "message": f"Service lookup/{name}-es-internal-http has endpoints", "lastTransitionTime": stage.stamp()},
            {"type": "ResourcesAwareManagement", "status": "True", "lastTransitionTime": stage.stamp()},
        ],
    }, manager="elastic-operator")  # fmt: skip


def _applying(stage: Stage) -> None:
    before = stage.get("elasticsearches/lookup/titles")["status"]["conditions"]
    changed = [
        {**c, "status": "False", "message": "Cluster has not fully reconciled", "lastTransitionTime": stage.stamp()}
        if c["type"] == "ReconciliationComplete" else c
        for c in before
    ]  # fmt: skip
    stage.status("elasticsearches/lookup/titles", {
        "availableNodes": 2, "health": "yellow", "phase": "ApplyingChanges", "observedGeneration": 2, "conditions": changed,
        "inProgressOperations": {"upgrade": {"lastUpdatedTime": stage.stamp(), "nodes": [
            {"name": "titles-es-default-2", "status": "DELETED"},
            *({"name": f"titles-es-default-{n}", "status": "PENDING", "predicate": "do_not_restart_healthy_node_if_MaxUnavailable_reached"} for n in (1, 0)),
        ]}},
    }, manager="elastic-operator")  # fmt: skip


def _replaced(stage: Stage, old: str) -> bool:
    """Let its kubelet end the old pod; the controller then makes the next one."""
    stage.calm(unfinished=["lookup/titles-es-default"])
    found = stage.pods("lookup/titles-es-default-2")
    return bool(found) and found[0]["metadata"]["uid"] != old
