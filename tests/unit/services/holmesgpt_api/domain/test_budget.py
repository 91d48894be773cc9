"""A step is allowed while what is spent and under way lies below the limit."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.budget import Amount, Limit, Limits, Spent, check_day, check_run

pytestmark = pytest.mark.requirement("HAPI-163")


@pytest.mark.parametrize("used", [Amount(), Amount(99, 0.99), Amount(0, 0.5)])
def test_below_its_limits_a_run_goes_on(used: Amount):
    check_run(Limit(100, 1.0), used)


@pytest.mark.parametrize(
    ("used", "word"),
    [(Amount(100, 0), "budget-run-tokens"), (Amount(1, 1.0), "budget-run-cost")],
)
def test_at_its_limit_a_run_takes_no_further_step(used: Amount, word: str):
    with pytest.raises(Spent) as spent:
        check_run(Limit(100, 1.0), used)

    assert spent.value.word == word
    check_run(Limit(), used)


def test_what_other_runs_are_taking_counts_as_spent():
    limit = Limit(tokens=100, cost_usd=1.0)
    check_day(limit, Amount(60, 0.1), Amount(39, 0.1))

    with pytest.raises(Spent, match="100 tokens of 100 for today"):
        check_day(limit, Amount(60, 0.1), Amount(40, 0.1))
    with pytest.raises(Spent, match="budget-tenant-cost"):
        check_day(limit, Amount(60, 0.5), Amount(0, 0.5))


def test_a_tenants_own_limits_stand_in_place_of_everybodys():
    limits = Limits(Limit(), Limit(tokens=5), tenants={"vip": Limit()})

    assert (limits.of("vip"), limits.of("shop")) == (Limit(), Limit(tokens=5))
