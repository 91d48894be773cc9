"""Speak with one process of a run: what is common to investigations and to questions of a chat."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import ValidationError

from libs.redaction import Unredactable
from services.holmesgpt_api.adapters.account import Account
from services.holmesgpt_api.adapters.residents import Child
from services.holmesgpt_api.adapters.run_course import Course
from services.holmesgpt_api.adapters.zygote import Away
from services.holmesgpt_api.domain.budget import RUN_SECONDS, Amount, Limits, Purse, Spent
from services.holmesgpt_api.domain.model import (
    ENGINE_FAILED,
    ENGINE_UNAVAILABLE,
    REDACTION_FAILED,
    TIMEOUT,
    TOO_LARGE,
    ModelFailed,
)
from services.holmesgpt_api.engine.framing import BadFrame, Closed
from services.holmesgpt_api.engine.messages import (
    SAID,
    Failed,
    Granted,
    Heard,
    ModelAsked,
    Recorded,
    RunRequest,
    TalkRequest,
)

GRACE = 1.0
"""Seconds a child has beyond its time to say itself why there is no conclusion."""


class Died(Exception):
    """The process is gone without having said why."""

    def __init__(self, said: str, *, by_signal: bool) -> None:
        super().__init__(said)
        self.by_signal = by_signal
        """One that ended by itself would do so again; one that a signal ended may be followed by another."""


@dataclass(slots=True)
class Frame:
    """What a run has around it: its time, what it has seen so far, and the account it is charged to."""

    began: float
    """On the monotonic clock, as `ends` is."""
    within: timedelta
    """Until its caller takes it for over."""
    limit: timedelta | None
    """Its budget of seconds, those in the processes of a worker that was lost included."""
    ends: float
    """Whichever of the two is over first."""
    course: Course
    account: Account

    @classmethod
    def begun(
        cls, course: Course, purse: Purse, limits: Limits, *, name: str, tenant: str, within: timedelta
    ) -> Frame:
        seconds = limits.run.seconds
        limit = None if seconds is None else timedelta(seconds=seconds)
        ends = course.began + min(within, limit or within).total_seconds()
        account = Account(purse, limits, run=name, tenant=tenant, until=ends)
        return cls(course.began, within, limit, ends, course, account)

    def had(self, course: Course, used: Amount) -> None:
        """It goes on where a worker was lost: what it took until then counts for its limits, its time too."""
        if self.limit is not None:
            self.ends = min(self.ends, self.began + self.limit.total_seconds() - course.before)
        self.account.had(used, until=self.ends)

    @property
    def left(self) -> float:
        """Seconds; never quite none, so that what is out of time ends as such."""
        return max(self.ends - time.monotonic(), 0.1)

    @asynccontextmanager
    async def accounted(self) -> AsyncIterator[None]:
        """Run in the block. What goes wrong is told in the domain's words, with what was spent; the account is closed.

        Raises:
            ModelFailed
        """
        try:
            yield
        except Died as error:
            raise ModelFailed(ENGINE_FAILED, str(error), self.course.use()) from error
        except Away as error:
            raise ModelFailed(ENGINE_UNAVAILABLE, str(error), self.course.use()) from error
        except Spent as error:
            raise ModelFailed(error.word, error.detail, self.course.use()) from error
        except (Unredactable, ValidationError, UnicodeError) as error:
            # What could not be looked at has not been told to anybody, and is not repeated here.
            raise ModelFailed(REDACTION_FAILED, type(error).__name__, self.course.use()) from None
        except TimeoutError as error:
            raise self._too_late() from error
        except ModelFailed as error:
            if error.word == TIMEOUT and time.monotonic() >= self.ends - GRACE:
                raise self._too_late(error.detail) from error
            raise
        finally:
            await self.account.close()

    def _too_late(self, why: str = "") -> ModelFailed:
        spent = self.ends < self.began + self.within.total_seconds()
        allowed = self.limit if spent and self.limit else self.within
        said = f"no conclusion within {allowed.total_seconds():.0f} s"
        word = RUN_SECONDS if spent else TIMEOUT
        return ModelFailed(word, f"{said}: {why}" if why else said, self.course.use())


def authorities(file: Path | None) -> str | None:
    """The certificates (PEM) that the Context API's is signed by: the engine itself may not read the file. Blocking.

    Raises:
        ModelFailed: it cannot be read.
    """
    try:
        # What is no ASCII stands in comments, which OpenSSL skips in a file and refuses in a text.
        return None if file is None else file.read_text(encoding="ascii", errors="ignore")
    except OSError as error:
        raise ModelFailed(ENGINE_UNAVAILABLE, f"KUBERNAUT_CA_FILE: {file}: {type(error).__name__}") from error


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
    if isinstance(message, ModelAsked) and message.detail:
        # A server's words about its refusal: they are kept with the run, and told by /health.
        return message.model_copy(update={"detail": course.redactor.text(message.detail)[:SAID]})
    return message


async def grant(child: Child, step: int) -> None:
    # One that has died meanwhile says so at the next word that is waited for.
    with suppress(Closed):
        await child.send(Granted(step=step))


async def recorded(child: Child, step: int) -> None:
    with suppress(Closed):  # as above
        await child.send(Recorded(number=step))


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
