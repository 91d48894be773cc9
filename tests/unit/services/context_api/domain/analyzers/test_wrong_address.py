"""Settings that name a Service or a port that is not there."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import wrong_address
from tests.support.kube import (
    ago,
    config_map,
    container,
    crashing,
    deployment,
    edit,
    env,
    log,
    pods_in,
    service,
    stateful_set,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")

DB = [stateful_set("db"), service("db", "shop-data", port=5432, ready=1)]


def client(value: str, text: str):
    objects = deployment("api", containers=[container(env=env(DB_HOST=value))], statuses=[crashing()])
    return objects, [log(pods_in(objects)[0], text)]


def test_a_name_no_service_has_is_told_with_the_one_that_was_meant():
    objects, logs = client(
        "dbb.shop-data.svc.cluster.local",
        "dial tcp: lookup dbb.shop-data.svc.cluster.local on 10.96.0.10:53: no such host",
    )

    answer = causes(objects, DB, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Deployment/shop/api", "ServiceNotFound")
    assert "env DB_HOST" in answer.ranked[0].text or "Env DB_HOST" in answer.ranked[0].text
    assert "Service shop-data/db" in answer.ranked[0].text


def test_a_configmap_that_holds_the_wrong_name_is_the_cause():
    config = config_map("api-conf", edits=[edit(22, "data/DB_HOST")], DB_HOST="db.shop-dta.svc")
    objects = deployment(
        "api", containers=[container(envFrom=[{"configMapRef": {"name": "api-conf"}}])], statuses=[crashing()]
    )
    logs = [log(pods_in(objects)[0], "Error: getaddrinfo ENOTFOUND db.shop-dta.svc")]

    answer = causes(objects, DB, config, target="Deployment/shop/api", logs=logs)

    assert str(answer.ranked[0].target) == "ConfigMap/shop/api-conf"
    assert "db.shop-dta.svc" in answer.ranked[0].text


def test_a_port_the_service_does_not_serve_is_told_with_those_it_does():
    objects, logs = client("db.shop-data:5433", "connect to db.shop-data:5433 failed: connection timed out")

    answer = causes(objects, DB, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Deployment/shop/api", "WrongServicePort")
    assert "5433" in answer.ranked[0].text
    assert "serves 5432" in answer.ranked[0].text


def test_a_service_that_is_gone_while_its_workload_stands_ready_is_itself_the_cause():
    objects, logs = client(
        "db.shop-data", 'could not translate host name "db.shop-data" to address: Name or service not known'
    )

    answer = causes(objects, stateful_set("db"), target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Service/shop-data/db", "ServiceMissing")
    assert answer.ranked[0].path[0] == "Service/shop-data/db"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("db.shop-data", "ERROR: out of cheese"),
        ("api.partner.example.com", "lookup api.partner.example.com: no such host"),
        ("localhost:5432", "connect to localhost:5432 failed: connection refused"),
    ],
    ids=["the address is right", "the name is outside the cluster", "the address is its own pod"],
)
def test_right_and_foreign_addresses_are_not_judged(value: str, text: str):
    objects, logs = client(value, text)

    assert said(seen(wrong_address, objects, DB, logs=logs)) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ERROR request timed out", []),
        ("ERROR upstream returned 503", []),
        ("ERROR getaddrinfo failed: no such host", [("Deployment/shop/api", "ServiceNotFound")]),
        ("ERROR lookup traces.observe.svc on 10.96.0.10:53: no such host", [("Deployment/shop/api", "ServiceNotFound")]),
    ],
    ids=["something answers late", "something answers", "a name is not there", "that name is not there"],
)  # fmt: skip
def test_who_complains_of_somebody_that_is_there_does_not_mean_a_service_that_does_not_exist(
    line: str, found
):
    objects = deployment("api", containers=[container(env=env(OTLP="http://traces.observe.svc:4317"))])
    logs = [log(p, "\n".join(f"{ago(9 - i)} {line}" for i in range(6))) for p in pods_in(objects)]

    answer = causes(objects, DB, service("other", "observe"), target="Deployment/shop/api", logs=logs)

    assert [(str(c.target), c.reason) for c in answer.ranked if c.reason == "ServiceNotFound"] == found
