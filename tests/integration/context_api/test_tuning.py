"""Feedback on answers and the tuning that follows, over HTTP and in a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text

from libs.auth.permissions import Role
from libs.storage import Database
from services.context_api.adapters.tuning_record import SCHEMA
from services.context_api.domain.tuning import HEARD, LEAST, MOST_AN_HOUR
from tests.support.context_service import PATIENCE_S, Running, of, running
from tests.support.postgres import FreshDatabase, MakeDatabase, databases, kill_postmaster, running_server

pytestmark = pytest.mark.requirement(
    "HAPI-BR-CONTEXT-039",
    "HAPI-BR-CONTEXT-040",
    "HAPI-BR-CONTEXT-041",
    "HAPI-BR-CONTEXT-042",
    "HAPI-BR-CONTEXT-043",
)

FEEDBACK = "/api/v1/context/monitor/llm-performance"
TUNING = "/api/v1/context/tuning"
MODERATE = f"{TUNING}/moderate/root_cause_analysis"
BOUND = 0.55
ADMIN = of("root", role=Role.admin)


async def says(here: Running, who: str, quality: float, times: int = LEAST, **more: Any) -> dict[str, Any]:
    """The last answer."""
    said: dict[str, Any] = {}
    for _ in range(times):
        body = {"quality": quality, "tier": "moderate", **more}
        answer = await here.client.post(FEEDBACK, json=body, headers=of(who))
        assert answer.status_code == 200, answer.text
        said = answer.json()
    return said


@asynccontextmanager
async def keeping(database: FreshDatabase) -> AsyncIterator[Running]:
    """A service that keeps what it is told."""
    async with running(database_url=database.url(SCHEMA)) as here:
        async with asyncio.timeout(PATIENCE_S):
            while (await here.client.get(TUNING)).status_code != 200:
                await asyncio.sleep(0.05)
        yield here


@pytest.fixture
def database(fresh_database: MakeDatabase) -> FreshDatabase:
    return fresh_database(SCHEMA)


@pytest.fixture
async def here(database: FreshDatabase) -> AsyncIterator[Running]:
    async with keeping(database) as made:
        yield made


async def later(database: FreshDatabase, hours: int = 2) -> None:
    """What happened is so many hours older now."""
    opened = Database(database.settings(SCHEMA), application="test", schema=SCHEMA)
    moved = f"interval '{hours} hours'"
    async with opened.begin() as connection:
        for statement in (
            f"UPDATE tuning SET changed_at = changed_at - {moved}, held_until = held_until - {moved}, fell_at = fell_at - {moved}",
            f"UPDATE tuning_version SET made_at = made_at - {moved}",
            f"UPDATE feedback SET said_at = said_at - {moved}",
        ):
            await connection.execute(text(statement))
    await opened.close()


async def reduction(here: Running) -> float:
    return float((await here.client.get(MODERATE)).json()["present"]["reduction"])


async def test_feedback_is_answered_in_the_shape_that_older_callers_decode(here: Running):
    answer = await here.client.post(FEEDBACK, params={"quality": "0.9", "response_time": "2.5s"})

    body = answer.json()
    assert answer.status_code == 200
    assert set(body) >= {
        "status", "tracked_metrics", "baseline_comparison", "automatic_adjustment_triggered",
        "new_context_reduction_target", "alert_generated", "alert_details",
    }  # fmt: skip
    assert body["tracked_metrics"]["response_time_s"] == 2.5
    assert (body["new_context_reduction_target"], body["reason"]) == (BOUND, "too-few-answers")
    assert (body["tier"], body["investigation_type"]) == ("moderate", "root_cause_analysis")


async def test_bad_answers_bring_the_next_alert_more_context_and_are_told(here: Running):
    path = "/api/v1/context/alert/warning/CheckoutErrors?namespace=shop"
    before = (await here.client.get(path)).json()
    await says(here, "ann", 0.3, LEAST // 2)
    said = await says(here, "ben", 0.4, LEAST // 2)
    after = (await here.client.get(path)).json()

    assert said["automatic_adjustment_triggered"] is True
    assert said["new_context_reduction_target"] == pytest.approx(0.45)
    assert said["alert_generated"] is True
    assert "quality 0.35" in said["alert_details"]
    assert after["metadata"]["max_tokens"] > before["metadata"]["max_tokens"]
    assert after["metadata"]["context_reduction"] == pytest.approx(0.45)
    assert (
        here.count("context_api_answers_degraded", investigation="root_cause_analysis", tier="moderate") == 1
    )
    assert here.count("context_api_tuning_changes_total", how="automatic", tier="moderate") == 1
    assert here.count("context_api_feedback_total", outcome="answers-are-bad", tier="moderate") == 1
    assert here.count("context_api_answer_quality_count", tier="moderate") == 2 * (LEAST // 2)


async def test_the_history_says_what_was_changed_when_and_why(here: Running, database: FreshDatabase):
    await says(here, "ann", 0.3)
    await later(database)
    await says(here, "ann", 0.95)
    history = (await here.client.get(MODERATE)).json()
    seen = (await here.client.get(TUNING)).json()

    assert [one["version"] for one in history["versions"]] == [1]
    (first,) = history["versions"]
    assert (first["reason"], first["previous"], first["made_by"]) == ("answers-are-bad", BOUND, "automatic")
    assert (first["quality"], first["answers"]) == (0.3, LEAST)
    assert history["present"]["version"] == 1
    assert seen["kept"] is True
    assert len(seen["subjects"]) == 12
    assert {one["reason"] for one in seen["subjects"]} == {"default", "answers-are-bad"}


async def test_a_caller_alone_moves_it_one_step_and_many_further(here: Running, database: FreshDatabase):
    await says(here, "ann", 0.1)
    await later(database)
    alone = await says(here, "ann", 0.1)
    await later(database)
    both = await says(here, "ben", 0.1, HEARD)

    assert (alone["automatic_adjustment_triggered"], alone["reason"]) == (False, "one-caller-alone")
    assert (both["automatic_adjustment_triggered"], both["version"]) == (True, 2)
    assert both["new_context_reduction_target"] == pytest.approx(0.35)


async def test_a_rollback_puts_back_what_was_and_is_left_alone(here: Running, database: FreshDatabase):
    await says(here, "ann", 0.3)
    asked = {"version": 0, "comment": "the model was at fault", "present": 1}
    done = await here.client.post(f"{MODERATE}/rollback", json=asked, headers=ADMIN)
    again = await here.client.post(f"{MODERATE}/rollback", json=asked, headers=ADMIN)
    await later(database)
    held = await says(here, "ben", 0.3)

    assert done.status_code == 200
    assert again.json() == done.json()
    present, versions = done.json()["present"], done.json()["versions"]
    assert (present["version"], present["reduction"], present["reason"]) == (2, BOUND, "rolled-back")
    assert (versions[0]["made_by"], versions[0]["detail"]) == ("root", "to version 0: the model was at fault")
    assert (held["automatic_adjustment_triggered"], held["reason"]) == (False, "set-by-a-person")
    assert here.count("context_api_tuning_changes_total", how="rollback", tier="moderate") == 1


async def test_who_decided_on_another_version_than_is_in_force_is_told(here: Running):
    await says(here, "ann", 0.3)
    outdated = await here.client.post(
        f"{MODERATE}/rollback", json={"version": 0, "comment": "x", "present": 0}, headers=ADMIN
    )
    unknown = await here.client.post(
        f"{MODERATE}/rollback", json={"version": 7, "comment": "x"}, headers=ADMIN
    )

    assert (outdated.status_code, outdated.json()["code"]) == (409, "outdated")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown-version")
    assert "body.version" in unknown.json()["detail"]
    assert await reduction(here) == pytest.approx(0.45)


@pytest.mark.requirement("API-BR-SEC-004")
@pytest.mark.parametrize("role", [Role.viewer, Role.operator, Role.service, Role.api_user, Role.run])
async def test_only_who_may_change_configuration_rolls_back(here: Running, role: Role):
    answer = await here.client.post(
        f"{MODERATE}/rollback", json={"version": 0, "comment": "x"}, headers=of("eve", role=role)
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "not-allowed")


@pytest.mark.requirement("API-BR-SEC-004")
async def test_who_only_reads_evidence_gives_no_feedback_and_services_do(here: Running):
    refused = [
        (await here.client.post(FEEDBACK, json={}, headers=of("x", role=role))).status_code
        for role in (Role.viewer, Role.run, Role.ingest)
    ]
    service = await here.client.post(
        FEEDBACK, json={"quality": 1}, headers=of("holmesgpt-api", role=Role.service)
    )

    assert refused == [403, 403, 403]
    assert service.status_code == 200


@pytest.mark.requirement("API-BR-CAPI-018")
async def test_a_tenants_feedback_moves_nothing_of_anothers(here: Running):
    await says(here, "ann", 0.3)
    other = of("ann", tenant="other")
    seen = (await here.client.get(MODERATE, headers=other)).json()
    said = await here.client.post(FEEDBACK, json={"quality": 0.3, "tier": "moderate"}, headers=other)
    back = await here.client.post(
        f"{MODERATE}/rollback",
        json={"version": 1, "comment": "x"},
        headers=of("root", tenant="other", role=Role.admin),
    )

    assert (seen["present"]["version"], seen["versions"]) == (0, [])
    assert said.json()["tracked_metrics"]["answers"] == 1
    assert back.json()["code"] == "unknown-version"
    assert await reduction(here) == pytest.approx(0.45)


async def test_what_is_said_twice_under_one_key_counts_once(here: Running):
    headers = {**of("ann"), "Idempotency-Key": "inv-1"}
    body = {"quality": 0.3, "tier": "moderate"}
    first, second = [await here.client.post(FEEDBACK, json=body, headers=headers) for _ in range(2)]
    at_once = await asyncio.gather(
        *(
            here.client.post(FEEDBACK, json=body, headers={**headers, "Idempotency-Key": "inv-2"})
            for _ in range(5)
        )
    )
    other = await here.client.post(FEEDBACK, json={**body, "quality": 0.4}, headers=headers)
    elsewhere = await here.client.post(FEEDBACK, json={**body, "tier": "simple"}, headers=headers)
    last = await says(here, "ann", 0.3, 1)

    assert first.json() == second.json()
    assert {answer.text for answer in at_once} == {at_once[0].text}
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert elsewhere.json()["code"] == "idempotency-key-reused"
    assert last["tracked_metrics"]["answers"] == 3


async def test_feedback_at_once_is_all_counted_and_moves_it_once(here: Running):
    answers = await asyncio.gather(
        *(
            here.client.post(
                FEEDBACK, json={"quality": 0.2, "tier": "moderate"}, headers=of(f"caller-{n % 4}")
            )
            for n in range(2 * LEAST)
        )
    )

    moved = [answer.json() for answer in answers if answer.json()["automatic_adjustment_triggered"]]
    assert {answer.status_code for answer in answers} == {200}
    assert [one["version"] for one in moved] == [1]
    assert await reduction(here) == pytest.approx(0.45)


@pytest.mark.requirement("API-BR-CAPI-019")
async def test_more_than_is_counted_of_one_caller_is_refused_with_a_time(
    here: Running, database: FreshDatabase
):
    await says(here, "ann", 0.8, MOST_AN_HOUR)
    body = {"quality": 0.8, "tier": "moderate"}
    refused = await here.client.post(FEEDBACK, json=body)
    other = await here.client.post(FEEDBACK, json=body, headers=of("ben"))
    await later(database)
    again = await here.client.post(FEEDBACK, json=body)

    assert (refused.status_code, refused.json()["code"]) == (429, "too-much-feedback")
    assert 0 < int(refused.headers["retry-after"]) <= 3_600
    assert (other.status_code, again.status_code) == (200, 200)


async def test_what_was_decided_outlives_the_process(database: FreshDatabase):
    async with keeping(database) as here:
        await says(here, "ann", 0.3)
    async with keeping(database) as here:
        path = "/api/v1/context/alert/warning/X?namespace=shop"
        await here.client.get(path)  # whose tuning is being looked up, if it did not come in time
        await here.until(lambda: "default" in here.ports.tunings._known)
        made = (await here.client.get(path)).json()

        assert await reduction(here) == pytest.approx(0.45)
    assert made["metadata"]["context_reduction"] == pytest.approx(0.45)


@pytest.mark.requirement("API-BR-SEC-006")
@pytest.mark.parametrize(
    ("params", "body", "field"),
    [
        ({}, None, "body.quality"),
        ({}, {}, "body.quality"),
        ({"quality": "good"}, None, "query.quality"),
        ({"quality": "nan"}, None, "query.quality"),
        ({"quality": "1.1"}, None, "query.quality"),
        ({"quality": "1", "response_time": "soon"}, None, "query.response_time"),
        ({"quality": "1", "response_time": "-1"}, None, "query.response_time"),
        ({"quality": "1", "response_time": "nan"}, None, "query.response_time"),
        ({}, {"quality": -0.1}, "body.quality"),
        ({}, {"quality": 1, "tier": "huge"}, "body.tier"),
        ({}, {"quality": 1, "investigation_type": "x"}, "body.investigation_type"),
        ({}, {"quality": 1, "response_time": 1e9}, "body.response_time"),
        ({}, {"quality": 1, "token_usage": -1}, "body.token_usage"),
        ({}, [1], "body"),
    ],
)
async def test_bad_feedback_is_refused_by_the_name_of_its_field(
    here: Running, params: dict[str, str], body: Any, field: str
):
    answer = await here.client.post(FEEDBACK, params=params, json=body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.requirement("API-BR-SEC-006")
@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (f"{MODERATE}/rollback", {"version": -1, "comment": "x"}, "body.version"),
        (f"{MODERATE}/rollback", {"version": 0, "comment": " "}, "body.comment"),
        (f"{MODERATE}/rollback", {"version": 0}, "body.comment"),
        (f"{MODERATE}/rollback", {"version": 0, "comment": "a\u001b[2Jb"}, "body.comment"),
        (f"{MODERATE}/rollback", {"version": 0, "comment": "x", "resent": 1}, "body.resent"),
        (f"{TUNING}/huge/root_cause_analysis/rollback", {"version": 0, "comment": "x"}, "path.tier"),
        (f"{TUNING}/simple/guess/rollback", {"version": 0, "comment": "x"}, "path.investigation_type"),
    ],
)
async def test_a_bad_rollback_is_refused_by_the_name_of_its_field(
    here: Running, path: str, body: Any, field: str
):
    answer = await here.client.post(path, json=body, headers=ADMIN)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_without_a_database_nothing_is_kept_and_that_is_said():
    async with running() as here:
        said = await here.client.post(FEEDBACK, json={"quality": 0.1})
        seen = (await here.client.get(TUNING)).json()
        back = await here.client.post(
            f"{MODERATE}/rollback", json={"version": 0, "comment": "x"}, headers=ADMIN
        )
        found = await here.client.get("/api/v1/context/discover?severity=info")
        checks = (await here.client.get("/health")).json()["checks"]

    assert (said.status_code, said.json()["code"]) == (503, "no-record")
    assert "DATABASE_URL" in said.json()["detail"]
    assert "retry-after" not in said.headers
    assert (seen["kept"], {one["reason"] for one in seen["subjects"]}) == (False, {"default"})
    assert back.json()["code"] == "no-record"
    assert found.json()["total_types"] == 2
    assert "tuning" not in checks


async def test_a_database_that_is_away_keeps_evidence_from_nobody_and_acknowledges_nothing():
    nowhere = "postgresql://context_api@127.0.0.1:9/kubernaut"
    async with running(database_url=nowhere) as here:
        found = await here.client.get("/api/v1/context/discover?severity=info")
        listed = await here.client.get("/api/v1/context/kubernetes/shop/pods")
        said = await here.client.post(FEEDBACK, json={"quality": 0.1})

    assert (found.json()["total_types"], listed.status_code) == (2, 200)
    assert (said.status_code, said.json()["code"]) == (503, "record-away")
    assert int(said.headers["retry-after"]) >= 1


async def test_a_database_that_dies_leaves_the_tuning_in_force_and_is_used_again_when_it_is_back():
    alert = "/api/v1/context/alert/warning/X?namespace=shop"
    with running_server() as server, databases(server) as make:
        database = make(SCHEMA)
        async with keeping(database) as here:
            await here.client.get(alert)
            await here.until(lambda: "default" in here.ports.tunings._known)
            await says(here, "ann", 0.3)
            kill_postmaster(server)
            refused = await here.client.post(FEEDBACK, json={"quality": 0.3, "tier": "moderate"})
            made = (await here.client.get(alert)).json()
            server.start()
            back = await says(here, "ann", 0.3, 1)

            assert (refused.status_code, refused.json()["code"]) == (503, "record-away")
            assert int(refused.headers["retry-after"]) >= 1
            assert made["metadata"]["context_reduction"] == pytest.approx(0.45)
            assert (back["version"], back["tracked_metrics"]["answers"]) == (1, 1)
