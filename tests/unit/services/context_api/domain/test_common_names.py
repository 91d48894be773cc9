"""Names that a log says and somebody else's settings name."""

from __future__ import annotations

import pytest

from services.context_api.domain.common_names import names_in, namings, own_names
from services.context_api.domain.graph import Graph
from tests.support.kube import config_map, container, deployment, env, service, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("cannot deserialize a record of partition orders.placed-3 at offset 88120000", "orders.placed"),
        ("WARN closing_rates has no rows for the day", "closing_rates"),
        ("ERROR 403 requests from 203.0.113.47 are not allowed", "203.0.113.47"),
        ('relation "ledgers" does not exist', "ledgers"),
        ("card_activity_1h:txn_count is null, default used", "card_activity_1h"),
        ("nats: no response from stream: ORDERS", "ORDERS"),
    ],
)
def test_a_word_with_a_sign_within_or_that_is_called_a_topic_or_a_table_is_a_name(line: str, named: str):
    assert named in list(names_in(line))


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-21T09:51:00.123Z error after 1000.118 ms",
        "panic at main.go:41 in version v2.14.1, build 3fa9c2e1b7",
        "could not read the answer of the server",
    ],
)
def test_times_versions_files_and_plain_words_are_no_names(line: str):
    assert list(names_in(line)) == []


def test_who_names_a_thing_is_found_in_variables_arguments_files_and_platform_objects():
    text = "orders.topic=orders.placed\nacks=all\n"
    volumes = {"volumes": [{"name": "c", "configMap": {"name": "conf"}}]}
    graph = Graph(
        snapshot(
            deployment("writer", spec=volumes),
            config_map("conf", data={"app.properties": text}),
            deployment("lake", containers=[container(env=env(TOPICS="stock.moved,orders.placed"))]),
            deployment("again", containers=[container(args=["--topics", "orders.placed"])]),
            thing("KafkaTopic", "t", api="kafka.example/v1", spec={"topicName": "orders.placed"}),
            deployment("stranger", containers=[container(env=env(TOPIC="orders.placed.v2"))]),
        )
    )

    found = {n.holder.name for n in namings(graph, {"orders.placed"})["orders.placed"]}

    assert found == {"writer", "lake", "again", "t"}


def test_what_many_name_tells_nobody_apart():
    readers = [deployment(f"r{n}", containers=[container(env=env(TOPIC="orders.placed"))]) for n in range(5)]

    assert namings(Graph(snapshot(*readers)), {"orders.placed"}) == {}


def test_services_and_pods_are_the_clusters_own_names():
    known = own_names(Graph(snapshot(deployment("order-api"), service("order-api"))))

    assert {"order-api", "shop"} <= set(known)
