"""Consumers that are outpaced, and those that stand still."""

from __future__ import annotations

import pytest

from libs.contracts.causes import CausesAnswer
from tests.support.kube import container, deployment, env, service
from tests.support.series import answered, recorded
from tests.support.triage import first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

GROUP = {"consumergroup": "biller", "topic": "usage"}
WORKER = deployment("worker", containers=[container(env=env(GROUP_ID="biller"))])
GROWS = [300.0] * 20 + [300.0 + 4000 * n for n in range(30)]


def lag(values, **labels: str):
    return recorded("kafka_consumergroup_lag", values, **{**GROUP, **labels})


def broker(*, came: float = 170, done: float = 100, seen: float = 2, parts: float = 12):
    return [
        recorded("rate(kafka_topic_partition_current_offset[5m])", [came] * 5, topic="usage"),
        recorded("rate(kafka_consumergroup_current_offset[5m])", [done] * 5, **GROUP),
        recorded("kafka_consumergroup_members", [seen] * 5, consumergroup="biller"),
        recorded("kafka_topic_partitions", [parts] * 5, topic="usage"),
    ]


def commanded(answer: CausesAnswer) -> str:
    proposed = answer.ranked[0].remediation
    return (proposed.command or "") if proposed is not None else ""


def test_outpaced_consumers_are_told_with_both_rates_their_number_and_the_partitions():
    answer = answered("Deployment/shop/worker", WORKER, metrics=[lag(GROWS), *broker()])

    assert first(answer) == ("Deployment/shop/worker", "ConsumersOutpaced")
    told = answer.ranked[0].text
    assert (
        "lags 116300 messages behind topic usage and 66.7 more every second: 170 a second are produced, 100 worked off"
        in told
    )
    assert (
        "2 members (2 pods) for 12 partitions: too few to keep up, and up to 10 more could share the work"
        in told
    )
    assert "--replicas=5" in commanded(answer)


def test_more_members_than_partitions_are_not_proposed():
    answer = answered("Deployment/shop/worker", WORKER, metrics=[lag(GROWS), *broker(parts=2)])

    assert "more than one member a partition would have nothing to do" in answer.ranked[0].text
    assert "--replicas=2" in commanded(answer)


def test_a_queue_whose_consumers_are_too_slow_is_told_alike():
    printer = deployment("printer", containers=[container(env=env(LETTER_QUEUE="letters"))])
    metrics = [
        recorded("rabbitmq_queue_messages_ready", GROWS, queue="letters"),
        recorded("rabbitmq_queue_consumers", [2] * 5, queue="letters"),
    ]

    answer = answered("Deployment/shop/printer", printer, metrics=metrics)

    assert first(answer) == ("Deployment/shop/printer", "ConsumersOutpaced")
    assert "queue letters lags 116300 messages" in answer.ranked[0].text


def test_consumers_that_work_nothing_off_show_a_symptom_of_something_else():
    down = service("store", ready=0, not_ready=1)
    worker = deployment(
        "worker", containers=[container(env=env(GROUP_ID="biller", STORE_URL="http://store:80"))]
    )

    answer = answered("Deployment/shop/worker", worker, down, metrics=[lag(GROWS), *broker(done=0, seen=0)])

    lagging = next(f for f in answer.findings if f.reason == "ConsumersStandStill")
    assert lagging.parent is not None
    assert lagging.parent.startswith("Service/shop/store: ")
    assert first(answer)[0] == "Service/shop/store"


@pytest.mark.parametrize(
    "values",
    [
        [300.0] * 50,
        [5.0 + n for n in range(50)],
        [300.0] * 20 + [300.0 + 4000 * n for n in range(15)] + [56300.0 - 4000 * n for n in range(14)],
        [90000.0 + (n % 5) * 300 for n in range(50)],
        [0.0, 900.0] * 25,
        [100.0, 4000.0, 9000.0],
    ],
    ids=["level", "few messages", "drained again", "high and level", "batches", "too few samples"],
)
def test_a_backlog_that_does_not_grow_is_no_cause(values):
    assert answered("Deployment/shop/worker", WORKER, metrics=[lag(values), *broker()]).no_cause


def test_the_lag_of_another_group_is_nothing_to_this_workload():
    assert answered("Deployment/shop/worker", WORKER, metrics=[lag(GROWS, consumergroup="other")]).no_cause
