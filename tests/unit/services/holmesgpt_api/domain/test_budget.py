"""A step is allowed while what is spent and under way lies below the limit."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.budget import (
    BUDGETS,
    Amount,
    Limit,
    Limits,
    Spent,
    check_day,
    check_run,
)
from services.holmesgpt_api.domain.model import WHY_NOT

pytestmark = pytest.mark.requirement("HAPI-163")

RUN = Limit(100, 1.0, 5)
DAY = Limit(tokens=100, cost_usd=1.0, steps=10, seconds=60.0)


@pytest.mark.parametrize(
    "used", [Amount(), Amount(99, 0.99, 4), Amount(0, 0.5), Amount(steps=4, seconds=10**6)]
)
def test_below_its_limits_a_run_goes_on(used: Amount):
    check_run(RUN, used)


@pytest.mark.parametrize(
    ("used", "word"),
    [
        (Amount(100, 0), "budget-run-tokens"),
        (Amount(1, 1.0), "budget-run-cost"),
        (Amount(1, 0, steps=5), "budget-run-steps"),
    ],
)
def test_at_its_limit_a_run_takes_no_further_step(used: Amount, word: str):
    with pytest.raises(Spent) as spent:
        check_run(RUN, used)

    assert spent.value.word == word
    check_run(Limit(), used)


def test_what_other_runs_are_taking_counts_as_spent():
    limit = Limit(tokens=100, cost_usd=1.0)
    check_day(limit, Amount(60, 0.1), Amount(39, 0.1))

    with pytest.raises(Spent, match="100 tokens of 100 for today"):
        check_day(limit, Amount(60, 0.1), Amount(40, 0.1))
    with pytest.raises(Spent, match="budget-tenant-cost"):
        check_day(limit, Amount(60, 0.5), Amount(0, 0.5))


@pytest.mark.parametrize(
    ("spent", "held", "said"),
    [
        (Amount(steps=10), Amount(), "budget-tenant-steps: 10 steps of 10 for today (UTC)"),
        (
            Amount(steps=7),
            Amount(steps=3),
            "budget-tenant-steps: 10 steps of 10 for today (UTC), 3 of them under way",
        ),
        (Amount(seconds=60.25), Amount(), "budget-tenant-seconds: 60 s of 60 s for today (UTC)"),
        (
            Amount(seconds=20.0),
            Amount(seconds=40.0),
            "budget-tenant-seconds: 60 s of 60 s for today (UTC), 40 of them under way",
        ),
    ],
)
def test_a_days_steps_and_seconds_are_bounded_and_it_is_said_what_is_under_way(
    spent: Amount, held: Amount, said: str
):
    with pytest.raises(Spent) as refused:
        check_day(DAY, spent, held)

    assert str(refused.value) == said
    check_day(Limit(), spent, held)


def test_a_step_below_every_limit_of_the_day_is_taken():
    check_day(DAY, Amount(60, 0.6, 6, 30.0), Amount(39, 0.39, 3, 29.9))


def test_a_tenants_own_limits_stand_in_place_of_everybodys():
    limits = Limits(Limit(), Limit(tokens=5, steps=5), tenants={"vip": Limit(seconds=7.0)})

    assert (limits.of("vip"), limits.of("shop")) == (Limit(seconds=7.0), Limit(tokens=5, steps=5))


def test_there_is_a_word_for_each_limit_and_all_of_them_are_counted():
    assert {
        f"budget-{of}-{what}" for of in ("run", "tenant") for what in ("tokens", "cost", "steps", "seconds")
    } == set(BUDGETS)
    assert set(BUDGETS) <= set(WHY_NOT)
