"""Backlogs, and whose consumers a group's name means."""

from __future__ import annotations

import pytest

from services.context_api.domain.queues import (
    backlogs,
    consumed,
    consumers,
    is_backlog,
    members,
    partitions,
    produced,
)
from tests.support.kube import config_map, container, deployment, env
from tests.support.series import recorded, scene, series

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kafka_consumergroup_lag", True),
        ("sum by (consumergroup, topic) (kafka_consumergroup_lag_sum)", True),
        ("max(rabbitmq_queue_messages_ready)", True),
        ("rate(kafka_consumergroup_lag[5m])", False),
        ("kafka_consumergroup_current_offset", False),
        ("rabbitmq_queue_messages_ready / rabbitmq_queue_consumers", False),
        ("rabbitmq_queue_messages_ram_bytes", False),
    ],
)
def test_a_backlog_is_known_by_its_metric(query: str, expected: bool):
    assert is_backlog(series(query, [1.0])) is expected


def test_partitions_are_summed_and_what_belongs_to_a_group_is_found_by_group_and_topic():
    bills, other = {"consumergroup": "biller", "topic": "usage"}, {"consumergroup": "other", "topic": "usage"}
    known = scene(
        metrics=[
            recorded("kafka_consumergroup_lag", [1, 5], partition="0", **bills),
            recorded("kafka_consumergroup_lag", [2, 7], partition="1", **other),
            recorded("kafka_consumergroup_members", [2], consumergroup="biller"),
            recorded("kafka_topic_partitions", [12], topic="usage"),
            recorded("kafka_topic_partitions", [3], topic="elsewhere"),
            recorded("rate(kafka_topic_partition_current_offset[5m])", [170], topic="usage"),
            recorded("rate(kafka_consumergroup_current_offset[5m])", [100], **bills),
            recorded("rate(kafka_consumergroup_current_offset[5m])", [40], **other),
        ]
    ).metrics

    bill, _ = backlogs(known)

    assert (str(bill), bill.last) == ("consumer group biller", 5)
    found = [read(known, bill) for read in (members, partitions, produced, consumed)]
    assert found == [2, 12, 170, 100]


@pytest.mark.parametrize(
    "workload",
    [
        deployment("worker", containers=[container(env=env(KAFKA_GROUP_ID="biller"))]),
        deployment("worker", containers=[container(args=["--consumer-group=biller"])]),
        deployment("worker", containers=[container(args=["--queue", "biller"])]),
        [config_map("settings", data={"app.properties": "topic=usage\ngroup.id = biller\n"}),
         *deployment("worker", containers=[container(envFrom=[{"configMapRef": {"name": "settings"}}])])],
        deployment("biller"),
    ],
    ids=["environment", "an argument", "two arguments", "a file", "its name"],
)  # fmt: skip
def test_consumers_are_found_by_what_their_settings_call_the_group(workload):
    (found,) = consumers(scene(workload, deployment("stranger"), metrics=[]).graph, "biller")

    assert found.kind == "Deployment"
    assert found.name != "stranger"


def test_a_word_that_means_something_else_names_no_consumer():
    known = scene(
        deployment("a", containers=[container(env=env(THEME="biller"))]),
        deployment("b", containers=[container(env=env(GROUP_ID="biller-2"))]),
        metrics=[],
    )

    assert consumers(known.graph, "biller") == []
    assert consumers(known.graph, "") == []


def test_two_workloads_of_a_groups_name_are_not_guessed_between():
    known = scene(deployment("biller", "one"), deployment("biller", "two"), metrics=[])

    assert consumers(known.graph, "biller") == []


def test_one_query_for_several_metrics_is_read_by_the_names_it_kept():
    query, group = (
        '{__name__=~"kafka_consumergroup_members|kafka_topic_partitions"}',
        {"consumergroup": "biller"},
    )
    known = scene(
        metrics=[
            recorded("kafka_consumergroup_lag", [1, 5], topic="usage", **group),
            recorded(query, [2], __name__="kafka_consumergroup_members", **group),
            recorded(query, [12], __name__="kafka_topic_partitions", topic="usage"),
        ]
    ).metrics
    (bill,) = backlogs(known)

    assert (members(known, bill), partitions(known, bill)) == (2, 12)
