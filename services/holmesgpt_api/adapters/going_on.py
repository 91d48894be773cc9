"""A run at the model outlives its processes: its steps are stored, and the next process goes on from the last one.

Common to investigations and to questions of a chat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.adapters.run_course import Course
from services.holmesgpt_api.adapters.running import Died, Frame
from services.holmesgpt_api.adapters.steps import Keeping, LastStep, Run, Steps
from services.holmesgpt_api.domain.budget import Amount
from services.holmesgpt_api.domain.model import ENGINE_FAILED, ModelFailed
from services.holmesgpt_api.engine.messages import PROTOCOL, SDK, Checkpoint, ModelAccess, Usage
from services.holmesgpt_api.engine.packing import TooLarge

DEATHS = 3
"""Processes of one run that may die without having come a step further. More, and it is the run that kills them."""

ASK_AGAIN = 0.5
"""Seconds between two tries to learn where a run was broken off."""

_log = logging.getLogger(__name__)

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Recording:
    """Of one run: where its steps are stored."""

    steps: Steps
    run: Run
    under: str
    """What they are kept under, as `under` says."""

    async def last(self, within: float) -> LastStep | None:
        """Where the run was broken off; None: it begins. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while True:
                try:
                    return await self.steps.last(self.run, model=self.under)
                except StorageUnavailable as error:
                    # Begun anew it would be paid for twice, and it could not be ended now either.
                    _log.info("the last step of %s is not known: %s", self.run.id, error)
                    await asyncio.sleep(ASK_AGAIN)

    async def record(self, point: Checkpoint, course: Course) -> None:
        """Store what the run can go on from; a run that cannot be recorded goes on all the same.

        Raises:
            ModelFailed: a later run has taken over, or what it was to answer has ended.
        """
        try:
            packed = await asyncio.to_thread(course.packed)
            keeping = await self._keep(point, packed)
        except (StorageUnavailable, TooLarge) as error:
            _log.info("step %d of %s is not recorded: %s", point.number, self.run.id, error)
            return
        if keeping is Keeping.no_say:
            raise ModelFailed(ENGINE_FAILED, "the run has no say any more", course.use())

    async def _keep(self, point: Checkpoint, course: bytes) -> Keeping:
        if point.messages is not None:
            return await self.steps.asks(
                self.run,
                number=point.number,
                phase=point.phase,
                model=self.under,
                messages=point.messages,
                course=course,
            )
        return await self.steps.answered(
            self.run, number=point.number, answer=point.answer or b"", course=course
        )


async def going_on(
    recording: Recording,
    frame: Frame,
    taken_up: Callable[[LastStep | None], Course],
    once: Callable[[int, LastStep | None], Awaitable[R]],
    *,
    begins: bool = False,
) -> R:
    """What one process of the run ends with, and the next one where a signal has ended it.

    Args:
        taken_up: the run's course from a step on; `frame` has it before `once` is called.
        once: one process. Its number counts those that died since the run came a step further.
        begins: no run before it can have recorded a step.

    Raises:
        Died: none goes on; and what `once` raises.
    """
    deaths, reached, died = 0, 1, None
    while True:
        last = None if begins and not deaths else await recording.last(frame.left)
        frame.course = course = taken_up(last)
        if died is not None:
            course.after(died)
        else:
            frame.had(course, used(course.usage, last))
            reached = last.number if last else 1
        try:
            return await once(deaths, last)
        except Died as death:
            # By the steps that it came to: not each of them need have been stored.
            deaths = 1 if course.steps > reached else deaths + 1
            reached, died = max(reached, course.steps), course
            if not death.by_signal or deaths >= DEATHS:
                raise
            _log.warning("%s: %s; going on from its last step", recording.run.id, death)


def under(chain: Sequence[ModelAccess], prompt: str) -> str:
    """What a step is kept under: with other models, another SDK, prompt or protocol a run begins anew."""
    return f"{'+'.join(sorted(one.model for one in chain))} {SDK} {prompt} {PROTOCOL}"


def used(usage: Usage, last: LastStep | None) -> Amount:
    """By the processes of a worker that was lost, as the books have it: without the step that was under way."""
    answered = 0 if last is None else last.number - (last.answer is None)
    return Amount(usage.prompt_tokens + usage.completion_tokens, usage.cost_usd, steps=answered)
