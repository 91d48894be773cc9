"""What is acknowledged is committed, what is refused is named, and what cannot be committed is not acknowledged."""

import asyncio
import base64
import json
import os
import signal
from datetime import timedelta

import psycopg
import pytest

from libs.contracts.alerts import AlertReceipt
from libs.contracts.problem import Problem
from tests.support.alerts import BODIES, a_body, an_alert, body
from tests.support.alerts_api import WEBHOOK, running_app

pytestmark = pytest.mark.requirement(
    "INT-BR-WH-001", "INT-BR-WH-003", "INT-BR-WH-004", "INT-BR-WH-007", "INT-BR-WH-011", "INT-BR-WH-015"
)


@pytest.fixture
def database(fresh_database):
    return fresh_database("alerts", migrated=True)


@pytest.fixture
async def api(database):
    async with running_app(database) as running:
        yield running


def stored(database):
    with psycopg.connect(database.url("alerts")) as connection:
        inbox = connection.execute(
            "SELECT tenant, sender, body, copies FROM alerts.inbox ORDER BY id"
        ).fetchall()
        jobs = connection.execute("SELECT task_name FROM alerts.procrastinate_jobs").fetchall()
    return inbox, [name for (name,) in jobs]


async def test_202_comes_after_the_row_and_its_drain_job_are_committed(api, database):
    answer = await api.post(body("01_"))

    inbox, jobs = stored(database)
    assert answer.status_code == 202
    assert inbox == [("default", "am", body("01_"), 1)]
    assert jobs == ["drain"]


@pytest.mark.parametrize("path", sorted(BODIES.glob("*.json")), ids=lambda path: path.stem)
async def test_every_body_of_a_real_alertmanager_is_answered_with_its_alerts_one_by_one(api, path):
    answer = await api.post(path.read_bytes())

    receipt = AlertReceipt.model_validate_json(answer.content)
    sent = json.loads(path.read_bytes())["alerts"]
    assert answer.status_code == 202
    assert (receipt.accepted, receipt.rejected) == (len(sent), 0)
    assert [one.fingerprint for one in receipt.results] == [alert["fingerprint"] for alert in sent]


async def test_a_bad_alert_is_named_and_its_neighbours_are_committed(api, database):
    answer = await api.post(a_body(an_alert(labels={"pod": "a\x00"}), an_alert("good-1")))

    receipt = AlertReceipt.model_validate_json(answer.content)
    assert answer.status_code == 202
    assert (receipt.accepted, receipt.rejected) == (1, 1)
    assert (receipt.results[0].index, receipt.results[0].field) == (0, "labels.pod")
    assert "U+0000" in (receipt.results[0].error or "")
    assert len(stored(database)[0]) == 1


async def test_a_batch_refused_as_a_whole_is_422_naming_each_alert_and_stores_nothing(api, database):
    answer = await api.post(a_body(an_alert(startsAt="soon"), an_alert(labels={"pod": "\ud800"})))

    problem = Problem.model_validate_json(answer.content)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [one.field for one in problem.errors] == ["body.alerts.0.startsAt", "body.alerts.1.labels.pod"]
    assert stored(database) == ([], [])


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [
        (b'{"receiver":"hook","alerts":[{"sta', 400, None),
        (b'{"receiver":"hook","alerts":' + b"[" * 200_000, 400, None),
        (b"", 400, None),
        (b'{"alerts":[]}', 422, "body.receiver"),
        (b'{"receiver":"hook"}', 422, "body.alerts"),
        (b"[]", 422, "body"),
        (b" " * (4 * 1024 * 1024 + 1), 413, None),
    ],
    ids=["truncated", "deep", "empty", "no-receiver", "no-alerts", "list", "large"],
)
async def test_bad_bodies_get_a_problem_and_nothing_is_stored(api, database, sent, status, field):
    answer = await api.post(sent)

    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.status) == (status, status)
    assert [one.field for one in problem.errors] == ([field] if field else [])
    assert stored(database) == ([], [])


async def test_a_wrong_content_type_is_415(api):
    answer = await api.post(b"a=b", headers={"Content-Type": "application/x-www-form-urlencoded"})

    assert answer.status_code == 415


async def test_an_empty_batch_is_accepted_and_stores_nothing(api, database):
    answer = await api.post(a_body())

    assert (answer.status_code, answer.json()["accepted"]) == (202, 0)
    assert stored(database) == ([], [])


# --- who may send


@pytest.mark.requirement("INT-BR-WH-004")
async def test_basic_authentication_is_enough(api):
    pair = base64.b64encode(f"alertmanager:{api.keys.password}".encode()).decode()

    answer = await api.post(body("01_"), headers={"Authorization": f"Basic {pair}"})

    assert answer.status_code == 202


async def test_without_credentials_it_is_401_before_the_body_is_looked_at(api, database):
    answer = await api.http.post(WEBHOOK, content=b"{", headers={"Content-Type": "application/json"})

    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers
    assert stored(database) == ([], [])


async def test_who_may_only_look_may_not_send(api):
    assert (await api.post(body("01_"), key=api.keys.viewer)).status_code == 403


async def test_the_tenant_comes_from_the_credential(api, database):
    await api.post(body("01_"), key=api.keys.stranger, headers={"X-Tenant": "default"})

    assert stored(database)[0][0][:2] == ("other", "stranger")


# --- repeats and groups


async def test_a_repeat_before_the_drain_is_acknowledged_and_counts_as_a_copy(api, database):
    for _ in range(3):
        assert (await api.post(body("01_"))).status_code == 202

    inbox, _ = stored(database)
    assert [row[3] for row in inbox] == [3]


@pytest.mark.requirement("INT-BR-WH-006")
async def test_concurrent_requests_share_commits_and_none_is_lost(api, database):
    bodies = [a_body(an_alert(f"p-{n}"), groupKey=str(n)) for n in range(200)]

    answers = await asyncio.gather(*(api.post(one) for one in bodies))

    inbox, jobs = stored(database)
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(row[2] for row in inbox) == sorted(bodies)
    assert len(jobs) < 50


async def test_the_same_body_many_times_at_once_is_one_row(api, database):
    answers = await asyncio.gather(*(api.post(body("02_")) for _ in range(50)))

    inbox, _ = stored(database)
    assert {answer.status_code for answer in answers} == {202}
    assert [row[3] for row in inbox] == [50]


# --- when it cannot be committed


async def test_a_database_that_went_away_gets_503_with_retry_after_and_nothing_is_acknowledged(api, database):
    await api.post(body("01_"))
    with psycopg.connect(database.url("alerts"), autocommit=True) as connection:
        connection.execute("ALTER TABLE alerts.inbox RENAME TO gone")
        answer = await api.post(body("02_"))
        connection.execute("ALTER TABLE alerts.gone RENAME TO inbox")

    problem = Problem.model_validate_json(answer.content)
    assert (answer.status_code, problem.code) == (503, "not-committed")
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert len(stored(database)[0]) == 1

    assert (await api.post(body("02_"))).status_code == 202


async def test_a_commit_that_hangs_is_given_up_at_its_deadline_and_comes_back_by_itself(database):
    async with running_app(database, ingest_commit_deadline=timedelta(milliseconds=200)) as api:
        await api.post(body("01_"))
        with psycopg.connect(database.url("alerts")) as connection:
            connection.execute("LOCK TABLE alerts.inbox IN EXCLUSIVE MODE")
            async with asyncio.timeout(5):
                answer = await api.post(body("02_"))
            connection.rollback()

        assert answer.status_code == 503
        assert (await api.post(body("02_"))).status_code == 202


async def test_a_database_process_that_hangs_holds_nobody_longer_than_the_deadline(database):
    async with running_app(database, ingest_commit_deadline=timedelta(milliseconds=300)) as api:
        await api.post(body("01_"))
        with psycopg.connect(database.url("alerts")) as connection:
            ((pid,),) = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE query LIKE '%INTO inbox%' AND pid <> pg_backend_pid()"
            ).fetchall()
        os.kill(pid, signal.SIGSTOP)
        try:
            began = asyncio.get_running_loop().time()
            answer = await api.post(body("02_"))
            took = asyncio.get_running_loop().time() - began
            again = await api.post(body("02_"))
        finally:
            os.kill(pid, signal.SIGCONT)

    assert (answer.status_code, again.status_code) == (503, 202)
    assert took < 2


@pytest.mark.requirement("INT-BR-WH-023")
async def test_a_full_inbox_sheds_with_503_and_never_with_429(database):
    async with running_app(database, ingest_high_water=3) as api:
        answers = [await api.post(a_body(an_alert(f"p-{n}"), groupKey=str(n))) for n in range(5)]

        assert [answer.status_code for answer in answers] == [202, 202, 202, 503, 503]
        assert "retry-after" in answers[-1].headers
        assert len(stored(database)[0]) == 3

        with psycopg.connect(database.url("alerts"), autocommit=True) as connection:
            connection.execute("DELETE FROM alerts.inbox")
        await api.ports.backlog.count()
        assert (await api.post(body("01_"))).status_code == 202


async def test_the_rate_limit_of_other_routes_never_meets_alertmanager(database):
    async with running_app(database, rate_limit_requests=1) as api:
        answers = [await api.post(body("01_")) for _ in range(5)]

    assert {answer.status_code for answer in answers} == {202}


async def test_an_orderly_stop_refuses_who_still_waits(database):
    # The lock outlives the service: released before, the statement might still go through.
    with psycopg.connect(database.url("alerts")) as connection:
        async with running_app(database) as api:
            connection.execute("LOCK TABLE alerts.inbox IN EXCLUSIVE MODE")
            waiting = asyncio.create_task(api.post(body("01_")))
            while not connection.execute(
                "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'alerts.inbox'::regclass"
            ).fetchone():
                await asyncio.sleep(0.01)
    answer = await waiting

    assert answer.status_code == 503
    assert stored(database) == ([], [])


# --- older callers


@pytest.mark.requirement("INT-BR-WH-020")
async def test_older_callers_get_the_answer_they_read(api, database):
    answer = await api.post(a_body(an_alert(), receiver=""), path="/alerts")

    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "success", "message": "1 alerts accepted"},
    )
    assert len(stored(database)[0]) == 1


@pytest.mark.parametrize(
    ("sent", "said"), [(b"{", "not JSON"), (b"{}", "alerts"), (a_body(an_alert(startsAt="x")), "startsAt")]
)
async def test_older_callers_get_the_error_they_read(api, sent, said):
    answer = await api.post(sent, path="/alerts")

    assert answer.status_code == 400
    assert answer.json()["status"] == "error"
    assert said in answer.json()["error"]


async def test_older_callers_are_told_to_come_again(database):
    async with running_app(database, ingest_high_water=1) as api:
        await api.post(body("01_"), path="/alerts")
        answer = await api.post(body("02_"), path="/alerts")

    assert (answer.status_code, answer.json()["status"]) == (503, "error")
    assert "retry-after" in answer.headers


async def test_what_became_of_alerts_is_counted(api):
    await api.post(a_body(an_alert(), an_alert(startsAt="x")))
    await api.post(b"{")

    text = api.app.state.metrics.exposition().decode()
    for outcome, count in (("accepted", 1), ("rejected", 1), ("unreadable", 1), ("not-committed", 0)):
        assert f'alerts_received_total{{outcome="{outcome}"}} {count}.0' in text
    assert "alerts_commit_requests_sum 1.0" in text
