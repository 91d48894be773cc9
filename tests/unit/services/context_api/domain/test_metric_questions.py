from __future__ import annotations

import re

import pytest

from services.context_api.domain import latency, volumes
from services.context_api.domain.analyzers import consumer_lag, node_busy, saturation
from services.context_api.domain.latency import is_timed
from services.context_api.domain.metric_questions import (
    AHEAD,
    BACKLOG,
    ENGAGED,
    THROTTLED,
    WAITED,
    metric_questions,
)
from services.context_api.domain.queues import is_backlog
from tests.support.series import series

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def test_every_question_is_limited_to_the_namespaces_asked_for():
    for question in metric_questions(["shop", "data"]):
        selectors = re.findall(r"\{[^}]*\}", question.query)
        assert selectors
        assert all('namespace=~"shop|data"' in selector for selector in selectors)


def test_without_namespaces_every_namespace_is_meant():
    of_nodes = {"node-filesystems", "node-cpu", "node-disks"}

    assert all('namespace!=""' in q.query for q in metric_questions() if q.name not in of_nodes)
    assert of_nodes <= {q.name for q in metric_questions()}


def test_nodes_are_not_asked_about_when_only_some_namespaces_may_be():
    assert not [q for q in metric_questions(["shop"]) if "node_" in q.query]


def test_names_are_distinct_and_fit_for_files():
    names = [question.name for question in metric_questions()]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z-]+", name) for name in names)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cpu-throttled", ("cfs_throttled", "/")),
        ("memory-near-limit", ("memory_working_set",)),
        ("cpu-near-limit", ("cpu_usage_seconds", "rate(")),
        ("volumes-used", ("kubelet_volume_stats", "used", "/")),
        ("volumes-inodes", ("kubelet_volume_stats", "inodes_used", "/")),
        ("memory-rising", ("memory_working_set", " and ")),
        ("node-filesystems", ("node_filesystem_avail_bytes", " / node_filesystem_size_bytes")),
        ("burn-rates", ("burn_?rate",)),
        ("response-times", ("histogram_quantile(0.99", "duration_seconds_bucket")),
        ("group-lag", ("kafka_consumergroup_lag", "consumergroup", "topic")),
        ("queue-backlog", ("rabbitmq_queue_messages_ready", "queue")),
        ("node-cpu", ("1 - avg", 'mode="idle"')),
        ("cpu-largest", ("cpu_usage_seconds", "rate(")),
        ("node-disks", ("rate(node_disk_io_time_weighted_seconds_total",)),
        ("container-writes", ("rate(container_fs_writes_bytes_total",)),
        ("container-reads", ("rate(container_fs_reads_bytes_total",)),
        ("kept-for-readers", ("pg_replication_slots?_", "lsn_diff", "active", "pg_wal_size_bytes")),
    ],
)
def test_the_analyzers_recognise_the_query_by_these_words(name: str, words: tuple[str, ...]):
    """`saturation`, `slow_requests`, `consumer_lag`, `node_busy`, `node_disk_busy`, `volume_full`, `volume_growth`, `node_filesystem` and `error_budget` tell by the query's text what a value means."""
    query = next(question.query for question in metric_questions() if question.name == name)

    assert all(word in query for word in words)


def test_braces_and_brackets_are_balanced():
    for question in metric_questions(["shop"]):
        for opening, closing in ("{}", "[]", "()"):
            assert question.query.count(opening) == question.query.count(closing)


def test_no_more_is_asked_than_is_judged():
    assert THROTTLED == saturation.THROTTLED
    assert AHEAD.total_seconds() == saturation.SOON
    assert saturation.FULL > 0.9
    assert volumes.FULL > 0.5


def test_what_queries_of_metrics_measure_is_what_the_analyzers_take_them_for():
    asked = {question.name: series(question.query, [1.0]) for question in metric_questions()}

    assert is_timed(asked["response-times"])
    assert is_backlog(asked["group-lag"])
    assert is_backlog(asked["queue-backlog"])
    assert [name for name, one in asked.items() if is_backlog(one)] == ["group-lag", "queue-backlog"]
    assert [name for name, one in asked.items() if is_timed(one)] == ["response-times"]
    assert WAITED < latency.LEAST
    assert BACKLOG < consumer_lag.FEWEST
    assert ENGAGED < node_busy.BUSY
