"""What a log complains of and somebody else's settings name too."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import common_name
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
    template,
    thing,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

READS = env(TOPIC="orders.placed", GROUP="shipments")
READER = deployment("shipments", containers=[container(env=READS)])
GARBLED = "ERROR cannot deserialize the value of a record of orders.placed-1 at offset 88120031"
MOUNTED = {"volumes": [{"name": "c", "configMap": {"name": "writer"}}]}
AVRO = "value.serializer=AvroSerializer\norders.topic=orders.placed\n"
JSON = AVRO.replace("Avro", "Json")


def complaints(line: str = GARBLED, objects: list[Doc] = READER) -> list[Any]:
    well = "\n".join(f"{ago(40 - n)} INFO shipment planned" for n in range(20))
    text = "\n".join(f"{ago(12 - n)} {line}" for n in range(11))
    return [log(pods_in(objects)[0], f"{well}\n{text}")]


def settings(minutes: float, text: str = JSON) -> Doc:
    before = config_map("writer", "sales", data={"app.properties": AVRO})
    return config_map("writer", "sales", data={"app.properties": text}, annotations=applied(before), edits=[edit(minutes, "data/app.properties")])  # fmt: skip


WRITER = deployment("writer", "sales", spec=MOUNTED)


def test_a_writers_settings_edited_before_its_reader_began_to_complain_are_the_cause():
    answer = causes(READER, WRITER, settings(14), logs=complaints(), target="Deployment/shop/shipments")

    assert first(answer) == ("ConfigMap/sales/writer", "ChangedBesideCommonName")
    words = answer.ranked[0].text
    for told in ("orders.placed", "AvroSerializer", "JsonSerializer", "Deployment sales/writer"):
        assert told in words


def test_a_release_of_who_names_the_same_table_is_a_lead():
    maker = deployment("loader", "rates", containers=[container(image="registry.example/load:2", env=env(TABLE="closing_rates"))],
                       before=[container(image="registry.example/load:1", env=env(TABLE="closing_rates"))], rolled_out=15)  # fmt: skip
    words = "WARN closing_rates has no rows for today"

    answer = causes(READER, maker, logs=complaints(words), target="Deployment/shop/shipments")

    assert first(answer) == ("Deployment/rates/loader", "ChangedBesideCommonName")


def cron(minutes: float, *paths: str, ran: float = 60 * 24 * 3, **spec: Any) -> Doc:
    job = {"spec": {"template": template({}, [container(env=env(TABLE="closing_rates"))])}}
    return thing(
        "CronJob", "load", "rates", api="batch/v1", age=60 * 24 * 30, edits=[edit(minutes, *paths)] if paths else (),
        spec={"schedule": "0 17 * * 1-5", "jobTemplate": job, **spec}, status={"lastScheduleTime": ago(ran)},
    )  # fmt: skip


MISSING = complaints("ERROR closing_rates has no rows for 2026-11-20")


def test_an_edit_of_a_cron_job_days_ago_counts_when_no_run_has_started_since():
    moved = cron(60 * 24 * 3 - 90, "spec/timeZone", timeZone="America/New_York")

    answer = causes(READER, moved, logs=MISSING, target="Deployment/shop/shipments")

    assert first(answer) == ("CronJob/rates/load", "ChangedBesideCommonName")
    assert "spec.timeZone: added `America/New_York`" in answer.ranked[0].text


def test_an_edit_that_runs_have_followed_is_no_lead():
    moved = cron(60 * 24 * 3, "spec/timeZone", ran=60, timeZone="America/New_York")

    assert causes(READER, moved, logs=MISSING, target="Deployment/shop/shipments").ranked[0].reason != "ChangedBesideCommonName"  # fmt: skip


def test_a_suspended_cron_job_is_tied_to_who_misses_its_work_through_a_caller_that_says_nothing():
    caller = deployment("decide", containers=[container(env=env(SCORER="http://shipments"))])

    answer = causes(
        caller, READER, service("shipments", ready=1), cron(60 * 40, "spec/suspend", suspend=True),
        logs=MISSING, target="Deployment/shop/decide",
    )  # fmt: skip

    assert first(answer) == ("CronJob/rates/load", "Suspended")
    assert answer.ranked[0].path[-1] == "Deployment/shop/decide"


def test_an_address_in_a_refusal_leads_to_the_platforms_object_that_was_given_it():
    def policy(address: str, **more: Any) -> Doc:
        return thing("EgressPolicy", "out", None, api="net.example/v1", spec={"egressIP": address}, **more)

    refused = "ERROR POST https://pay.example/v1 answered 403: requests from 203.0.113.47 are not allowed"
    changed = policy(
        "203.0.113.47", annotations=applied(policy("203.0.113.12")), edits=[edit(14, "spec/egressIP")]
    )

    answer = causes(READER, changed, logs=complaints(refused), target="Deployment/shop/shipments")

    assert first(answer) == ("EgressPolicy/_cluster/out", "ChangedBesideCommonName")
    assert "`203.0.113.12` → `203.0.113.47`" in answer.ranked[0].text


@pytest.mark.parametrize(
    ("objects", "logs"),
    [
        ([WRITER, settings(60 * 30)], complaints()),
        ([WRITER, settings(5)], complaints()),
        ([WRITER, settings(14, JSON.replace("orders.placed", "stock.moved"))], complaints()),
        ([WRITER, settings(14)], complaints("INFO record of orders.placed-1 handled")),
        ([WRITER, settings(14)], complaints("ERROR the day's file is empty")),
    ],
    ids=["edited long before", "edited after", "another topic", "no complaint", "no name"],
)
def test_without_a_common_name_or_the_time_for_it_nobody_is_tied_to_anybody(
    objects: list[Any], logs: list[Any]
):
    assert said(seen(common_name, READER, *objects, logs=logs)) == []


def test_a_topic_that_many_name_blames_nobody():
    others = [deployment(f"c{n}", containers=[container(env=READS)]) for n in range(5)]

    answer = causes(
        READER, WRITER, settings(14), *others, logs=complaints(), target="Deployment/shop/shipments"
    )

    assert all(c.reason != "ChangedBesideCommonName" for c in answer.ranked)


@pytest.mark.parametrize(
    ("line", "told"),
    [("WARN closing_rates is deprecated, use closes", False), ("WARN closing_rates has no rows", True)],
)
def test_advice_about_a_name_is_no_complaint_of_it(line: str, told: bool):
    maker = deployment("loader", "rates", containers=[container(image="registry.example/load:2", env=env(TABLE="closing_rates"))],
                       before=[container(image="registry.example/load:1", env=env(TABLE="closing_rates"))], rolled_out=15)  # fmt: skip

    answer = causes(READER, maker, logs=complaints(line), target="Deployment/shop/shipments")

    assert bool(answer.ranked) is told
