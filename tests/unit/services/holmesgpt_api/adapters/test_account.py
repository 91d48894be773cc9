"""A run's account writes down each request, waits for books that are away, and takes no step that is not paid."""

from __future__ import annotations

import time

import pytest

from services.holmesgpt_api.adapters import account as module
from services.holmesgpt_api.adapters.account import Account
from services.holmesgpt_api.domain.budget import UNLIMITED, Amount, Limit, Limits, Spent
from services.holmesgpt_api.engine.messages import ModelAsked, Step
from tests.fakes.purse import FakePurse

pytestmark = pytest.mark.requirement("HAPI-163")

STEP = Step(number=1, tokens=500, cost_usd=0.5)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.001)


def account(purse: FakePurse, limits: Limits = UNLIMITED, run: str = "r1") -> Account:
    return Account(purse, limits, run=run, tenant="shop", until=time.monotonic() + 60)


def answered(tokens: int) -> ModelAsked:
    return ModelAsked(step=1, model="a", prompt_tokens=tokens, cost_usd=tokens / 1000)


async def test_a_step_is_kept_back_until_its_usage_is_known():
    purse = FakePurse()
    one = account(purse)

    await one.step(STEP)
    assert purse.held == {"r1": Amount(500, 0.5)}
    await one.asked(answered(100))

    assert (purse.held, purse.spent) == ({}, {"shop": Amount(100, 0.1)})


async def test_usage_that_could_not_be_written_down_is_before_the_next_step():
    purse = FakePurse()
    one = account(purse, Limits(Limit(), Limit(tokens=150)))
    purse.away = 1
    await one.asked(answered(150))
    assert purse.spent == {}

    with pytest.raises(Spent, match="budget-tenant-tokens"):
        await one.step(STEP)

    assert purse.spent == {"shop": Amount(150, 0.15)}


async def test_a_step_waits_for_books_that_are_away():
    purse = FakePurse()
    purse.away = 3

    await account(purse).step(STEP)

    assert (purse.away, purse.held) == (0, {"r1": Amount(500, 0.5)})


async def test_a_runs_own_limit_needs_no_books():
    purse = FakePurse()
    one = account(purse, Limits(Limit(tokens=100), Limit()))
    await one.asked(answered(100))
    purse.away = 1

    with pytest.raises(Spent, match="budget-run-tokens"):
        await one.step(STEP)

    assert purse.away == 1


async def test_the_end_lets_go_of_what_was_kept_back_and_writes_the_rest_down():
    purse = FakePurse()
    one = account(purse)
    await one.step(STEP)
    purse.away = 2
    await one.asked(answered(7))

    await one.close()

    assert (purse.held, purse.spent) == ({}, {"shop": Amount(7, 0.007)})


async def test_books_that_stay_away_cost_a_bounded_wait_and_a_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(module, "LAST_TRIES", 0.02)
    purse = FakePurse()
    one = account(purse)
    purse.away = 10**6
    await one.asked(answered(7))

    await one.close()

    assert "Amount(tokens=7" in caplog.text
