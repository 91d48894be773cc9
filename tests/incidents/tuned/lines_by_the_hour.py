"""Two faults at once: an index for every hour has used up the cluster's shards, and the new Kibana is too young for its Elasticsearch."""

from __future__ import annotations

from tests.incidents.curves import about, slope
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Stage
from tests.incidents.workloads import (
    config_map,
    container,
    daemon_set,
    deployment,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="shipper makes an index an hour since sixteen days and no further shard may be opened, so new log lines are lost; lens 9.2.0 does not start at Elasticsearch 8.19",
    half=Half.tuned,
    story=(
        "Sixteen days ago the pipeline's index name got the hour in it, which makes 192 shards a day in place of eight. At two o'clock the cluster had its 3000 shards, as many as three"
        " nodes may have, and has refused every new index since; what the agents send is dropped. Three hours before, lens (Kibana) was released at 9.2.0, which does not work with"
        " Elasticsearch 8.19.5: its new pod stays unready, and the old one serves. The agents' settings were edited an hour ago, which is innocent."
    ),
    sources=[
        "https://www.elastic.co/docs/troubleshoot/elasticsearch/troubleshooting-shards-capacity-issues",
        "https://github.com/robcowart/elastiflow/issues/583",
        "https://www.elastic.co/docs/reference/logstash/plugins/plugins-outputs-elasticsearch",
        "https://www.elastic.co/support/matrix#matrix_compatibility",
    ],
    labels={"alertname": "LogLinesMissing", "severity": "critical", "namespace": "logs", "job": "search-exporter", "cluster": "lines"},
    annotations={"summary": "Elasticsearch cluster lines has indexed less than a tenth of its usual documents for 15 minutes."},
    causes=["ConfigMap/logs/shipper-pipeline", "Deployment/logs/shipper"],
    says=[["shard"], ["3000", "maximum"]],
    innocent=["DaemonSet/logs/agent", "ConfigMap/logs/agent-settings", "Deployment/logs/search-exporter"],
    second=["Deployment/logs/lens"],
    traits=frozenset({Trait.two_faults, Trait.innocent}),
)  # fmt: skip

PIPELINE = """\
input {{ beats {{ port => 5044 }} }}
filter {{ json {{ source => "message" }} }}
output {{
  elasticsearch {{
    hosts => ["http://search.logs.svc:9200"]
    index => "%{{[fields][app]}}-{name}"
    action => "create"
  }}
}}
"""


def play(stage: Stage) -> None:
    volumes = {"volumes": [{"name": "pipeline", "configMap": {"name": "shipper-pipeline"}}]}
    stage.apply([
        *system(),
        stateful_set("logs/search", container("elasticsearch", "elasticsearch:8.19.5", port=9200, cpu="300m", memory=("1Gi", "2Gi"), readinessProbe={"tcpSocket": {"port": 9200}, "periodSeconds": 10}), replicas=3), service("logs/search", 9200, headless=True),
        deployment("logs/search-exporter", container("exporter", "prom/elasticsearch-exporter:v1.9.0", port=9114, ready="/healthz", args=["--es.uri=http://search.logs.svc:9200"]), replicas=1), service("logs/search-exporter", 9114),
        config_map("logs/shipper-pipeline", {"main.conf": PIPELINE.format(name="%{+YYYY.MM.dd}")}),
        deployment("logs/shipper", container("logstash", "logstash:8.19.5", port=5044, memory=("512Mi", "1Gi"), mounts={"pipeline": "/usr/share/logstash/pipeline"}), pod=volumes), service("logs/shipper", 5044),
        config_map("logs/agent-settings", {"filebeat.yml": "output.logstash.hosts: ['shipper.logs.svc:5044']\nqueue.mem.events: 4096\n"}),
        daemon_set("logs/agent", container("filebeat", "beats/filebeat:8.19.5", mounts={"settings": "/etc/filebeat"}), pod={"tolerations": [{"operator": "Exists"}], "volumes": [{"name": "settings", "configMap": {"name": "agent-settings"}}]}),
        deployment("logs/lens", container("kibana", "kibana/kibana:8.19.5", port=5601, ready="/api/status", memory=("512Mi", "1Gi"), env={"ELASTICSEARCH_HOSTS": "http://search.logs.svc:9200"}), replicas=1), service("logs/lens", 80, 5601),
        *(item for name in ("orders", "stock", "search-api", "mail") for item in (deployment(f"shop/{name}", container(name, f"shop/{name}:3.2.0", port=8080, ready="/ready")), service(f"shop/{name}", 80, 8080))),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=4)
    stage.edit("configmaps/logs/shipper-pipeline", lambda body: body["data"].update({"main.conf": PIPELINE.format(name="%{+YYYY.MM.dd.HH}")}))  # fmt: skip
    stage.restart("deployments/logs/shipper")
    stage.calm()
    stage.wait(days=16, hours=2, minutes=6)
    old = {p["metadata"]["name"] for p in stage.pods("logs/lens-")}
    stage.hold("logs/lens-")
    stage.kubectl("set", "image", "deployment/lens", "kibana=registry.example.com/kibana/kibana:9.2.0", "-n", "logs")  # fmt: skip
    stage.placed("logs/lens-", 2)
    (fresh,) = {p["metadata"]["name"] for p in stage.pods("logs/lens-")} - old
    stage.wait(seconds=9)
    stage.kubelets[stage.pod(f"logs/{fresh}")["spec"]["nodeName"]].begin(stage.pod(f"logs/{fresh}"), at=stage.clock.real(stage.now), pulled="21.77s")  # fmt: skip
    stage.wait(hours=2, minutes=20)
    stage.edit("configmaps/logs/agent-settings", lambda body: body["data"].update({"filebeat.yml": "output.logstash.hosts: ['shipper.logs.svc:5044']\nqueue.mem.events: 8192\n"}))  # fmt: skip
    stage.restart("daemonsets/logs/agent")
    stage.calm(unfinished=["logs/lens"])
    stage.wait(minutes=56)
    stage.told(stage.pods(f"logs/{fresh}")[0], "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", kind="Warning", count=1180, container="kibana")  # fmt: skip
    stage.heartbeat()
    _logs(stage, fresh)
    _metrics(stage)
    stage.fire(minutes_ago=16)


def _logs(stage: Stage, fresh: str) -> None:
    day, hour = stage.now.strftime("%Y.%m.%d"), stage.now.strftime("%H")
    lost = (
        '[<%Y-%m-%dT%H:%M:%S,%3>][WARN ][logstash.outputs.elasticsearch][main][9f2c41] Could not index event to Elasticsearch. {:status=>400, :action=>["create", {:_id=>nil, '
        f':_index=>"%s-{day}.{hour}", :routing=>nil}}, {{"fields"=>{{"app"=>"%s"}}}}], :response=>{{"create"=>{{"status"=>400, "error"=>{{"type"=>"validation_exception", "reason"=>'
        '"Validation Failed: 1: this action would add [2] shards, but this cluster currently has [3000]/[3000] maximum normal shards open;"}}}}'
    )
    for pod in stage.pods("logs/shipper"):
        stage.log(f"logs/{pod['metadata']['name']}", printed(stage.ago(minutes=31), [
            lost.replace("%s", name) for name in ("orders", "stock", "search-api", "mail")
        ] * 16, every_s=28))  # fmt: skip
    for number in range(3):
        stage.log(f"logs/search-{number}", printed(stage.ago(minutes=29), [
            f'{{"@timestamp":"<%Y-%m-%dT%H:%M:%S.%3>Z","log.level":"INFO","message":"[gc][<100000-999999>] overhead, spent [<200-400>ms] collecting in the last [1s]","elasticsearch.node.name":"search-{number}"}}',
        ] * 6, every_s=280))  # fmt: skip
    for pod in stage.pods("logs/lens-"):
        name = pod["metadata"]["name"]
        words = (
            "[<%Y-%m-%dT%H:%M:%S.%3>+00:00][ERROR][elasticsearch-service] This version of Kibana (v9.2.0) is incompatible with the following Elasticsearch nodes in your cluster: v8.19.5 @ 10.244.0.9:9200 (10.244.0.9), v8.19.5 @ 10.244.1.8:9200 (10.244.1.8), v8.19.5 @ 10.244.2.8:9200 (10.244.2.8)"
            if name == fresh
            else "[<%Y-%m-%dT%H:%M:%S.%3>+00:00][INFO ][http.server.response] GET /app/discover 200 <20-90>ms"
        )
        stage.log(f"logs/{name}", printed(stage.ago(minutes=58), [words] * 24, every_s=145))
    chatter(stage, "logs/agent", ['{"log.level":"info","@timestamp":"<%Y-%m-%dT%H:%M:%S.%3>Z","message":"Non-zero metrics in the last 30s","service.name":"filebeat"}'], count=20, minutes=55)  # fmt: skip
    chatter(stage, "logs/search-exporter", ['level=INFO msg="scrape done" cluster=lines shards=3000'], count=10, minutes=30)  # fmt: skip
    for name in ("orders", "stock", "search-api", "mail"):
        chatter(stage, f"shop/{name}-", [f"INFO {name}: request done in <4-40>ms"], count=10, minutes=40)


def _metrics(stage: Stage) -> None:
    """Every five minutes for a day; no index could be made since half an hour."""
    count, since = 288, 6
    here = {"namespace": "logs", "job": "search-exporter", "cluster": "lines"}
    stage.metric("indexed", "sum by (namespace, job, cluster) (rate(elasticsearch_indices_indexing_index_total[5m]))", [
        (here, [*about(840, count - since, noise=0.15), *about(4, since, noise=0.5)]),
    ], step_s=300)  # fmt: skip
    stage.metric("shards", "sum by (namespace, job, cluster) (elasticsearch_cluster_health_active_shards)", [
        (here, [float(round(v)) for v in [*slope(2810, 3000, count - since, noise=0), *[3000.0] * since]]),
    ], step_s=300)  # fmt: skip
    stage.metric("written", "sum by (namespace) (rate(container_fs_writes_bytes_total{namespace=\"logs\"}[5m]))", [({"namespace": "logs"}, [*about(9.1e6, count - since, noise=0.2), *about(1.1e6, since, noise=0.2)])], step_s=300)  # fmt: skip
