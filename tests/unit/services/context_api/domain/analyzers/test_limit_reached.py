"""Limits that a log says are met, and what sets them."""

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

FULL = "FATAL:  sorry, too many clients already"
BEFORE = config_map("conf", data={"pg.conf": "port = 5432\nmax_connections = 400\n"})
LOWERED = config_map(
    "conf",
    data={"pg.conf": "port = 5432\nmax_connections = 60\n"},
    annotations=applied(BEFORE),
    edits=[edit(60 * 11, "data/pg.conf")],
)
READS_FILE = {"volumes": [{"name": "conf", "configMap": {"name": "conf"}}]}
API = deployment("api", containers=[container(env=env(DATABASE_URL="postgres://db:5432/main"))])


def lines(text: str) -> str:
    return "\n".join(f"{ago(9 - n)} {text}" for n in range(8))


def asked(*configs: Doc, words: str = f"ERROR pq: {FULL}", target: str = "Deployment/shop/api", **used: Any):
    database = stateful_set(
        "db",
        "shop",
        containers=[container(volumeMounts=[{"name": "conf", "mountPath": "/etc/pg"}], **used)],
        spec=READS_FILE if configs else None,
    )
    logs = [log(pods_in(API)[0], lines(words)), log(pods_in(database)[0], lines(FULL))]
    return causes(API, database, *configs, service("db", port=5432, ready=1), target=target, logs=logs)


@pytest.mark.parametrize("target", ["Deployment/shop/api", "StatefulSet/shop/db"])
def test_a_limit_lowered_long_ago_is_the_cause_when_it_is_met(target: str):
    answer = asked(LOWERED, target=target)

    assert first(answer) == ("ConfigMap/shop/conf", "LimitReached")
    words = answer.ranked[0].text
    assert "max_connections = 60" in words
    assert "`max_connections = 400` → `max_connections = 60`" in words
    assert answer.ranked[0].confidence.value > 0.7


def test_a_limit_that_nobody_changed_is_less_sure_and_says_so():
    answer = asked(config_map("conf", data={"pg.conf": "max_connections = 60\n"}))

    assert first(answer) == ("ConfigMap/shop/conf", "LimitReached")
    assert "nobody changed the limit: use may have grown" in answer.ranked[0].against
    assert answer.ranked[0].confidence.value < asked(LOWERED).ranked[0].confidence.value


def test_a_limit_among_the_arguments_is_the_workloads():
    answer = asked(args=["-c", "max_connections=60"])

    assert first(answer) == ("StatefulSet/shop/db", "LimitReached")
    assert "max_connections=60" in answer.ranked[0].text


def test_a_server_whose_limit_nothing_recorded_sets_is_named_for_its_log_alone():
    assert first(asked()) == ("StatefulSet/shop/db", "ErrorsInLog")


def test_a_process_without_descriptors_is_named_itself():
    told = "http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 1s"
    answer = causes(API, target="Deployment/shop/api", logs=[log(pods_in(API)[0], lines(told))])

    assert first(answer) == ("Deployment/shop/api", "LimitReached")
    assert "has all of its open files in use" in answer.ranked[0].text


def test_a_lowered_limit_that_nobody_meets_is_never_mentioned():
    database = stateful_set("db", "shop", spec=READS_FILE)
    missing = lines('ERROR pq: relation "lines" does not exist')
    answer = causes(
        API, database, LOWERED, service("db", port=5432, ready=1),
        target="Deployment/shop/api", logs=[log(pods_in(API)[0], missing)],
    )  # fmt: skip

    assert answer.ranked
    assert all(c.reason != "LimitReached" for c in answer.ranked)
