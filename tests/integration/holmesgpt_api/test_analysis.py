"""The Go application's two further questions: strategies and historical patterns, on the real service."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from libs.contracts.analysis import PatternsAnswer, StrategyAnswer
from libs.storage import Database
from services.holmesgpt_api.adapters.history import STATEMENTS
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import FakeContextApi
from tests.support.holmesgpt import Place, serving, working

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-011", "HAPI-045", "HAPI-075")

STRATEGIES, PATTERNS = "/api/v1/analyze/strategies", "/api/v1/patterns/historical"
INVESTIGATE = "/api/v1/investigate"
MINUTE = 60 * 10**9
ALERT = {
    "id": "alert-7",
    "name": "KubePodCrashLooping",
    "description": "restarts",
    "severity": "critical",
    "labels": {"namespace": "shop", "pod": "checkout-1"},
    "annotations": None,
}


def asked(**fields: Any) -> dict[str, Any]:
    return {
        "alert_context": ALERT,
        "available_strategies": [
            {"name": "immediate_restart", "cost": 10, "success_rate": 0.95, "time_to_resolve": 5 * MINUTE},
            {"name": "config_rollback", "cost": 100, "success_rate": 0.9, "time_to_resolve": 15 * MINUTE},
        ],
        "request_id": "strat-1731921850",
        "analysis_type": "remediation_optimization",
        **fields,
    }


async def test_strategies_are_ranked_against_the_cause_that_triage_finds(here: Place):
    async with serving(here.settings(), here.api_key) as api:
        answer = await api.post(STRATEGIES, json=asked())

    body = StrategyAnswer.model_validate(answer.json())
    assert (answer.status_code, body.degraded_reason, body.request_id) == (200, None, "strat-1731921850")
    assert body.optimal_strategy.name == "config_rollback"
    assert "ConfigMap/data/orders-db-config" in body.optimal_strategy.justification
    assert [(one.strategy_name, one.average_time) for one in body.strategy_comparison] == [
        ("config_rollback", 15 * MINUTE),
        ("immediate_restart", 5 * MINUTE),
    ]
    assert body.cause is not None
    assert body.cause.reason == "ConfigChangedBeforeOnset"


@pytest.mark.requirement("HAPI-029")
@pytest.mark.parametrize(
    ("mood", "word"), [("unavailable", "context-unavailable"), ("refuses", "context-refused")]
)
async def test_without_a_cause_the_answer_stands_on_the_callers_numbers_and_says_so(
    here: Place, context: FakeContextApi, mood: Any, word: str
):
    context.mood = mood
    async with serving(here.settings(), here.api_key) as api:
        answer = await api.post(STRATEGIES, json=asked())

    body = answer.json()
    assert (answer.status_code, body["degraded_reason"], body["cause"]) == (200, word, None)
    assert body["optimal_strategy"]["name"] == "immediate_restart"
    assert body["degraded_detail"] in body["optimal_strategy"]["justification"]


async def test_a_context_api_that_hangs_costs_the_caller_its_deadline_and_no_more(
    here: Place, context: FakeContextApi
):
    context.mood = "hangs"
    async with serving(here.settings(), here.api_key) as api, asyncio.timeout(10):
        answer = await api.post(STRATEGIES, json=asked(), headers={"X-Request-Deadline": "2"})

    context.let_go()
    assert (answer.status_code, answer.json()["degraded_reason"]) == (200, "context-unavailable")


@pytest.mark.requirement("HAPI-073", "HAPI-105")
@pytest.mark.parametrize(
    ("path", "fields", "named"),
    [
        (STRATEGIES, {"alert_context": None}, "alert_context"),
        (STRATEGIES, {"alert_context": {**ALERT, "name": ""}}, "alert_context.name"),
        (STRATEGIES, {"available_strategies": [{"name": ""}]}, "available_strategies.0.name"),
        (STRATEGIES, {"available_strategies": [{"name": "a", "success_rate": 1.5}]}, "0.success_rate"),
        (STRATEGIES, {"available_strategies": [{"name": "a", "time_to_resolve": -1}]}, "0.time_to_resolve"),
        (PATTERNS, {"time_window": -1}, "time_window"),
        (PATTERNS, {"time_window": 2**63}, "time_window"),
        (PATTERNS, {"time_window": "24h"}, "time_window"),
    ],
)
async def test_what_is_wrong_with_a_request_is_named(here: Place, path: str, fields: Any, named: str):
    async with serving(here.settings(), here.api_key) as api:
        answer = await api.post(path, json=asked(**fields))

    assert answer.status_code == 422
    assert named in answer.text


@pytest.mark.requirement("HAPI-073")
@pytest.mark.parametrize("path", [STRATEGIES, PATTERNS])
async def test_a_text_that_no_database_stores_is_refused(here: Place, path: str):
    async with serving(here.settings(), here.api_key) as api:
        answer = await api.post(path, json=asked(alert_context={**ALERT, "name": "a\0"}))

    assert answer.status_code == 400


@pytest.mark.requirement("HAPI-068", "HAPI-075")
async def test_neither_question_shows_what_the_caller_may_not_read(here: Place, context: FakeContextApi):
    async with working(here.settings()), serving(here.settings(), here.api_key) as api:
        await investigated(api)
    narrow = here.settings(trusted_networks=trusted("shop"))
    elsewhere = here.settings(trusted_networks=trusted("elsewhere"))
    async with serving(narrow) as api:
        strategies = await api.post(STRATEGIES, json=asked())
        patterns = await api.post(PATTERNS, json=asked())
    async with serving(elsewhere) as api:
        refused = await api.post(STRATEGIES, json=asked())

    assert (strategies.status_code, strategies.json()["cause"]) == (200, None)
    assert "orders-db-config" not in strategies.text
    assert (patterns.json()["patterns"], patterns.json()["looked_at"]) == ([], 0)
    assert (refused.status_code, refused.json()["code"]) == (403, "namespace-not-readable")


def trusted(namespace: str) -> dict[str, Any]:
    return {"127.0.0.0/8": {"principal": "kubernaut", "roles": ["api_user"], "namespaces": [namespace]}}


async def investigated(api: httpx.AsyncClient, name: str = "KubePodCrashLooping") -> dict[str, Any]:
    alert = {"alert_name": name, "labels": {"namespace": "shop", "pod": "checkout-1"}}
    body: dict[str, Any] = (await api.post(INVESTIGATE, json=alert)).json()
    assert body["status"] == "completed"
    return body


async def test_patterns_are_what_our_own_investigations_have_found(here: Place):
    async with working(here.settings()), serving(here.settings(), here.api_key) as api:
        first, second = await investigated(api), await investigated(api)
        other = await investigated(api, "KubeDeploymentReplicasMismatch")
        own = await api.post(PATTERNS, json=asked(pattern_type="", time_window=24 * 60 * MINUTE))
        kin = await api.post(PATTERNS, json=asked(pattern_type="cause"))
        third = (await api.get(f"{INVESTIGATE}/{second['investigation_id']}")).json()

    found = PatternsAnswer.model_validate(own.json())
    [pattern] = found.patterns
    assert (pattern.alert_name, pattern.occurrence_count) == ("KubePodCrashLooping", 2)
    assert (pattern.cause_reason, pattern.target_kind) == ("ConfigChangedBeforeOnset", "ConfigMap")
    assert pattern.usual_target == "ConfigMap/data/orders-db-config"
    assert pattern.ended == {"cause": 2}
    assert pattern.investigation_ids == [second["investigation_id"], first["investigation_id"]]
    assert "orders-db-config" in pattern.strategy_name
    assert (found.total_patterns, found.looked_at, found.more) == (1, 2, False)
    assert found.time_window == 24 * 60 * MINUTE
    related = PatternsAnswer.model_validate(kin.json()).patterns
    assert [(one.alert_name, one.matched_by) for one in related] == [
        ("KubePodCrashLooping", ["alert", "cause", "target"]),
        ("KubeDeploymentReplicasMismatch", ["cause", "target"]),
    ]
    assert first["patterns"] == []
    assert [one["occurrence_count"] for one in second["patterns"]] == [1]
    assert other["patterns"] == []
    assert [one["investigation_ids"] for one in third["patterns"]] == [[first["investigation_id"]]]


async def test_what_lies_before_the_window_is_not_told(here: Place):
    async with working(here.settings()), serving(here.settings(), here.api_key) as api:
        await investigated(api)
        database = Database(here.settings(), application=SCHEMA)
        async with database.begin() as conn:
            await conn.execute(text("ALTER TABLE investigation DISABLE TRIGGER ended_never_changes"))
            await conn.execute(text("UPDATE investigation SET created_at = now() - interval '2 hours'"))
            await conn.execute(text("ALTER TABLE investigation ENABLE TRIGGER ended_never_changes"))
        await database.close()
        hour = await api.post(PATTERNS, json=asked(time_window=60 * MINUTE))
        day = await api.post(PATTERNS, json=asked(time_window=24 * 60 * MINUTE))

    assert (hour.json()["total_patterns"], day.json()["total_patterns"]) == (0, 1)


async def test_another_tenant_sees_none_of_it(here: Place):
    async with working(here.settings()), serving(here.settings(), here.api_key) as api:
        await investigated(api)
    network = {"principal": "k", "roles": ["api_user"], "tenant": "other", "namespaces": ["*"]}
    async with serving(here.settings(trusted_networks={"127.0.0.0/8": network})) as api:
        answer = await api.post(PATTERNS, json=asked())

    assert (answer.status_code, answer.json()["looked_at"]) == (200, 0)


@pytest.mark.parametrize(
    ("match", "index"),
    [
        ("alert", "investigation_by_alert"),
        ("cause", "investigation_reason"),
        ("target", "investigation_kind"),
    ],
)
async def test_each_question_walks_one_index_and_reads_no_verdict(here: Place, match: str, index: str):
    async with serving(here.settings(), here.api_key):
        database = Database(here.settings(), application=SCHEMA)
        statement = str(STATEMENTS[match])
        values = {"tenant": "default", "word": "x", "within": "1 day", "at_most": 500}
        async with database.begin() as conn:
            await conn.execute(text("SET LOCAL enable_seqscan = off"))
            await conn.execute(text("SET LOCAL enable_bitmapscan = off"))
            await conn.execute(text("SET LOCAL enable_sort = off"))
            plan = (await conn.execute(text(f"EXPLAIN {statement}"), values)).scalars().all()
        await database.close()

    told = "\n".join(plan)
    assert f"Index Scan using {index}" in told
    assert "Sort" not in told
    assert "verdict" not in statement


async def test_an_alert_name_longer_than_an_index_takes_is_investigated_and_found_again(here: Place):
    name = "".join(chr(0x4E00 + number) for number in range(1024))
    async with working(here.settings()), serving(here.settings(), here.api_key) as api:
        await investigated(api, name)
        answer = await api.post(PATTERNS, json=asked(alert_context={**ALERT, "name": name}))

    assert answer.json()["patterns"][0]["alert_name"] == name
