"""Recorded backlogs of queues and consumer groups, and the workloads that work them off.

Decides which metrics are a backlog, whose it is, and whose consumers a name means: the workload whose settings name the
group or queue, else the one workload of that name.

Rests on: https://github.com/danielqsj/kafka_exporter#metrics (kafka_consumergroup_*, kafka_topic_partitions),
https://github.com/redpanda-data/kminion/blob/master/docs/metrics.md,
https://github.com/seglo/kafka-lag-exporter#metrics (kafka_consumergroup_group_lag),
https://www.rabbitmq.com/docs/prometheus (rabbitmq_queue_messages_ready, rabbitmq_queue_consumers).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.context_api.domain.graph import Graph
from services.context_api.domain.kube import containers, entries, pod_spec, strings, text
from services.context_api.domain.metrics import MetricIndex, Series
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.uses import values_of

GROUP_LABELS = ("consumergroup", "consumer_group", "group", "group_id", "groupid", "queue")
"""Labels with which exporters name a consumer group or queue, in order."""

TOPIC_LABELS = ("topic", "topic_name")

_BACKLOG = re.compile(
    r"\b(?:kafka_consumergroup_lag(?:_sum)?|kafka_consumergroup_group_(?:topic_sum_|sum_)?lag|"
    r"kminion_kafka_consumer_group_topic(?:_partition)?_lag|"
    r"rabbitmq_(?:detailed_)?queue_messages(?:_ready)?)\b"
)
_MEMBERS = re.compile(
    r"\b(?:kafka_consumergroup_members|kminion_kafka_consumer_group_members|rabbitmq_(?:detailed_)?queue_consumers)\b"
)
_PARTITIONS = re.compile(r"\bkafka_topic_partitions\b")
_PRODUCED = re.compile(
    r"rate\(\s*(?:kafka_topic_partition_current_offset|kminion_kafka_topic_high_water_mark_sum|"
    r"rabbitmq_(?:detailed_)?queue_messages_published_total)\b"
)
_CONSUMED = re.compile(
    r"rate\(\s*(?:kafka_consumergroup_current_offset(?:_sum)?|kminion_kafka_consumer_group_topic_offset_sum|"
    r"rabbitmq_(?:detailed_)?queue_messages_(?:acked|acknowledged|delivered)_total)\b"
)
_GROUP_KEY = re.compile(r"group|consumer|queue", re.IGNORECASE)
_ASSIGNED = re.compile(r"^\s*[\"']?([\w.-]+)[\"']?\s*[:=]\s*[\"']?([^\s\"',;]+)[\"']?\s*$", re.MULTILINE)
_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits for one group (of one topic) or in one queue, over time."""

    group: str
    topic: str
    """Empty for a queue."""
    points: tuple[tuple[float, float], ...]
    series: Series
    """One of those it was summed from."""

    @property
    def last(self) -> float:
        return self.points[-1][1]

    def __str__(self) -> str:
        return f"consumer group {self.group}" if self.topic else f"queue {self.group}"


def group_of(labels: Mapping[str, str]) -> str:
    return next((labels[name] for name in GROUP_LABELS if labels.get(name)), "")


def topic_of(labels: Mapping[str, str]) -> str:
    return next((labels[name] for name in TOPIC_LABELS if labels.get(name)), "")


def is_backlog(series: Series) -> bool:
    """Messages that wait, as a number: no rate and no share of something."""
    plain = "rate(" not in series.query and "deriv(" not in series.query and "/" not in series.query
    return plain and _BACKLOG.search(_said(series)) is not None


def _said(series: Series) -> str:
    """The metric's name where the query kept it: a query may ask for several."""
    return series.name or series.query


def backlogs(metrics: MetricIndex) -> Sequence[Backlog]:
    """One per query, group and topic; partitions are summed at the times they were sampled."""
    parts: dict[tuple[str, str, str], list[Series]] = {}
    for series in metrics.all:
        group = group_of(series.labels)
        if group and is_backlog(series):
            parts.setdefault((series.query, group, topic_of(series.labels)), []).append(series)
    found = []
    for (_, group, topic), several in parts.items():
        total: dict[float, float] = {}
        for series in several:
            for moment, value in series.points:
                total[moment] = total.get(moment, 0.0) + value
        found.append(Backlog(group, topic, tuple(sorted(total.items())), several[0]))
    return found


def members(metrics: MetricIndex, backlog: Backlog) -> float | None:
    """How many consumers the broker sees."""
    return _latest(metrics, _MEMBERS, backlog, topic=False)


def partitions(metrics: MetricIndex, backlog: Backlog) -> float | None:
    """Into how many parts the topic is split: no more members than these have work."""
    return _latest(metrics, _PARTITIONS, backlog, group=False) if backlog.topic else None


def produced(metrics: MetricIndex, backlog: Backlog) -> float | None:
    """Messages a second that come in."""
    return _latest(metrics, _PRODUCED, backlog, group=not backlog.topic)


def consumed(metrics: MetricIndex, backlog: Backlog) -> float | None:
    """Messages a second that are worked off."""
    return _latest(metrics, _CONSUMED, backlog)


def _latest(
    metrics: MetricIndex,
    pattern: re.Pattern[str],
    backlog: Backlog,
    *,
    group: bool = True,
    topic: bool = True,
) -> float | None:
    """The last value, summed over the series of the first query that knows this group and topic."""
    query, total = None, 0.0
    for series in metrics.all:
        labels = series.labels
        if not pattern.search(_said(series)) or query not in (None, series.query):
            continue
        if group and group_of(labels) != backlog.group:
            continue
        if topic and backlog.topic and topic_of(labels) not in ("", backlog.topic):
            continue
        query, total = series.query, total + series.last
    return total if query is not None else None


def consumers(graph: Graph, group: str) -> list[KubeObject]:
    """Uppermost owners of the workloads that work for this group or queue."""
    named = [w for w in graph.workloads if _names(graph, w, group)] if group else []
    if not named and group:
        named = [w for w in graph.workloads if w.name == group]
        named = named if len({id(graph.top(w)) for w in named}) == 1 else []
    return list({id(top): top for top in map(graph.top, named)}.values())


def _names(graph: Graph, workload: KubeObject, group: str) -> bool:
    return any(value == group and _GROUP_KEY.search(key) for key, value in settings(graph, workload))


def settings(graph: Graph, workload: KubeObject) -> Iterator[tuple[str, str]]:
    """Names and values of its environment, arguments and ConfigMaps; lines `name: value` of files too."""
    spec = pod_spec(workload)
    for container in containers(spec):
        for variable in entries(container.get("env")):
            yield text(variable.get("name")), text(variable.get("value"))
        words = strings(container.get("command")) + strings(container.get("args"))
        for flag, after in zip(words, [*words[1:], ""], strict=False):
            key, equals, value = flag.partition("=")
            yield key, value if equals else after
    for use, _, key, value in values_of(graph, workload):
        yield use.variable or key, value
        yield from _ASSIGNED.findall(value[:_LONGEST])
