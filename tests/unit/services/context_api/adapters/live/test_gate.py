"""A source's gate: so much at once, a deadline, a breaker, and what it cost."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from libs.clients.breaker import Breaker, BreakerState
from services.context_api.adapters.live.errors import ApiFailure, HeldBack, Why
from services.context_api.adapters.live.gate import Gate
from services.context_api.domain.sources import Outcome, SourceName

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-020")


@dataclass
class Notebook:
    calls: list[tuple[SourceName, Outcome, int]] = field(default_factory=list)
    states: list[BreakerState] = field(default_factory=list)

    def ended(self, source: SourceName, outcome: Outcome, seconds: float, size: int) -> None:
        self.calls.append((source, outcome, size))

    def stands(self, source: SourceName, state: BreakerState, in_flight: int) -> None:
        self.states.append(state)


@dataclass
class Clock:
    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def gate(
    *, deadline: float = 5, at_once: int = 2, breaker: Breaker | None = None, telling: Notebook | None = None
) -> Gate:
    return Gate(
        SourceName.loki,
        deadline=timedelta(seconds=deadline),
        at_once=at_once,
        breaker=breaker,
        telling=telling,
        clock=lambda: 1_000.0,
    )


async def answers() -> str:
    return "yes"


def failing(why: Why = Why.broken):
    async def fails() -> str:
        raise ApiFailure(why, "no")

    return fails


async def never() -> str:
    await asyncio.Event().wait()
    return "never"


async def test_what_a_call_brings_is_given_on_and_its_cost_is_counted():
    notebook = Notebook()
    taking = gate(telling=notebook).round()

    async def brings() -> str:
        taking.sent(7)
        return "yes"

    assert await taking.ask(brings) == "yes"
    part = taking.part()

    assert (part.outcome, part.calls, part.size, part.age, part.reason) == (
        Outcome.read,
        1,
        7,
        timedelta(),
        "",
    )
    assert notebook.calls == [(SourceName.loki, Outcome.read, 7)]


async def test_never_more_run_at_once_than_it_lets_in():
    running, most = 0, 0

    async def counted() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running -= 1
        return most

    await gate(at_once=2).round().all([counted] * 9)

    assert most == 2


async def test_at_the_deadline_all_that_has_not_come_is_late_those_too_whose_turn_never_came():
    taking = gate(deadline=0.02, at_once=1).round()

    found = await taking.all([answers, never, answers])
    part = taking.part()

    assert found[0] == "yes"
    assert all(isinstance(one, ApiFailure) and one.why is Why.slow for one in found[1:])
    assert (part.outcome, part.calls) == (Outcome.partial, 3)
    assert part.reason == "no answer in time (2 of 3 calls)"


async def test_who_never_had_a_turn_says_nothing_about_the_source():
    door = gate(deadline=0.02, at_once=1, breaker=Breaker(failures_in_a_row=2))

    await door.round().all([never, answers, answers, answers])

    assert door.breaker.state is BreakerState.closed


async def test_after_failures_in_a_row_it_is_left_alone_and_then_asked_one_thing_first():
    clock, notebook = Clock(), Notebook()
    breaker = Breaker(failures_in_a_row=3, open_for=timedelta(seconds=30), now=clock, jitter=lambda: 0.0)
    door = gate(breaker=breaker, at_once=1, telling=notebook)

    await door.round().all([failing()] * 3)
    open_ = door.round()
    with pytest.raises(HeldBack, match="not asked for another 30 s"):
        await open_.ask(answers)
    held = open_.part()
    clock.seconds = 31
    back = door.round()
    found = await back.all([answers] * 5)

    assert (held.outcome, held.breaker, held.age) == (Outcome.held_back, "open", None)
    assert found == ["yes"] * 5
    assert back.part().breaker == "closed"
    assert notebook.calls[3] == (SourceName.loki, Outcome.held_back, 0)


async def test_a_probe_that_fails_costs_one_call_and_not_one_for_each_question():
    clock, asked = Clock(), 0
    breaker = Breaker(failures_in_a_row=1, now=clock, jitter=lambda: 0.0)
    door = gate(breaker=breaker)

    async def fails() -> str:
        nonlocal asked
        asked += 1
        raise ApiFailure(Why.unreachable, "no")

    await door.round().all([fails])
    clock.seconds = 31
    await door.round().all([fails] * 20)

    assert asked == 2


@pytest.mark.parametrize("why", [Why.refused, Why.large, Why.forbidden, Why.missing])
async def test_an_answer_that_is_not_wanted_is_an_answer_all_the_same(why: Why):
    door = gate(breaker=Breaker(failures_in_a_row=1))
    taking = door.round()

    await taking.all([failing(why)] * 3)

    assert door.breaker.state is BreakerState.closed
    assert taking.part().outcome is Outcome.failed
    assert door.age == timedelta()


async def test_a_call_that_is_given_up_leaves_the_breaker_as_it_was():
    clock = Clock()
    breaker = Breaker(failures_in_a_row=1, now=clock, jitter=lambda: 0.0)
    door = gate(breaker=breaker)
    await door.round().all([failing()])
    clock.seconds = 31

    task = asyncio.create_task(door.round().ask(never))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert door.in_flight == 0
    assert await door.round().ask(answers) == "yes"


async def test_what_kept_most_calls_is_what_it_comes_to():
    taking = gate().round()

    await taking.all([failing(Why.broken), failing(Why.slow), failing(Why.slow)])

    assert taking.part().outcome is Outcome.late
