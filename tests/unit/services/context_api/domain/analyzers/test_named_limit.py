"""Limits that programs name in their own words, and what sets or fills them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kube import (
    Doc,
    ago,
    applied,
    config_map,
    container,
    deployment,
    edit,
    env,
    log,
    pods_in,
    service,
    stateful_set,
)
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

BEFORE = config_map("conf", data={"mq.conf": "queue_memory_watermark.absolute = 1500MB\nlog = info\n"})
NOW = config_map(
    "conf",
    data={"mq.conf": "queue_memory_watermark.absolute = 150MB\nlog = info\n"},
    annotations=applied(BEFORE),
    edits=[edit(60 * 11, "data/mq.conf")],
)
API = deployment("api", containers=[container(env=env(QUEUE="amqp://mq:5672"))])
SAYS = "[info] queue_memory_watermark set. used:298844160 allowed:150000000\n{} [warning] alarm set, publishers are blocked"
READS = {"volumes": [{"name": "conf", "configMap": {"name": "conf"}}]}


def asked(config: Doc, says: str = SAYS, complains: str = "ERROR publish to mq:5672 timed out", **used: Any):
    broker = stateful_set(
        "mq", "shop", containers=[container(volumeMounts=[{"name": "conf", "mountPath": "/etc/mq"}], **used)], spec=READS,
    )  # fmt: skip
    logs = [
        log(pods_in(API)[0], "\n".join(f"{ago(9 - n)} {complains}" for n in range(8))),
        log(pods_in(broker)[0], f"{ago(9)} {says.format(ago(9))}"),
    ]
    return causes(
        API, broker, config, service("mq", port=5672, ready=1), target="Deployment/shop/api", logs=logs
    )


def test_a_setting_that_the_called_program_names_is_the_cause_with_its_value_and_history():
    answer = asked(NOW)

    assert first(answer) == ("ConfigMap/shop/conf", "LimitNamed")
    words = answer.ranked[0].text
    assert "queue_memory_watermark.absolute = 150MB" in words
    assert "queue_memory_watermark.absolute = 1500MB" in words
    assert answer.ranked[0].confidence.value > 0.7


def test_a_setting_that_nobody_changed_is_less_sure():
    bare = config_map("conf", data={"mq.conf": "queue_memory_watermark.absolute = 150MB\n"})

    assert first(asked(bare)) == ("ConfigMap/shop/conf", "LimitNamed")
    assert asked(bare).ranked[0].confidence.value < asked(NOW).ranked[0].confidence.value


@pytest.mark.parametrize(
    "says",
    [
        "[info] queue_memory_watermark.absolute = 150MB\n{} [warning] slow disk",
        "[info] started\n{} [warning] slow disk",
    ],
    ids=["printed at the start", "not named"],
)
def test_a_setting_that_is_printed_or_not_named_is_none(says: str):
    assert all(cause.reason != "LimitNamed" for cause in asked(NOW, says).ranked)


def test_what_nobody_complains_of_is_not_read_for_its_settings():
    assert asked(NOW, complains="INFO published").ranked == []


FULL = "ERROR not stored: this store has [3000]/[3000] maximum parts open"


def test_a_program_that_is_told_that_all_is_in_use_is_named_with_what_was_changed_of_what_it_reads():
    reader = deployment("api", containers=[container(volumeMounts=[{"name": "conf", "mountPath": "/c"}])], spec=READS)  # fmt: skip
    told = log(pods_in(reader)[0], "\n".join(f"{ago(9 - n)} {FULL}" for n in range(8)))
    answer = causes(reader, NOW, target="Deployment/shop/api", logs=[told])

    assert first(answer) == ("Deployment/shop/api", "AllInUse")
    assert "[3000]/[3000] maximum parts open" in answer.ranked[0].text
    assert "ConfigMap shop/conf, which it reads, was edited" in answer.ranked[0].text


def test_a_look_alike_that_only_counts_its_tries_is_none():
    told = log(pods_in(API)[0], "\n".join(f"{ago(9 - n)} ERROR 3/3 tries failed" for n in range(8)))

    assert all(c.reason != "AllInUse" for c in causes(API, target="Deployment/shop/api", logs=[told]).ranked)
