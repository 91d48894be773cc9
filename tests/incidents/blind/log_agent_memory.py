"""A leaner memory limit for a log agent, rolled out to every node, is below what it needs."""

from __future__ import annotations

from tests.incidents.incident import Half, Incident
from tests.incidents.logs import chatter, printed
from tests.incidents.stage import Body, Stage
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
    title="The log agent's memory limit was lowered below its buffers and it is killed on start",
    half=Half.blind,
    story="A cost review lowers the agent's limit from 512Mi to 96Mi by Helm. The DaemonSet replaces one pod, which is "
    "killed each time it reads its backlog, and the rollout waits there.",
    sources=[
        "https://kubernetes.io/docs/tasks/configure-pod-container/assign-memory-resource/",
        "https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/",
        "https://docs.fluentbit.io/manual/administration/memory-management",
    ],
    labels={
        "alertname": "KubeDaemonSetRolloutStuck",
        "namespace": "telemetry",
        "daemonset": "shipper",
        "job": "kube-state-metrics",
        "severity": "warning",
    },
    annotations={
        "summary": "DaemonSet rollout is stuck.",
        "description": "DaemonSet telemetry/shipper has not finished or progressed for at least 15m.",
    },
    causes=["DaemonSet/telemetry/shipper"],
    says=[["96Mi"], ["512Mi"], ["OOMKilled", "out of memory", "OOM"]],
)

CONFIG = """\
[SERVICE]
    Flush                     2
    storage.path              /var/lib/fluent-bit
    storage.backlog.mem_limit 128M
[INPUT]
    Name             tail
    Path             /var/log/containers/*.log
    Mem_Buf_Limit    64MB
    storage.type     filesystem
[OUTPUT]
    Name  opensearch
    Host  log-store.telemetry.svc
    Port  9200
"""


def play(stage: Stage) -> None:
    agent = container(
        "fluent-bit", "fluent/fluent-bit:4.0.9", port=2020, ready="/api/v1/health", memory=("128Mi", "512Mi"),
        mounts={"config": "/fluent-bit/etc", "varlog": "/var/log", "state": "/var/lib/fluent-bit"},
    )  # fmt: skip
    volumes = [
        {"name": "config", "configMap": {"name": "shipper"}},
        {"name": "varlog", "hostPath": {"path": "/var/log"}},
        {"name": "state", "hostPath": {"path": "/var/lib/fluent-bit"}},
    ]
    stage.apply([
        *system(),
        config_map("telemetry/shipper", {"fluent-bit.conf": CONFIG}),
        daemon_set("telemetry/shipper", agent, pod={"volumes": volumes, "tolerations": [{"operator": "Exists"}]}),
        stateful_set("telemetry/log-store", container("opensearch", "telemetry/opensearch:3.2.0", port=9200, memory=("2Gi", "3Gi"))),
        service("telemetry/log-store", 9200, headless=True),
        deployment("telemetry/dashboards", container("dashboards", "telemetry/dashboards:3.2.0", port=5601, ready="/api/status"), replicas=1),
        deployment("parcels/label-api", container("api", "parcels/label-api:4.18.3", port=8080, ready="/readyz"), replicas=3),
        service("parcels/label-api", 80, 8080),
        deployment("parcels/tracker", container("tracker", "parcels/tracker:5.0.1", port=8080, ready="/readyz")),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=25, hours=6)
    before = {pod["metadata"]["name"] for pod in stage.pods("telemetry/shipper")}
    stage.hold("telemetry/shipper")

    def leaner(body: Body) -> None:
        first = body["spec"]["template"]["spec"]["containers"][0]
        first["resources"] = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "96Mi"}}

    stage.edit("daemonset/telemetry/shipper", leaner, manager="helm")
    stage.cluster.until(
        "the old pod's end", lambda: any(p["metadata"].get("deletionTimestamp") for p in stage.pods("telemetry/shipper"))
    )  # fmt: skip
    stage.calm()
    fresh = [p for p in stage.placed("telemetry/shipper", 3) if p["metadata"]["name"] not in before]
    (name,) = [p["metadata"]["name"] for p in fresh]
    stage.crash(f"telemetry/{name}", code=137, reason="OOMKilled", restarts=8, lives_s=7)
    ended = stage.ago(seconds=19)
    for previous in (False, True):
        stage.log(f"telemetry/{name}", printed(ended, [
            "Fluent Bit v4.0.9",
            "* Copyright (C) 2015-2025 The Fluent Bit Authors",
            "[<%Y/%m/%d %H:%M:%S>] [ info] [fluent bit] version=4.0.9, commit=, pid=1",
            "[<%Y/%m/%d %H:%M:%S>] [ info] [storage] ver=1.5.3, type=memory+filesystem, sync=normal, checksum=off, max_chunks_up=128",
            "[<%Y/%m/%d %H:%M:%S>] [ info] [storage] backlog input plugin: storage_backlog.1",
            "[<%Y/%m/%d %H:%M:%S>] [ info] [input:storage_backlog:storage_backlog.1] queue memory limit: 122.1M",
            "[<%Y/%m/%d %H:%M:%S>] [ info] [output:opensearch:opensearch.0] worker #0 started",
            "[<%Y/%m/%d %H:%M:%S>] [ info] [input:storage_backlog:storage_backlog.1] register tail.0/1-<1790000-1799999>.flb",
            "[<%Y/%m/%d %H:%M:%S>] [ info] [input:storage_backlog:storage_backlog.1] register tail.0/1-<1790000-1799999>.flb",
        ], every_s=0.8), previous=previous)  # fmt: skip
    for other in sorted(before & {p["metadata"]["name"] for p in stage.pods("telemetry/shipper")}):
        chatter(stage, f"telemetry/{other}", [
            "[<%Y/%m/%d %H:%M:%S>] [ info] [input:tail:tail.0] inotify_fs_add(): inode=<100000-999999> watch_fd=<10-90> name=/var/log/containers/label-api-<100-999>.log",
            "[<%Y/%m/%d %H:%M:%S>] [ info] [input:tail:tail.0] inotify_fs_remove(): inode=<100000-999999> watch_fd=<10-90>",
        ], count=10)  # fmt: skip
    chatter(stage, "parcels/label-api", [
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3Z>","level":"INFO","msg":"label printed","carrier":"north","ms":<20-90>}',
    ])  # fmt: skip
    chatter(stage, "telemetry/log-store", [
        "[<%Y-%m-%dT%H:%M:%S,%3>][INFO ][o.o.c.m.MetadataUpdateSettingsService] [log-store-0] updating number_of_replicas to [0] for indices [logs-<%Y.%m.%d>]",
    ], count=3)  # fmt: skip
    stage.metric(
        "shipper-memory",
        'container_memory_working_set_bytes{namespace="telemetry",container="fluent-bit"}',
        [
            ({"pod": name, "container": "fluent-bit"}, [98e6, 0, 61e6, 99e6, 0, 0, 100.4e6, 0, 0, 0, 100.1e6, 0]),
            *(({"pod": other, "container": "fluent-bit"}, [214e6 + n * 9e6 + (n + k) % 3 * 2e6 for k in range(12)])
              for n, other in enumerate(sorted(before & {p["metadata"]["name"] for p in stage.pods("telemetry/shipper")}))),
        ],
    )  # fmt: skip
    stage.heartbeat()
    stage.fire(minutes_ago=5)
