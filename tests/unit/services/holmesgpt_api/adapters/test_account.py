"""A run's account writes down each request, waits for books that are away, and takes no step that is not paid."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Run:
    """A run of 60 s, its books and its clock."""

    purse: FakePurse = field(default_factory=FakePurse)
    limits: Limits = UNLIMITED
    clock: Clock = field(default_factory=Clock)
    name: str = "r1"

    def __post_init__(self) -> None:
        self.account = Account(
            self.purse,
            self.limits,
            run=self.name,
            tenant="shop",
            until=self.clock.now + 60,
            clock=self.clock,
        )

    async def stepped(self, seconds: float, *, tokens: int = 100) -> None:
        """A step whose answer takes so long."""
        await self.account.step(STEP)
        self.clock.now += seconds
        await self.account.asked(answered(tokens))

    @property
    def spent(self) -> Amount:
        return self.purse.spent.get("shop", Amount())


def account(purse: FakePurse, limits: Limits = UNLIMITED) -> Account:
    return Run(purse, limits).account


def answered(tokens: int) -> ModelAsked:
    return ModelAsked(step=1, model="a", prompt_tokens=tokens, cost_usd=tokens / 1000)


def failed() -> ModelAsked:
    return ModelAsked(step=1, model="a", word="model-unreachable")


async def test_a_step_is_kept_back_until_its_usage_is_known():
    run = Run()

    await run.account.step(STEP)
    assert run.purse.held == {"r1": Amount(500, 0.5, steps=1, seconds=60.0)}
    run.clock.now += 8
    await run.account.asked(answered(100))

    assert run.purse.held == {"r1": Amount(seconds=52.0)}, "its time goes on until its end"
    assert run.spent == Amount(100, 0.1, steps=1, seconds=8.0)


async def test_tools_between_two_steps_take_of_the_days_seconds_too():
    run = Run()
    await run.stepped(8)

    run.clock.now += 5
    await run.account.step(STEP)

    assert run.spent == Amount(100, 0.1, steps=1, seconds=13.0)
    assert run.purse.held == {"r1": Amount(500, 0.5, steps=1, seconds=47.0)}


async def test_a_models_attempts_are_one_step_and_what_is_kept_back_for_it_stays_until_it_is_over():
    run = Run()
    await run.account.step(STEP)
    run.clock.now += 3
    await run.account.asked(failed())
    assert (run.spent, run.purse.held["r1"].tokens) == (Amount(), 500)

    run.clock.now += 4
    await run.account.asked(answered(100))

    assert run.spent == Amount(100, 0.1, steps=1, seconds=7.0)


async def test_a_step_that_no_model_answers_is_charged_as_a_step_with_its_time():
    run = Run()
    await run.account.step(STEP)
    run.clock.now += 30
    await run.account.asked(failed())

    await run.account.close()

    assert (run.spent, run.purse.held) == (Amount(steps=1, seconds=30.0), {})


async def test_an_answer_whose_tokens_nobody_tells_is_a_step_all_the_same():
    run = Run()
    await run.stepped(2, tokens=0)

    assert run.spent == Amount(steps=1, seconds=2.0)


async def test_an_answer_that_was_recorded_before_a_kill_needs_no_leave_and_is_no_step():
    run = Run(limits=Limits(Limit(steps=3), Limit(steps=1)))
    run.purse.spent["shop"] = Amount(steps=1)
    run.account.had(Amount(steps=3), until=run.clock.now + 60)

    await run.account.step(Step(number=3))

    assert (run.spent, run.purse.held) == (Amount(steps=1), {})
    with pytest.raises(Spent, match="budget-run-steps: 3 steps of 3 for one run"):
        await run.account.step(STEP)


async def test_a_run_that_is_refused_its_first_step_takes_no_time():
    run = Run(limits=Limits(Limit(), Limit(steps=1)))
    run.purse.spent["shop"] = Amount(steps=1)
    with pytest.raises(Spent, match="budget-tenant-steps"):
        await run.account.step(STEP)

    run.clock.now += 4
    await run.account.close()

    assert (run.spent, run.purse.held) == (Amount(steps=1), {})


async def test_what_a_run_has_used_is_written_down_also_where_its_next_step_is_refused():
    run = Run(limits=Limits(Limit(), Limit(seconds=10.0)))
    await run.stepped(6)
    run.clock.now += 5

    with pytest.raises(Spent, match="budget-tenant-seconds: 11 s of 10 s for today"):
        await run.account.step(STEP)
    await run.account.close()

    assert (run.spent.seconds, run.spent.steps, run.purse.held) == (11.0, 1, {})


async def test_no_time_is_counted_beyond_the_runs_end():
    run = Run()
    await run.account.step(STEP)
    run.clock.now += 75

    await run.account.close()

    assert (run.spent, run.purse.held) == (Amount(steps=1, seconds=60.0), {})


async def test_time_in_which_the_books_are_away_is_counted_once_they_are_back():
    run = Run()
    await run.account.step(STEP)
    run.clock.now += 5
    run.purse.away = 1
    await run.account.asked(answered(100))
    assert run.spent == Amount()

    run.clock.now += 2
    await run.account.step(STEP)

    assert run.spent == Amount(100, 0.1, steps=1, seconds=7.0)


class Day:
    """Three runs of one tenant side by side, on one clock, and what they took by another count than the account's."""

    def __init__(self, limit: Limit) -> None:
        self.clock, self.purse = Clock(), FakePurse()
        self.runs = [Run(self.purse, Limits(Limit(), limit), self.clock, f"r{number}") for number in range(3)]
        self.end = self.clock.now + 60
        self.asking, self.began, self.ended = set[int](), dict[int, float](), dict[int, float]()
        self.tokens = self.steps = 0
        self.last: tuple[int, float] | None = None
        """Whose step was allowed last, and when."""

    async def goes_on(self, number: int, what: str, tokens: int) -> None:
        if number in self.ended:
            return
        account, asking = self.runs[number].account, number in self.asking
        if what == "ends":
            await account.close()
            self.ended[number] = min(self.clock.now, self.end)
        elif what == "fails" and asking:
            await account.asked(failed())
        elif asking:
            await account.asked(answered(tokens))
            self.asking.discard(number)
            self.tokens += tokens
        else:
            try:
                await account.step(STEP)
            except Spent:
                await self.goes_on(number, "ends", 0)
            else:
                self.asking.add(number)
                self.steps += 1
                self.began.setdefault(number, self.clock.now)
                self.last = number, self.clock.now

    @property
    def seconds(self) -> float:
        return sum(max(self.ended[number] - since, 0.0) for number, since in self.began.items())

    @property
    def of_the_last(self) -> float:
        """Seconds of the step that was allowed last, with its tools."""
        if self.last is None:
            return 0.0
        number, since = self.last
        return max(self.ended[number] - since, 0.0)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from(["goes on", "goes on", "goes on", "fails", "ends"]),
            st.sampled_from([0, 100, STEP.tokens]),
            st.sampled_from([0.0, 0.5, 7.0, 30.0]),
        ),
        max_size=25,
    ),
    st.one_of(
        st.builds(Limit, tokens=st.integers(1, 1_500)),
        st.builds(Limit, steps=st.integers(1, 8)),
        st.builds(Limit, seconds=st.floats(1, 100)),
    ),
)
@settings(max_examples=500, deadline=None)
async def test_however_runs_mix_all_is_written_down_and_a_day_is_overshot_by_its_last_step_at_most(
    course: list[tuple[int, str, int, float]], limit: Limit
):
    day = Day(limit)

    for number, what, tokens, later in course:
        await day.goes_on(number, what, tokens)
        day.clock.now += later
    for number in range(3):
        await day.goes_on(number, "ends", 0)

    spent = day.purse.spent.get("shop", Amount())
    assert day.purse.held == {}
    assert (spent.tokens, spent.steps) == (day.tokens, day.steps)
    assert spent.seconds == pytest.approx(day.seconds)
    assert limit.steps is None or spent.steps <= limit.steps
    assert limit.tokens is None or spent.tokens < limit.tokens + STEP.tokens
    assert limit.seconds is None or spent.seconds < limit.seconds + day.of_the_last + 1e-6


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

    assert (purse.away, purse.held) == (0, {"r1": Amount(500, 0.5, steps=1, seconds=60.0)})


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

    assert (purse.held, purse.spent) == ({}, {"shop": Amount(7, 0.007, steps=1)})


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
