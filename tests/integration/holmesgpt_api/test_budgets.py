"""What is spent is written down as it is spent, and nothing is spent beyond the limit: asked of PostgreSQL and HolmesGPT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from libs.contracts.causes import CausesAnswer
from libs.storage import Database
from services.holmesgpt_api.adapters.purse import PostgresPurse
from services.holmesgpt_api.domain.budget import Amount, Limit, Spent
from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import context_api
from tests.fakes.model import model
from tests.support.engine import engine
from tests.support.holmesgpt import ended, place, serving
from tests.support.investigations import cause, evidence, found
from tests.support.postgres import FreshDatabase, MakeDatabase

pytestmark = pytest.mark.requirement("HAPI-163", "HAPI-134")

STEP, LIFE, NOTHING = Amount(1_000, 0.01, steps=1, seconds=2.0), timedelta(minutes=5), Amount()
ID = "ev-00000000000000e1"


@pytest.fixture
async def database(fresh_database: MakeDatabase) -> AsyncIterator[Database]:
    made = fresh_database(SCHEMA, migrated=True)
    opened = Database(made.settings(SCHEMA), application=SCHEMA)
    yield opened
    await opened.close()


@pytest.fixture
def purse(database: Database) -> PostgresPurse:
    return PostgresPurse(database, retention=timedelta(days=30))


async def begin(
    purse: PostgresPurse,
    run: str,
    limit: Limit,
    *,
    tenant: str = "shop",
    used: Amount = NOTHING,
    life: timedelta = LIFE,
) -> None:
    await purse.reserve(run, tenant, STEP, used=used, limit=limit, life=life)


@pytest.mark.parametrize(
    ("limit", "word"),
    [
        (Limit(tokens=20_500), "budget-tenant-tokens"),
        (Limit(steps=21), "budget-tenant-steps"),
        (Limit(seconds=41.0), "budget-tenant-seconds"),
    ],
)
async def test_fifty_runs_at_once_overshoot_a_day_by_one_step_at_most(
    purse: PostgresPurse, limit: Limit, word: str
):
    refused = list[str]()

    async def run(number: int) -> None:
        for _ in range(10):
            try:
                await begin(purse, f"run-{number}", limit)
            except Spent as spent:
                refused.append(spent.word)
                return
            await purse.charge(f"run-{number}", "shop", STEP, keep=NOTHING)

    await asyncio.gather(*(run(number) for number in range(50)))

    spent = await purse.spent_today("shop")
    assert refused == [word] * 50
    assert (spent.tokens, spent.steps) == (21_000, 21), "the step that came to the line was the last one"
    assert spent.cost_usd == pytest.approx(0.21)
    assert spent.seconds == pytest.approx(42)


async def test_money_ends_a_day_too_and_another_tenants_day_goes_on(purse: PostgresPurse):
    limit = Limit(cost_usd=0.02)
    await purse.charge("run-1", "shop", Amount(0, 0.02), keep=NOTHING)

    with pytest.raises(Spent, match=r"budget-tenant-cost: 0\.0200 USD of 0\.02"):
        await begin(purse, "run-2", limit)
    await begin(purse, "run-3", limit, tenant="data")


async def test_what_a_dead_run_kept_back_is_let_go_of(purse: PostgresPurse):
    limit = Limit(tokens=1_000)
    await begin(purse, "dead", limit, life=timedelta(seconds=1))
    with pytest.raises(Spent, match="1000 of them under way"):
        await begin(purse, "next", limit)

    await asyncio.sleep(1.1)

    await begin(purse, "next", limit)


async def test_between_two_steps_only_a_runs_time_is_kept_back(purse: PostgresPurse):
    await begin(purse, "run-1", Limit())
    await purse.charge("run-1", "shop", STEP, keep=Amount(seconds=30.0))

    with pytest.raises(Spent, match=r"32 s of 31 s for today \(UTC\), 30 of them under way"):
        await begin(purse, "run-2", Limit(seconds=31.0))
    await begin(purse, "run-2", Limit(tokens=1_001, steps=2))


async def test_what_was_used_is_written_down_also_where_the_next_step_is_refused(purse: PostgresPurse):
    with pytest.raises(Spent, match="budget-tenant-seconds"):
        await begin(purse, "run-1", Limit(seconds=5.0), used=Amount(seconds=5.25, steps=1))

    assert await purse.spent_today("shop") == Amount(steps=1, seconds=5.25)


OF_THE_RELEASE_BEFORE = (
    """
    INSERT INTO budget_day (tenant, day) VALUES ('shop', (clock_timestamp() AT TIME ZONE 'UTC')::date)
    ON CONFLICT (tenant, day) DO UPDATE SET tokens = budget_day.tokens
    """,
    """
    INSERT INTO budget_hold (run, tenant, tokens, cost_usd, until)
    VALUES ('old', 'shop', 500, 0.5, clock_timestamp() + interval '1 minute')
    ON CONFLICT (run) DO UPDATE
       SET tokens = excluded.tokens, cost_usd = excluded.cost_usd, until = excluded.until
    """,
    """
    INSERT INTO budget_day (tenant, day, tokens, cost_usd)
    VALUES ('shop', (clock_timestamp() AT TIME ZONE 'UTC')::date, 300, 0.3)
    ON CONFLICT (tenant, day) DO UPDATE
       SET tokens = budget_day.tokens + excluded.tokens, cost_usd = budget_day.cost_usd + excluded.cost_usd
    """,
)
"""Its statements, which know nothing of steps and seconds."""


async def test_a_worker_of_the_release_before_keeps_its_books_beside_this_one(
    purse: PostgresPurse, database: Database
):
    await begin(purse, "ours", Limit())
    await purse.charge("ours", "shop", STEP, keep=NOTHING)

    async with database.begin() as conn:
        for statement in OF_THE_RELEASE_BEFORE:
            await conn.execute(text(statement))

    assert await purse.spent_today("shop") == Amount(1_300, 0.31, steps=1, seconds=2.0)
    with pytest.raises(Spent, match=r"1800 tokens of 1800 for today \(UTC\), 500 of them under way"):
        await begin(purse, "next", Limit(tokens=1_800, steps=2, seconds=3.0))
    await begin(purse, "next", Limit(tokens=1_801, steps=2, seconds=3.0))


async def test_old_days_and_forgotten_reservations_are_removed_with_a_days_first_step(
    purse: PostgresPurse, database: Database
):
    async with database.begin() as conn:
        await conn.execute(
            text(
                "INSERT INTO budget_day VALUES ('old', current_date - 40, 1, 1), ('kept', current_date - 20, 1, 1)"
            )
        )
        await conn.execute(
            text("INSERT INTO budget_hold VALUES ('dead', 'old', 1, 1, now() - interval '1 hour')")
        )

    await begin(purse, "run-1", Limit())

    async with database.begin() as conn:
        days = (await conn.execute(text("SELECT tenant FROM budget_day ORDER BY 1"))).scalars().all()
        holds = (await conn.execute(text("SELECT run FROM budget_hold"))).scalars().all()
    assert (days, holds) == (["kept", "shop"], ["run-1"])


# ── with a worker, HolmesGPT and a scripted model ───────────────────────────────────────────────────────────


def answer() -> CausesAnswer:
    return found(cause(evidence_ids=[ID]), evidence=[evidence(ID)])


def alert() -> dict[str, Any]:
    labels = {"namespace": "shop", "pod": "checkout-1"}
    return {"alert_name": "KubePodCrashLooping", "namespace": "shop", "labels": labels}


@dataclass(frozen=True)
class Books:
    tokens: int
    steps: int
    seconds: float
    holds: int


async def books(made: FreshDatabase) -> Books:
    """What is written down, of all days, and how many reservations there are."""
    database = Database(made.settings(SCHEMA), application=SCHEMA)
    try:
        async with database.begin() as conn:
            day = (
                await conn.execute(
                    text(
                        "SELECT coalesce(sum(tokens), 0), coalesce(sum(steps), 0), coalesce(sum(seconds), 0) "
                        "FROM budget_day"
                    )
                )
            ).one()
            holds = (await conn.execute(text("SELECT count(*) FROM budget_hold"))).scalar_one()
    finally:
        await database.close()
    return Books(int(day[0]), int(day[1]), float(day[2]), int(holds))


async def investigated(api: httpx.AsyncClient) -> dict[str, Any]:
    taken = (await api.post("/api/v1/investigate/async", json=alert())).json()
    return await ended(api, taken["investigation_id"], within=90)


@pytest.mark.needs("holmes-engine")
@pytest.mark.xdist_group("holmes-engine")
@pytest.mark.parametrize(
    ("budgets", "what", "said"),
    [
        (
            {"budget_run_tokens": 2_000, "budget_tenant_tokens_per_day": 3_000},
            "tokens",
            "2100 tokens of 2000",
        ),
        ({"budget_run_steps": 2, "budget_tenant_steps_per_day": 3}, "steps", "2 steps of 2"),
    ],
)
async def test_a_spent_budget_leaves_triages_verdict_and_says_which_one_it_was(
    fresh_database: MakeDatabase, tmp_path: Path, budgets: dict[str, Any], what: str, said: str
):
    made = fresh_database(SCHEMA, migrated=True)
    with context_api(causes=answer()) as context, model() as fake:
        here = place(made, context.url, tmp_path)
        with engine(here, context, fake, **budgets) as there:
            async with serving(there.settings(), here.api_key) as api:
                ends = [await investigated(api) for _ in range(3)]
            kept = await books(made)

    assert [(one["status"], one["engine"], one["degraded_reason"]) for one in ends] == [
        ("completed", "triage", f"budget-run-{what}"),
        ("completed", "triage", f"budget-tenant-{what}"),
        ("completed", "triage", f"budget-tenant-{what}"),
    ]
    assert ends[0]["metadata"]["degraded_detail"] == f"{said} for one run"
    assert "for today (UTC)" in ends[1]["metadata"]["degraded_detail"]
    assert all(one["results"]["cause"] for one in ends)
    assert len(fake.requests) == 3, "two steps of the first run, one of the second, none of the third"
    assert (kept.tokens, kept.steps, kept.holds) == (3 * 1050, 3, 0)


@pytest.mark.needs("holmes-engine")
@pytest.mark.xdist_group("holmes-engine")
async def test_a_days_seconds_end_with_the_step_that_has_used_them_up(
    fresh_database: MakeDatabase, tmp_path: Path
):
    made = fresh_database(SCHEMA, migrated=True)
    with context_api(causes=answer()) as context, model() as fake:
        here, fake.delay = place(made, context.url, tmp_path), 1.5  # a verdict takes three answers
        with engine(here, context, fake, budget_tenant_seconds_per_day=2) as there:
            async with serving(there.settings(), here.api_key) as api:
                first = await investigated(api)
                asked, kept = len(fake.requests), await books(made)
                second = await investigated(api)
            later = await books(made)

    for body in (first, second):
        assert (body["engine"], body["degraded_reason"]) == ("triage", "budget-tenant-seconds")
        assert body["results"]["cause"]
        assert "s of 2 s for today (UTC)" in body["metadata"]["degraded_detail"]
    assert 1 <= asked <= 2
    assert kept.seconds >= 2
    assert (len(fake.requests), later) == (asked, kept), "who is refused a first step takes nothing"


@pytest.mark.needs("holmes-engine")
@pytest.mark.xdist_group("holmes-engine")
@pytest.mark.requirement("HAPI-006", "HAPI-030")
async def test_chat_and_investigations_share_a_day_and_a_new_worker_goes_on_with_its_books(
    fresh_database: MakeDatabase, tmp_path: Path
):
    made = fresh_database(SCHEMA, migrated=True)
    question = {"message": "why does Deployment.apps/shop/checkout fail?"}
    with context_api(causes=answer()) as context, model() as fake:
        here, ends = place(made, context.url, tmp_path), list[tuple[str, str | None]]()
        for _ in range(2):
            with engine(here, context, fake, budget_tenant_steps_per_day=5) as there:
                async with serving(there.settings(), here.api_key) as api:
                    body = await investigated(api)
                    ends.append((body["engine"], body["degraded_reason"]))
                    told = (await api.post("/api/v1/chat", json=question)).json()["metadata"]
                    ends.append((told["engine"], told["degraded_reason"]))
        kept = await books(made)

    assert ends == [
        ("holmesgpt", None),
        ("holmesgpt", None),
        ("triage", "budget-tenant-steps"),
        ("triage", "budget-tenant-steps"),
    ]
    assert (kept.steps, len(fake.requests), kept.holds) == (5, 5, 0), "three steps and two"


@pytest.mark.needs("holmes-engine")
@pytest.mark.xdist_group("holmes-engine")
async def test_a_killed_workers_usage_is_lost_by_the_step_under_way_at_most(
    fresh_database: MakeDatabase, tmp_path: Path
):
    made = fresh_database(SCHEMA, migrated=True)
    with context_api(causes=answer()) as context, model() as fake:
        here, fake.delay, fake.holds_at = place(made, context.url, tmp_path), 0.5, 2
        with engine(here, context, fake) as there:
            async with serving(there.settings(), here.api_key) as api:
                await api.post("/api/v1/investigate/async", json=alert())
                await asyncio.to_thread(fake.wait_for, 2)
                there.worker.kill()
                there.worker.wait()
            kept = await books(made)

    assert (kept.tokens, kept.steps, kept.holds) == (1050, 1, 1), (
        "the first step is paid, the second kept back"
    )
    assert kept.seconds >= 0.5
