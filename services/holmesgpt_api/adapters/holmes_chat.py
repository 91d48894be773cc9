"""Has HolmesGPT answer one question of a chat, in a child of the engine. Fulfils `domain.chat.ports.Talker`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from datetime import timedelta

from pydantic import ValidationError

from libs.auth.errors import AuthError
from libs.contracts.chat import ChatEvent, ChatEventKind
from libs.redaction import Redactor, Unredactable
from services.holmesgpt_api.adapters.holmes import GRACE, Course, fitting, how_it_died
from services.holmesgpt_api.adapters.zygote import Away, Child, Zygote
from services.holmesgpt_api.domain.chat.history import fold
from services.holmesgpt_api.domain.chat.ports import Report
from services.holmesgpt_api.domain.chat.prose import check
from services.holmesgpt_api.domain.chat.replies import of_a_model
from services.holmesgpt_api.domain.chat.session import Reply, TakenTurn
from services.holmesgpt_api.domain.clearing import cleared
from services.holmesgpt_api.domain.model import (
    ENGINE_FAILED,
    ENGINE_UNAVAILABLE,
    REDACTION_FAILED,
    TIMEOUT,
    TOO_LARGE,
    ModelFailed,
)
from services.holmesgpt_api.domain.verdict import Verdict
from services.holmesgpt_api.engine.chat_prompt import history_room
from services.holmesgpt_api.engine.framing import BadFrame, Closed
from services.holmesgpt_api.engine.messages import (
    Answered,
    Concluded,
    ContextAccess,
    Exchange,
    Failed,
    HeadStart,
    ModelAccess,
    Step,
    TalkRequest,
    ToolCalled,
    Usage,
)

MintForTurn = Callable[[TakenTurn, timedelta], str]
"""The token of a question's tools: the asker's name, tenant and namespaces. Raises AuthError."""


class HolmesTalker:
    def __init__(
        self,
        zygote: Zygote,
        access: ModelAccess,
        *,
        context_url: str,
        mint: MintForTurn,
        max_steps: int,
        tool_timeout: timedelta,
        start_within: timedelta,
    ) -> None:
        self._zygote, self._access, self._mint = zygote, access, mint
        self._context_url, self._max_steps = context_url, max_steps
        self._tool_timeout = tool_timeout.total_seconds()
        self._start_within = start_within.total_seconds()

    async def talk(self, taken: TakenTurn, *, within: timedelta, report: Report) -> Reply:
        key = os.urandom(16)
        course = Course(self._access.model, time.monotonic(), Redactor(key))
        ends = course.began + within.total_seconds()
        try:
            token = self._mint(taken, within)
        except AuthError as error:
            # Without it the tools would ask as whoever this machine is trusted to be.
            raise ModelFailed(ENGINE_UNAVAILABLE, str(error)) from error
        patience = min(self._start_within, within.total_seconds())
        try:
            async with self._zygote.child(f"{taken.id}.{taken.fence}", patience=patience) as child:
                left = max(ends - time.monotonic(), 0.1)
                async with asyncio.timeout(left + GRACE):
                    await _begin(child, self._request(taken, token, left, key, course.redactor), course)
                    text = await _follow(child, course, report)
        except Away as error:
            raise ModelFailed(ENGINE_UNAVAILABLE, str(error), course.use()) from error
        except (Unredactable, ValidationError, UnicodeError) as error:
            # What could not be looked at has not been told to anybody, and is not repeated here.
            raise ModelFailed(REDACTION_FAILED, type(error).__name__, course.use()) from None
        except TimeoutError as error:
            said = f"no answer within {within.total_seconds():.0f} s"
            raise ModelFailed(TIMEOUT, said, course.use()) from error
        return _checked(text, taken, course)

    def _request(
        self, taken: TakenTurn, token: str, seconds: float, key: bytes, redactor: Redactor
    ) -> TalkRequest:
        """Raises Unredactable: something cannot be cleared of secrets, so that nothing is sent."""
        access = self._access
        room = history_room(context_tokens=access.context_tokens, output_tokens=access.output_tokens)
        told = fold(taken.earlier, room=room, gone=taken.folded)
        target = taken.verdict.results.target if taken.verdict else None
        return TalkRequest(
            run=taken.id,
            redaction_key=key.hex(),
            seconds=seconds,
            max_steps=self._max_steps,
            question=redactor.text(taken.message),
            namespace=taken.namespace,
            earlier=[
                cleared(Exchange(question=one.question, answer=one.answer), redactor) for one in told.turns
            ],
            folded=[redactor.text(one) for one in told.folded],
            left_out=told.left_out,
            head_start=cleared(_head_start(taken.verdict), redactor) if taken.verdict else None,
            model=access,
            context=ContextAccess(
                url=self._context_url,
                token=token,
                timeout_s=self._tool_timeout,
                cluster=target.cluster if target else "local",
                namespaces=list(taken.reads),
            ),
        )


def _head_start(verdict: Verdict) -> HeadStart:
    results = verdict.results
    return HeadStart(
        target=results.target,
        summary=verdict.summary,
        causes=[one for one in (results.cause, *results.contributing) if one is not None],
        evidence=fitting(results.evidence),
        not_looked_at=results.not_looked_at,
    )


async def _begin(child: Child, request: TalkRequest, course: Course) -> None:
    try:
        await child.send(request)
    except BadFrame as error:
        raise ModelFailed(TOO_LARGE, f"the question is too large: {error}", course.use()) from error
    except Closed as error:
        raise ModelFailed(ENGINE_FAILED, await how_it_died(child), course.use()) from error


async def _follow(child: Child, course: Course, report: Report) -> str:
    """Listen until the child has answered. Raises ModelFailed."""
    while True:
        try:
            message = await child.receive()
        except BadFrame as error:
            raise ModelFailed(ENGINE_FAILED, f"a run talked nonsense: {error}", course.use()) from error
        except Closed as error:
            raise ModelFailed(ENGINE_FAILED, await how_it_died(child), course.use()) from error
        match message:
            case Step(number=number):
                course.steps = number
                await report(_event(ChatEventKind.step, f"asking the model (answer {number})"))
            case ToolCalled() as called:
                course.called(called)
                await report(_of_tool(called))
            case Usage():
                course.usage = message
            case Failed(word=word, detail=detail):
                raise ModelFailed(word, course.redactor.text(detail), course.use())
            case Answered(text=text):
                return course.redactor.text(text)
            case Concluded():
                raise ModelFailed(ENGINE_FAILED, "a run concluded what it was not asked", course.use())


def _event(kind: ChatEventKind, text: str) -> ChatEvent:
    return ChatEvent(number=0, kind=kind, text=text)


def _of_tool(called: ToolCalled) -> ChatEvent:
    said = f"{called.tool}: {len(called.evidence)} facts" if called.ok else f"{called.tool}: {called.detail}"
    return ChatEvent(
        number=0,
        kind=ChatEventKind.tool,
        text=said,
        tool=called.tool[:40],
        arguments={name: str(value) for name, value in called.arguments.items()},
        ok=called.ok,
        seconds=called.seconds,
    )


def _checked(text: str, taken: TakenTurn, course: Course) -> Reply:
    known = {item.id: item for item in taken.verdict.results.evidence} if taken.verdict else {}
    known = {**course.evidence, **known}
    familiar = [one.command for one in taken.verdict.recommendations if one.command] if taken.verdict else []
    return of_a_model(check(text, known, familiar=familiar), known, taken, course.use())
