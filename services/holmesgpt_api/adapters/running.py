"""Speak with one process of a run: what is common to investigations and to questions of a chat."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from datetime import timedelta

from services.holmesgpt_api.adapters.residents import Child
from services.holmesgpt_api.adapters.run_course import Course
from services.holmesgpt_api.domain.budget import RUN_SECONDS
from services.holmesgpt_api.domain.model import ENGINE_FAILED, TIMEOUT, TOO_LARGE, ModelFailed
from services.holmesgpt_api.engine.framing import BadFrame, Closed
from services.holmesgpt_api.engine.messages import Failed, Granted, Heard, RunRequest, TalkRequest

GRACE = 1.0
"""Seconds a child has beyond its time to say itself why there is no conclusion."""


class Died(Exception):
    """The process is gone without having said why."""

    def __init__(self, said: str, *, by_signal: bool) -> None:
        super().__init__(said)
        self.by_signal = by_signal
        """One that ended by itself would do so again; one that a signal ended may be followed by another."""


async def begin(child: Child, request: RunRequest | TalkRequest, course: Course) -> None:
    """Raises ModelFailed, Died."""
    try:
        await child.send(request)
    except BadFrame as error:
        raise ModelFailed(TOO_LARGE, f"the question is too large: {error}", course.use()) from error
    except Closed as error:
        raise await how_it_died(child) from error


async def heard(child: Child, course: Course) -> Heard:
    """The child's next word.

    Raises:
        ModelFailed: it has failed, or talks nonsense.
        Died
    """
    try:
        message = await child.receive()
    except BadFrame as error:
        raise ModelFailed(ENGINE_FAILED, f"a run talked nonsense: {error}", course.use()) from error
    except Closed as error:
        raise await how_it_died(child) from error
    if isinstance(message, Failed):
        raise ModelFailed(message.word, course.redactor.text(message.detail), course.use())
    return message


async def grant(child: Child, step: int) -> None:
    # One that has died meanwhile says so at the next word that is waited for.
    with suppress(Closed):
        await child.send(Granted(step=step))


def too_late(within: timedelta, allowed: timedelta, course: Course, why: str = "") -> ModelFailed:
    said = f"no conclusion within {allowed.total_seconds():.0f} s"
    word = TIMEOUT if allowed == within else RUN_SECONDS
    return ModelFailed(word, f"{said}: {why}" if why else said, course.use())


def unasked(message: Heard, course: Course) -> ModelFailed:
    return ModelFailed(ENGINE_FAILED, f"a run said what it was not asked: {message.type}", course.use())


async def how_it_died(child: Child) -> Died:
    try:
        ended = await asyncio.wait_for(asyncio.shield(child.end), 2.0)
    except TimeoutError:
        return Died("a run closed its connection", by_signal=True)
    if ended.code == os.EX_OSERR:
        said = "no process could be forked for the run: too little memory, or too many processes"
        return Died(said, by_signal=False)
    if ended.code < 0:
        try:
            name = signal.Signals(-ended.code).name
        except ValueError:
            name = f"signal {-ended.code}"
        return Died(f"the run's process was ended by {name}", by_signal=True)
    return Died(f"the run's process ended with code {ended.code}", by_signal=False)
