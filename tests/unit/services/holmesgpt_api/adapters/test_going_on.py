"""Which process of a run goes on, from which step, and when none does any more."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from libs.redaction import Redactor
from services.holmesgpt_api.adapters.going_on import DEATHS, Recording, going_on, under, used
from services.holmesgpt_api.adapters.run_course import Course, taken_up
from services.holmesgpt_api.adapters.running import Died, Frame
from services.holmesgpt_api.adapters.steps import LastStep
from services.holmesgpt_api.domain.budget import UNLIMITED, Amount
from services.holmesgpt_api.domain.model import ModelFailed
from services.holmesgpt_api.engine.messages import Checkpoint, ModelAccess, Usage
from tests.fakes.purse import FakePurse
from tests.fakes.steps import MemorySteps
from tests.support.investigations import claimed

pytestmark = pytest.mark.requirement("HAPI-029", "HAPI-040")

MODELS = {"m": "openai/m"}


def course(**fields: object) -> Course:
    return Course(MODELS, time.monotonic(), Redactor(bytes(16)), **fields)  # type: ignore[arg-type]


def step(number: int) -> LastStep:
    return LastStep(number, "talk", b"said", None, course().packed())


@dataclass
class Processes:
    """Each dies as it is told, or (None) ends well; `reaches`: the steps that each comes to."""

    deaths: list[Died | None]
    reaches: list[int] = field(default_factory=list)
    steps: MemorySteps = field(default_factory=MemorySteps)
    keeps: bool = True
    seen: list[tuple[int, int | None]] = field(default_factory=list)
    """Of each: its number, and the step it went on from."""

    async def run(self, *, begins: bool = False) -> str:
        whole = timedelta(minutes=1)
        self.frame = Frame.begun(course(), FakePurse(), UNLIMITED, name="r", tenant="t", within=whole)
        recording = Recording(self.steps, claimed(), "under")

        def known(last: LastStep | None) -> Course:
            return taken_up(MODELS, Redactor(bytes(16)), last)

        return await going_on(recording, self.frame, known, self._once, begins=begins)

    async def _once(self, number: int, last: LastStep | None) -> str:
        self.seen.append((number, last.number if last else None))
        if self.reaches:
            self.frame.course.steps = reached = self.reaches.pop(0)
            self.steps.kept = step(reached) if reached > 1 and self.keeps else None
        if (death := self.deaths.pop(0)) is not None:
            usage = self.frame.course.usage
            self.frame.course.usage = usage.model_copy(update={"requests": usage.requests + 1})
            raise death
        return "done"


def killed() -> Died:
    return Died("ended by SIGKILL", by_signal=True)


async def test_a_killed_process_is_followed_by_one_that_goes_on_from_the_last_step():
    there = Processes([killed(), None], reaches=[3, 4])

    assert await there.run() == "done"
    assert there.seen == [(0, None), (1, 3)]
    assert there.frame.course.resumed == 1


async def test_one_that_ended_by_itself_is_followed_by_none():
    there = Processes([Died("code 3", by_signal=False)])

    with pytest.raises(Died, match="code 3"):
        await there.run()
    assert len(there.seen) == 1


async def test_a_run_that_kills_its_processes_at_one_step_ends():
    there = Processes([killed() for _ in range(DEATHS)], reaches=[2] * DEATHS)
    there.steps.kept = step(2)

    with pytest.raises(Died):
        await there.run()
    assert len(there.seen) == DEATHS


async def test_a_run_that_comes_further_each_time_goes_on():
    there = Processes([*(killed() for _ in range(6)), None], reaches=[2, 3, 4, 5, 6, 7, 8])

    assert await there.run() == "done"
    assert [last for _, last in there.seen] == [None, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(("begins", "from_"), [(True, None), (False, 2)])
async def test_a_run_of_which_there_was_none_before_is_not_looked_up(begins: bool, from_: int | None):
    there = Processes([None])
    there.steps.kept = step(2)

    await there.run(begins=begins)

    assert there.seen == [(0, from_)]


async def test_a_run_whose_steps_cannot_be_stored_does_not_go_on_for_ever():
    there = Processes([killed() for _ in range(9)], reaches=[2] * 9)
    there.keeps = False

    with pytest.raises(Died):
        await there.run()
    assert len(there.seen) == DEATHS, "the first one came a step further than nothing"


async def test_what_a_process_has_cost_is_known_to_the_next_one_stored_or_not():
    there = Processes([killed(), killed(), None], reaches=[1, 1, 2])

    await there.run()

    assert (there.frame.course.usage.requests, there.frame.course.resumed) == (2, 2)


async def test_what_a_lost_worker_had_used_counts_without_the_step_under_way():
    usage = Usage(requests=3, prompt_tokens=10, completion_tokens=5, cost_usd=0.5)
    answered = LastStep(3, "talk", b"", b"a", b"")

    assert used(usage, None) == Amount(15, 0.5, steps=0)
    assert used(usage, step(3)) == Amount(15, 0.5, steps=2)
    assert used(usage, answered) == Amount(15, 0.5, steps=3)


async def test_what_has_no_say_any_more_is_stopped_and_what_cannot_be_stored_goes_on():
    point = Checkpoint(number=1, phase="talk", messages=b"said")
    away, over = MemorySteps(refuses=True), MemorySteps(says=False)

    await Recording(away, claimed(), "under").record(point, course())
    with pytest.raises(ModelFailed, match="no say"):
        await Recording(over, claimed(), "under").record(point, course())

    assert (away.calls, away.kept) == ([("asks", 1)], None)


def test_steps_of_other_models_or_words_are_not_gone_on_from():
    one, other = (
        ModelAccess(
            model=name,
            api_key="none",
            context_tokens=9,
            output_tokens=1,
            request_timeout_s=1,
            attempts=1,
        )
        for name in ("openai/a", "openai/b")
    )

    assert under([one, other], "v") == under([other, one], "v")
    assert len({under([one], "v"), under([other], "v"), under([one, other], "v"), under([one], "w")}) == 4
