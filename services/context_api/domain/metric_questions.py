"""Which Prometheus queries are asked on a live cluster: those whose answers the analyzers can read.

Pure. Each query asks only for what is near a limit or has happened, so that a healthy cluster of any size
answers with little. Readers: `analyzers.saturation`, `analyzers.volume_full`, `analyzers.node_filesystem`,
`analyzers.node_filled`, `analyzers.node_busy`, `analyzers.node_disk_busy`, `analyzers.volume_growth`, `analyzers.slow_requests`, `analyzers.consumer_lag`,
`analyzers.error_budget`, and every finding's evidence. What nodes have belongs to no namespace
and is asked only when all namespaces are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

LOOK_BACK = timedelta(minutes=45)
STEP = timedelta(seconds=30)
"""Of range queries: 91 points a series; half of what Prometheus usually scrapes."""

NEAR = 0.9
"""Share of a limit from which a series is asked for; the analyzers judge from 0.95."""

AHEAD = timedelta(hours=6)
"""How far memory is foretold, as `analyzers.saturation` judges it again with the series itself."""

KNOWN_POOLS = (
    ("pg_stat_database_numbackends", "pg_settings_max_connections"),
    ("pg_stat_activity_count", "pg_settings_max_connections"),
    ("mysql_global_status_threads_connected", "mysql_global_variables_max_connections"),
    ("redis_connected_clients", "redis_config_maxclients"),
    ("pgbouncer_pools_server_active_connections", "pgbouncer_databases_pool_size"),
)
"""What exporters call connections and their maximum; the first may be split (by database), so it is summed."""

SLOW = 6.0
"""Burn rate from which `analyzers.error_budget` speaks."""

WAITED = 0.05
"""Seconds from which response times are asked for; half of what `latency` calls waiting, so that a rise is seen."""

BACKLOG = 10.0
"""Messages from which a backlog is asked for; a tenth of what `analyzers.consumer_lag` judges, for the same reason."""

ENGAGED = 0.5
"""Share of a node's processors from which it is asked for; `analyzers.node_busy` judges from 0.95."""

LARGEST = 30
"""Containers whose use of processors is asked for: who takes a node's is among them."""

MOVED = 1e6
"""Bytes a second from which a container's writing and reading is asked for; `analyzers.node_disk_busy` judges from 5 MB/s."""

QUEUED = 5.0
"""Requests waiting for a disk from which it is asked for; `analyzers.node_disk_busy` judges from 10."""

_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")

THROTTLED = 0.25
"""As `analyzers.saturation` judges, and Kubernetes' own alert."""


@dataclass(frozen=True, slots=True)
class MetricQuestion:
    """`name` is fit for a file's."""

    name: str
    query: str
    kind: str
    """`instant` or `range`."""


def metric_questions(namespaces: Sequence[str] = ()) -> Sequence[MetricQuestion]:
    """The questions, about all namespaces or these. Names of namespaces are DNS labels: no sign steers a query.

    Raises:
        ValueError: one is not.
    """
    if not all(map(_NAMESPACE.fullmatch, namespaces)):
        raise ValueError("this is no namespace's name")
    own = f'namespace=~"{"|".join(namespaces)}"' if namespaces else 'namespace!=""'
    real = f'{own},container!="",container!="POD"'
    by = "sum by (namespace, pod, container)"
    memory, memory_limit = "container_memory_working_set_bytes", "container_spec_memory_limit_bytes"
    cpu = f"{by} (rate(container_cpu_usage_seconds_total{{{real}}}[5m]))"
    cores = f"{by} (container_spec_cpu_quota{{{real}}} / container_spec_cpu_period{{{real}}})"
    throttled = f"{by} (increase(container_cpu_cfs_throttled_periods_total{{{real}}}[5m]))"
    periods = f"{by} (increase(container_cpu_cfs_periods_total{{{real}}}[5m]))"
    restarts = f"kube_pod_container_status_restarts_total{{{own}}}"
    pools = "|".join(("active", "used", "in_use", "current", "busy", "open", "max", "limit", "size"))
    databases = "|".join(sorted({name for pair in KNOWN_POOLS for name in pair}))
    inodes = f"kubelet_volume_stats_inodes_used{{{own}}} / kubelet_volume_stats_inodes{{{own}}}"
    mounts = 'mountpoint=~"/|/var|/var/lib|/var/lib/(kubelet|containerd|docker|containers|rancher).*"'
    rising = f"predict_linear({memory}{{{real}}}[30m], {AHEAD.total_seconds():.0f})"
    questions = (
        MetricQuestion(
            "volumes-used",
            f"kubelet_volume_stats_used_bytes{{{own}}} / kubelet_volume_stats_capacity_bytes{{{own}}} > 0.5",
            "range",
        ),
        MetricQuestion("cpu-throttled", f"{throttled} / {periods} >= {THROTTLED}", "instant"),
        MetricQuestion(
            "memory-near-limit",
            f"{memory}{{{real}}} and ({memory}{{{real}}} / ({memory_limit}{{{real}}} > 0) >= {NEAR})",
            "instant",
        ),
        MetricQuestion("cpu-near-limit", f"{cpu} and ({cpu} / ({cores} > 0) >= {NEAR})", "instant"),
        MetricQuestion("restarts", f"{restarts} and (increase({restarts}[1h]) > 0)", "range"),
        MetricQuestion(
            "pools", f'{{__name__=~".+_(connections?|pool)_.*({pools})",{own},pod!=""}}', "instant"
        ),
        MetricQuestion("database-pools", f'{{__name__=~"{databases}",{own},pod!=""}}', "instant"),
        MetricQuestion("volumes-inodes", f"{inodes} > 0.5", "range"),
        MetricQuestion(
            "memory-rising",
            f"{memory}{{{real}}} and ({rising} > ({memory_limit}{{{real}}} > 0))",
            "range",
        ),
        MetricQuestion(
            "response-times",
            "histogram_quantile(0.99, sum by (namespace, service, le) "
            f'(rate({{__name__=~"http_(server_)?requests?_duration_seconds_bucket",{own},service!=""}}[5m]))) > {WAITED:g}',
            "range",
        ),
        MetricQuestion(
            "group-lag",
            f"sum by (namespace, consumergroup, topic) (kafka_consumergroup_lag{{{own}}}) > {BACKLOG:g}",
            "range",
        ),
        MetricQuestion(
            "queue-backlog",
            f"sum by (namespace, vhost, queue) (rabbitmq_queue_messages_ready{{{own}}}) > {BACKLOG:g}",
            "range",
        ),
        MetricQuestion(
            "group-members",
            f'{{__name__=~"kafka_consumergroup_members|kafka_topic_partitions|rabbitmq_queue_consumers",{own}}}',
            "instant",
        ),
        MetricQuestion(
            "topic-produced",
            f"sum by (namespace, topic) (rate(kafka_topic_partition_current_offset{{{own}}}[5m])) > 0",
            "instant",
        ),
        MetricQuestion(
            "group-consumed",
            f"sum by (namespace, consumergroup, topic) (rate(kafka_consumergroup_current_offset{{{own}}}[5m]))",
            "instant",
        ),
        MetricQuestion(
            "container-writes",
            f"{by} (rate(container_fs_writes_bytes_total{{{real}}}[5m])) > {MOVED:.0f}",
            "range",
        ),
        MetricQuestion(
            "container-reads",
            f"{by} (rate(container_fs_reads_bytes_total{{{real}}}[5m])) > {MOVED:.0f}",
            "range",
        ),
        MetricQuestion(
            "kept-for-readers",
            f'{{__name__=~"pg_replication_slots?_(pg_wal_lsn_diff|slot_is_active|active)|pg_wal_size_bytes",{own}}}',
            "range",
        ),
        MetricQuestion("cpu-largest", f"topk({LARGEST}, {cpu})", "instant"),
        MetricQuestion("burn-rates", f'{{__name__=~".*burn_?rate.*",{own}}} >= {SLOW:g}', "instant"),
    )
    if namespaces:
        return questions
    free = f"node_filesystem_avail_bytes{{{mounts}}} / node_filesystem_size_bytes{{{mounts}}}"
    idle = 'avg by (instance, node) (rate(node_cpu_seconds_total{mode="idle"}[5m]))'
    return (
        *questions,
        MetricQuestion("node-filesystems", f"{free} < 0.5", "range"),
        MetricQuestion(
            "node-disks", f"rate(node_disk_io_time_weighted_seconds_total[5m]) > {QUEUED:g}", "range"
        ),
        MetricQuestion("node-cpu", f"1 - {idle} > {ENGAGED}", "range"),
    )
