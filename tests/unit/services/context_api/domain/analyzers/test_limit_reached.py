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
from tests.support.series import answered, recorded
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


def shared(users: str, target: str = "Deployment/shop/mine"):
    """A full store, and what its exporter says of its databases."""
    store = stateful_set("store", "data", containers=[container(args=["--maxmemory", "2gb"])])
    mine = deployment("mine", containers=[container(env=env(STORE="redis://store.data.svc:6379/0"))])
    taker = deployment("taker", "other", containers=[container(image="registry.example/taker:2", env=env(CACHE=f"redis://store.data.svc:6379/{users}"))],
                       before=[container(image="registry.example/taker:1", env=env(CACHE=f"redis://store.data.svc:6379/{users}"))], rolled_out=95)  # fmt: skip
    here = {"namespace": "data", "pod": "store-0", "__name__": "redis_db_keys"}
    metrics = [
        recorded("redis_db_keys", [100.0] * 40, 300, db="db0", **here),
        recorded("redis_db_keys", [100.0] * 20 + [100.0 + 900 * n for n in range(20)], 300, db="db2", **here),
    ]
    if target != "Deployment/shop/mine":
        metrics += [
            recorded(
                f"redis_memory_{which}_bytes",
                values,
                300,
                namespace="data",
                pod="store-0",
                __name__=f"redis_memory_{which}_bytes",
            )
            for which, values in (
                ("used", [0.4] * 20 + [0.5 + 0.026 * n for n in range(20)]),
                ("max", [1.0] * 40),
            )
        ]
    told = "ERROR redis: OOM command not allowed when used memory > 'maxmemory'."
    return answered(
        target, store, service("store", "data", port=6379, ready=1), mine, taker,
        metrics=metrics, logs=[log(pods_in(mine)[0], lines(told))],
    )  # fmt: skip


def test_who_takes_a_shared_stores_room_is_the_cause_and_not_the_store():
    answer = shared("2")

    assert first(answer) == ("Deployment/other/taker", "TakesSharedRoom")
    for words in ("db db2", "100% of what all together have grown by", "taker:1", "maxmemory"):
        assert words in answer.ranked[0].text


def test_an_alert_about_the_full_store_itself_leads_to_who_takes_its_room():
    assert first(shared("2", "StatefulSet/data/store")) == ("Deployment/other/taker", "TakesSharedRoom")


def test_where_nobody_names_the_part_that_grew_the_limit_is_told():
    assert first(shared("7")) == ("StatefulSet/data/store", "LimitReached")
