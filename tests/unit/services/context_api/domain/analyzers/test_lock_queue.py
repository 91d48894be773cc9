"""Queues for a lock lead to the schema change at their head, or to who holds it."""

from __future__ import annotations

import pytest

from tests.support.kube import ago, container, deployment, env, log, pods_in, service, stateful_set
from tests.support.triage import causes, first
from tests.unit.services.context_api.domain.test_lock_waits import ALTER, OPENED, READS, waits

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

URL = "postgresql://db.shop.svc:5432/main"
API = deployment("api", containers=[container(env=env(DATABASE_URL=URL))])
STEP = deployment("step", containers=[container(env=env(DATABASE_URL=URL))])
EXPORT = deployment("export", containers=[container(env=env(SOURCE=URL))])
DB = stateful_set("db", "shop")
ALL = (API, STEP, EXPORT, DB, service("db", port=5432, ready=1))
TIMED_OUT = "\n".join(
    f"{ago(9 - n)} ERROR read: canceling statement due to statement timeout (SQLSTATE 57014)"
    for n in range(8)
)


def asked(database: str, step: str = "ALTER TABLE lines ADD note text", target: str = "Deployment/shop/api"):
    logs = [
        log(pods_in(API)[0], TIMED_OUT),
        log(pods_in(STEP)[0], f"{ago(9)} INFO step 7: {step}"),
        log(pods_in(DB)[0], database),
    ]
    return causes(*ALL, target=target, logs=logs)


@pytest.mark.parametrize("target", ["Deployment/shop/api", "StatefulSet/shop/db", "Service/shop/db"])
def test_a_schema_change_that_waits_is_named_with_who_holds_the_lock(target: str):
    answer = asked("\n".join([OPENED, ALTER, *READS]), target=target)

    assert first(answer) == ("Deployment/shop/step", "LockQueue")
    words = answer.ranked[0].text
    assert "AccessExclusiveLock" in words
    assert "ALTER TABLE lines" in words
    assert "process 11 (user figures, application export, Deployment shop/export)" in words
    assert "4 other statements queue behind" in words


def test_where_weak_requests_wait_the_holder_is_named():
    answer = asked("\n".join([OPENED, *READS]))

    assert first(answer) == ("Deployment/shop/export", "LockQueue")


def test_a_statement_whose_sender_nobody_knows_is_told_of_the_database():
    strange = waits(9, 20, "AccessExclusiveLock", 12, "20", who="dba@main/psql", statement="LOCK TABLE lines")
    answer = asked("\n".join([strange, *READS]))

    assert first(answer) == ("StatefulSet/shop/db", "LockQueue")
    assert "no recorded workload has that session" in answer.ranked[0].against


def test_a_database_whose_waits_are_over_is_not_blamed():
    done = waits(5, 20, "AccessExclusiveLock", 11, "20", how="acquired")
    over = [w.replace("still waiting for", "acquired") for w in READS]

    answer = asked("\n".join([OPENED, ALTER, done, *over]))

    assert all(cause.reason != "LockQueue" for cause in answer.ranked)
