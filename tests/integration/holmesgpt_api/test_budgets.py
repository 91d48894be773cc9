"""What is spent is written down as it is spent, and nothing is spent beyond the limit: asked of PostgreSQL and HolmesGPT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

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

STEP, LIFE = Amount(1_000, 0.01), timedelta(minutes=5)
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


async def test_fifty_runs_at_once_overshoot_a_day_by_one_step_at_most(purse: PostgresPurse):
    limit, refused = Limit(tokens=20_500), list[str]()

    async def run(number: int) -> None:
        for _ in range(10):
            try:
                await purse.reserve(f"run-{number}", "shop", STEP, limit=limit, life=LIFE)
            except Spent as spent:
                refused.append(spent.word)
                return
            await purse.charge(f"run-{number}", "shop", STEP)

    await asyncio.gather(*(run(number) for number in range(50)))

    spent = await purse.spent_today("shop")
    assert refused == ["budget-tenant-tokens"] * 50
    assert spent.tokens == 21_000, "all of it was spent, and the step that crossed the line was the last one"
    assert spent.cost_usd == pytest.approx(0.21)


async def test_money_ends_a_day_too_and_another_tenants_day_goes_on(purse: PostgresPurse):
    limit = Limit(cost_usd=0.02)
    await purse.charge("run-1", "shop", Amount(0, 0.02))

    with pytest.raises(Spent, match=r"budget-tenant-cost: 0\.0200 USD of 0\.02"):
        await purse.reserve("run-2", "shop", STEP, limit=limit, life=LIFE)
    await purse.reserve("run-3", "data", STEP, limit=limit, life=LIFE)


async def test_what_a_dead_run_kept_back_is_let_go_of(purse: PostgresPurse):
    limit = Limit(tokens=1_000)
    await purse.reserve("dead", "shop", STEP, limit=limit, life=timedelta(seconds=1))
    with pytest.raises(Spent, match="1000 of them under way"):
        await purse.reserve("next", "shop", STEP, limit=limit, life=LIFE)

    await asyncio.sleep(1.1)

    await purse.reserve("next", "shop", STEP, limit=limit, life=LIFE)


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

    await purse.reserve("run-1", "shop", STEP, limit=Limit(), life=LIFE)

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


async def spent(made: FreshDatabase) -> tuple[int, int]:
    """Tokens of the day, and reservations."""
    database = Database(made.settings(SCHEMA), application=SCHEMA)
    try:
        async with database.begin() as conn:
            tokens = (
                await conn.execute(text("SELECT coalesce(sum(tokens), 0) FROM budget_day"))
            ).scalar_one()
            holds = (await conn.execute(text("SELECT count(*) FROM budget_hold"))).scalar_one()
    finally:
        await database.close()
    return int(tokens), int(holds)


@pytest.mark.needs("holmes-engine")
@pytest.mark.xdist_group("holmes-engine")
async def test_a_spent_budget_leaves_triages_verdict_and_says_which_one_it_was(
    fresh_database: MakeDatabase, tmp_path: Path
):
    made = fresh_database(SCHEMA, migrated=True)
    budgets: dict[str, Any] = {"budget_run_tokens": 2_000, "budget_tenant_tokens_per_day": 3_000}
    with context_api(causes=answer()) as context, model() as fake:
        here = place(made, context.url, tmp_path)
        with engine(here, context, fake, **budgets) as there:
            async with serving(there.settings(), here.api_key) as api:
                ends = []
                for _ in range(3):
                    taken = (await api.post("/api/v1/investigate/async", json=alert())).json()
                    ends.append(await ended(api, taken["investigation_id"], within=90))
            books = await spent(made)

    assert [(one["status"], one["engine"], one["degraded_reason"]) for one in ends] == [
        ("completed", "triage", "budget-run-tokens"),
        ("completed", "triage", "budget-tenant-tokens"),
        ("completed", "triage", "budget-tenant-tokens"),
    ]
    assert ends[0]["metadata"]["degraded_detail"] == "2100 tokens of 2000 for one run"
    assert "for today (UTC)" in ends[1]["metadata"]["degraded_detail"]
    assert all(one["results"]["cause"] for one in ends)
    assert len(fake.requests) == 3, "two steps of the first run, one of the second, none of the third"
    assert books == (3 * 1050, 0)


@pytest.mark.needs("holmes-engine")
@pytest.mark.xdist_group("holmes-engine")
async def test_a_killed_workers_usage_is_lost_by_the_step_under_way_at_most(
    fresh_database: MakeDatabase, tmp_path: Path
):
    made = fresh_database(SCHEMA, migrated=True)
    with context_api(causes=answer()) as context, model() as fake:
        here = place(made, context.url, tmp_path)
        with engine(here, context, fake) as there:
            async with serving(there.settings(), here.api_key) as api:
                await api.post("/api/v1/investigate/async", json=alert())
                await asyncio.to_thread(fake.wait_for, 1)
                fake.mood = "hangs"
                await asyncio.to_thread(fake.wait_for, 2)
                there.worker.kill()
                there.worker.wait()
            books = await spent(made)

    assert books == (1050, 1), "the first step is paid, the second one is kept back for"
