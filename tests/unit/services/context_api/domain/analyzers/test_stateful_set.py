"""Governing Services that are missing or give no names."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import stateful_set as analyzer
from tests.support.kube import crashing, log, pods_in, running, service, stateful_set
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

PEERS = "FATAL: lookup db-1.db.shop-data.svc.cluster.local: no such host"


def peers(line: str = PEERS):
    objects = stateful_set("db", replicas=2, statuses=[crashing("db")])
    return objects, [log(pods_in(objects)[0], line, container="db")]


def headless(**more):
    made = service("db", "shop-data", **more)
    made[0]["spec"]["clusterIP"] = "None"
    return made


def test_a_missing_service_is_why_peers_cannot_be_looked_up():
    objects, logs = peers()

    web = service("web", "shop-data")

    (found,) = seen(analyzer, objects, web, logs=logs)
    answer = causes(objects, web, target="StatefulSet/shop-data/db", logs=logs)

    assert said([found]) == [("StatefulSet/shop-data/db", "GoverningServiceMissing")]
    assert "names Service db as its own, which does not exist" in found.text
    assert not found.latent
    assert first(answer) == ("Service/shop-data/db", "ServiceMissing")


def test_a_service_with_an_address_gives_no_names_to_single_pods():
    objects, logs = peers()

    answer = causes(
        objects, service("db", "shop-data", address="10.96.3.4"), target="StatefulSet/shop-data/db", logs=logs
    )

    assert first(answer) == ("Service/shop-data/db", "GoverningServiceUnfit")
    assert "not headless" in answer.ranked[0].text


def test_a_service_that_selects_other_pods_is_told():
    objects, logs = peers()

    found = seen(analyzer, objects, headless(selector={"app": "dbx"}), logs=logs)

    assert said(found) == [("Service/shop-data/db", "GoverningServiceUnfit")]
    assert "app=dbx" in found[0].text


def test_a_headless_service_that_fits_is_no_finding():
    objects, logs = peers()

    assert said(seen(analyzer, objects, headless(), logs=logs)) == []


def test_nobody_misses_the_names_so_it_counts_for_an_alert_about_itself_only():
    objects = stateful_set("db", statuses=[running("db")])

    assert [o.latent for o in seen(analyzer, objects, service("web", "shop-data"))] == [True]
    assert causes(objects, service("web", "shop-data")).no_cause


def test_where_no_service_was_recorded_none_is_missing():
    objects, logs = peers()

    assert said(seen(analyzer, objects, logs=logs)) == []


def test_a_log_that_misses_another_name_is_not_its_doing():
    objects, logs = peers("FATAL: lookup queue.shop-data: no such host")

    (found,) = seen(analyzer, objects, service("web", "shop-data"), logs=logs)

    assert found.latent


def test_an_ordinary_service_is_no_fault_where_nobody_asks_for_its_pods_by_name():
    objects = stateful_set("db", statuses=[running("db")])

    assert seen(analyzer, objects, service("db", "shop-data", address="10.96.3.4")) == []
