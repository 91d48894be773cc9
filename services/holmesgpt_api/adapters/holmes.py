"""Has HolmesGPT ask a model, in a child of the engine. Fulfils `domain.ports.Model`.

Every step is stored before the model is asked it. A child that is killed, with its engine or this process or
without, is followed by another one that goes on from the last step.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from datetime import timedelta

from libs.auth.errors import AuthError
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.adapters.course import Course, fitting, resume, taken_up
from services.holmesgpt_api.adapters.steps import Keeping, LastStep, Steps
from services.holmesgpt_api.adapters.zygote import Away, Child, Zygote
from services.holmesgpt_api.domain.model import (
    ENGINE_FAILED,
    ENGINE_UNAVAILABLE,
    TIMEOUT,
    TOO_LARGE,
    ModelFailed,
    Told,
)
from services.holmesgpt_api.domain.ports import ReportProgress
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.verdict import Verdict
from services.holmesgpt_api.engine.framing import BadFrame, Closed
from services.holmesgpt_api.engine.messages import (
    PROMPT_VERSION,
    PROTOCOL,
    SDK,
    Alert,
    Checkpoint,
    Concluded,
    ContextAccess,
    Failed,
    HeadStart,
    ModelAccess,
    Recorded,
    RunRequest,
    Step,
    ToolCalled,
    Usage,
)
from services.holmesgpt_api.engine.packing import TooLarge

Mint = Callable[[Claimed, timedelta], str]
"""The token of a run's tools. Raises AuthError where none can be made."""

GRACE = 1.0
"""Seconds a child has beyond its time to say itself why there is no conclusion."""

HEAD_START = 1024 * 1024
"""Bytes of evidence in a request; what triage found comes in the order of its weight."""

DEATHS = 3
"""Processes of one run that may die without having come a step further. More, and it is the run that kills them."""

ASK_AGAIN = 0.5
"""Seconds between two tries to learn where a run was broken off."""

_log = logging.getLogger(__name__)


class _Killed(Exception):
    """The run's process is gone, and was not the one to end it."""


class Holmes:
    def __init__(
        self,
        zygote: Zygote,
        access: ModelAccess,
        *,
        context_url: str,
        mint: Mint,
        steps: Steps,
        max_steps: int,
        tool_timeout: timedelta,
        start_within: timedelta,
    ) -> None:
        self._zygote, self._access, self._mint, self._steps = zygote, access, mint, steps
        self._context_url, self._max_steps = context_url, max_steps
        self._tool_timeout = tool_timeout.total_seconds()
        self._start_within = start_within.total_seconds()

    async def ask(
        self, run: Claimed, interim: Verdict, *, within: timedelta, report_progress: ReportProgress
    ) -> Told:
        ends = time.monotonic() + within.total_seconds()
        course = Course(self._access.model, time.monotonic())
        try:
            token = self._mint(run, within)
        except AuthError as error:
            # Without it the tools would ask as whoever this machine is trusted to be, and read what the
            # asker may not.
            raise ModelFailed(ENGINE_UNAVAILABLE, str(error)) from error
        deaths = 0
        try:
            while True:
                last = await self._last(run, ends)
                course = taken_up(self._access.model, last)
                try:
                    request = self._request(run, interim, token, last, course)
                    name = f"{run.id}.{run.fence}.{deaths}"
                    return await self._one(name, run, request, course, ends, report_progress)
                except _Killed as killed:
                    further = course.steps > (last.number if last else 1)
                    deaths = 1 if further else deaths + 1
                    if deaths >= DEATHS:
                        raise ModelFailed(ENGINE_FAILED, str(killed), course.use()) from killed
                    _log.warning("investigation %s: %s; going on from its last step", run.id, killed)
        except Away as error:
            raise ModelFailed(ENGINE_UNAVAILABLE, str(error), course.use()) from error
        except TimeoutError as error:
            said = f"no conclusion within {within.total_seconds():.0f} s"
            raise ModelFailed(TIMEOUT, said, course.use()) from error

    async def _last(self, run: Claimed, ends: float) -> LastStep | None:
        """Where the run was broken off; None: it begins. Raises TimeoutError."""
        async with asyncio.timeout(max(ends - time.monotonic(), 0.1)):
            while True:
                try:
                    return await self._steps.last(run, model=_under(self._access.model))
                except StorageUnavailable as error:
                    # Begun anew it would be paid for twice, and it could not be ended now either.
                    _log.info("the last step of %s is not known: %s", run.id, error)
                    await asyncio.sleep(ASK_AGAIN)

    async def _one(
        self,
        name: str,
        run: Claimed,
        request: RunRequest,
        course: Course,
        ends: float,
        report: ReportProgress,
    ) -> Told:
        """One process of the run.

        Raises:
            ModelFailed, TimeoutError, Away
            _Killed: another one may go on.
        """
        patience = min(self._start_within, max(ends - time.monotonic(), 0.1))
        async with self._zygote.child(name, patience=patience) as child:
            left = max(ends - time.monotonic(), 0.1)
            async with asyncio.timeout(left + GRACE):
                await _begin(child, request.model_copy(update={"seconds": left}), course)
                return await self._follow(run, child, course, report)

    async def _follow(self, run: Claimed, child: Child, course: Course, report: ReportProgress) -> Told:
        """Listen until the child has concluded.

        Raises:
            ModelFailed, _Killed
        """
        while True:
            try:
                message = await child.receive()
            except BadFrame as error:
                raise ModelFailed(ENGINE_FAILED, f"a run talked nonsense: {error}", course.use()) from error
            except Closed as error:
                raise await _death(child, course) from error
            match message:
                case Step(number=number):
                    course.steps = number
                    percent = min(40 + 50 * number // (self._max_steps + 1), 95)
                    await report(percent, f"asking the model (answer {number})")
                case Checkpoint():
                    await self._record(run, message, course)
                    try:
                        await child.send(Recorded(number=message.number))
                    except Closed as error:
                        raise await _death(child, course) from error
                case ToolCalled():
                    course.called(message)
                case Usage():
                    course.usage = message
                case Failed(word=word, detail=detail):
                    raise ModelFailed(word, detail, course.use())
                case Concluded(opinion=opinion, repaired=repaired):
                    return Told(opinion, list(course.evidence.values()), course.use(repaired=repaired))

    async def _record(self, run: Claimed, point: Checkpoint, course: Course) -> None:
        """Store what the run can go on from; a run that cannot be recorded goes on all the same.

        Raises:
            ModelFailed: a later run has taken over, or the investigation has ended.
        """
        try:
            packed = await asyncio.to_thread(course.packed)
            keeping = await self._keep(run, point, packed)
        except (StorageUnavailable, TooLarge) as error:
            _log.info("step %d of %s is not recorded: %s", point.number, run.id, error)
            return
        if keeping is Keeping.no_say:
            raise ModelFailed(ENGINE_FAILED, "the run has no say any more", course.use())

    async def _keep(self, run: Claimed, point: Checkpoint, course: bytes) -> Keeping:
        if point.messages is not None:
            return await self._steps.asks(
                run,
                number=point.number,
                phase=point.phase,
                model=_under(self._access.model),
                messages=point.messages,
                course=course,
            )
        return await self._steps.answered(run, number=point.number, answer=point.answer or b"", course=course)

    def _request(
        self, run: Claimed, interim: Verdict, token: str, last: LastStep | None, course: Course
    ) -> RunRequest:
        asked, results = run.request, interim.results
        return RunRequest(
            run=run.id,
            seconds=1.0,  # told when the process is there
            max_steps=self._max_steps,
            alert=Alert(
                name=asked.alert_name,
                priority=run.priority.value,
                namespace=asked.namespace,
                starts_at=asked.starts_at.isoformat() if asked.starts_at else None,
                labels=asked.labels,
                annotations=asked.annotations,
            ),
            head_start=HeadStart(
                target=results.target,
                summary=interim.summary,
                causes=[one for one in (results.cause, *results.contributing) if one is not None],
                evidence=fitting(results.evidence, HEAD_START),
                not_looked_at=results.not_looked_at,
            ),
            model=self._access,
            context=ContextAccess(
                url=self._context_url,
                token=token,
                timeout_s=self._tool_timeout,
                cluster=results.target.cluster if results.target else "local",
                priority=asked.priority,
            ),
            resume=None if last is None else resume(last, course),
        )


def _under(model: str) -> str:
    """What a step is kept under: with another model, SDK, prompt or release's protocol a run begins anew."""
    return f"{model} {SDK} {PROMPT_VERSION} {PROTOCOL}"


async def _begin(child: Child, request: RunRequest, course: Course) -> None:
    try:
        await child.send(request)
    except BadFrame as error:
        raise ModelFailed(TOO_LARGE, f"the alert is too large: {error}", course.use()) from error
    except Closed as error:
        raise await _death(child, course) from error


async def _death(child: Child, course: Course) -> Exception:
    """A process that ended by itself would do so again; one that a signal ended is followed by another."""
    said, by_signal = await _how_it_died(child)
    return _Killed(said) if by_signal else ModelFailed(ENGINE_FAILED, said, course.use())


async def _how_it_died(child: Child) -> tuple[str, bool]:
    """In words, and whether it was a signal."""
    try:
        ended = await asyncio.wait_for(asyncio.shield(child.end), 2.0)
    except TimeoutError:
        return "a run closed its connection", True
    if ended.code == os.EX_OSERR:
        return "no process could be forked for the run: too little memory, or too many processes", False
    if ended.code < 0:
        try:
            name = signal.Signals(-ended.code).name
        except ValueError:
            name = f"signal {-ended.code}"
        return f"the run's process was ended by {name}", True
    return f"the run's process ended with code {ended.code}", False
