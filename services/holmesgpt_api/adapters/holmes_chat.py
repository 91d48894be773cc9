"""Has HolmesGPT answer one question of a chat, in a child of the engine. Fulfils `domain.chat.ports.Talker`.

Its steps are stored as an investigation's are, from the second on: the first one is made of what the question's row holds.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from libs.auth.errors import AuthError
from libs.contracts.chat import ChatEvent, ChatEventKind
from libs.redaction import Redactor
from services.holmesgpt_api.adapters.account import Account
from services.holmesgpt_api.adapters.going_on import Recording, going_on, under
from services.holmesgpt_api.adapters.holmes import HEAD_START
from services.holmesgpt_api.adapters.residents import Child, reach
from services.holmesgpt_api.adapters.run_course import Course, fitting, resume, taken_up
from services.holmesgpt_api.adapters.running import (
    GRACE,
    Frame,
    authorities,
    begin,
    grant,
    heard,
    recorded,
    unasked,
)
from services.holmesgpt_api.adapters.steps import LastStep, Steps
from services.holmesgpt_api.adapters.zygote import Zygote
from services.holmesgpt_api.domain.budget import UNLIMITED, Limits, Purse
from services.holmesgpt_api.domain.chat.history import fold
from services.holmesgpt_api.domain.chat.ports import Report
from services.holmesgpt_api.domain.chat.prose import check
from services.holmesgpt_api.domain.chat.replies import of_a_model
from services.holmesgpt_api.domain.chat.session import Reply, TakenTurn
from services.holmesgpt_api.domain.clearing import cleared
from services.holmesgpt_api.domain.clusters import UNKNOWN_CLUSTER, UNNAMED, Clusters, why_unknown
from services.holmesgpt_api.domain.model import ENGINE_UNAVAILABLE, ModelFailed
from services.holmesgpt_api.domain.roster import Roster
from services.holmesgpt_api.domain.triage import NO_MODEL
from services.holmesgpt_api.domain.verdict import Verdict
from services.holmesgpt_api.engine.chat_prompt import history_room
from services.holmesgpt_api.engine.messages import (
    Answered,
    Checkpoint,
    ContextAccess,
    Exchange,
    HeadStart,
    ModelAccess,
    ModelAsked,
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
        roster: Roster,
        *,
        clusters: Clusters,
        context_ca_file: Path | None = None,
        mint: MintForTurn,
        steps: Steps,
        max_steps: int,
        tool_timeout: timedelta,
        start_within: timedelta,
        observe: Callable[[ModelAsked], None] = lambda _: None,
        purse: Purse,
        limits: Callable[[], Limits] = lambda: UNLIMITED,
    ) -> None:
        """`observe`: hears of every request to a model."""
        self._zygote, self._roster, self._mint, self._observe = zygote, roster, mint, observe
        self._purse, self._limits = purse, limits
        self._steps, self._clusters, self._max_steps = steps, clusters, max_steps
        self._context_ca_file = context_ca_file
        self._tool_timeout = tool_timeout.total_seconds()
        self._start_within = start_within.total_seconds()

    async def talk(self, taken: TakenTurn, *, within: timedelta, report: Report) -> Reply:
        chain = self._roster.chain()
        if not chain:
            raise ModelFailed(NO_MODEL, "the configuration names no model any more")
        where = self._access(taken)
        key = os.urandom(16)
        course = Course({one.name: one.model for one in chain}, time.monotonic(), Redactor(key))
        try:
            where = where.model_copy(update={"token": self._mint(taken, within)})
        except AuthError as error:
            # Without it the tools would ask as whoever this machine is trusted to be.
            raise ModelFailed(ENGINE_UNAVAILABLE, str(error)) from error
        name = f"{taken.id}.{taken.fence}"
        who = reach(
            tenant=taken.owner.tenant,
            asker=taken.owner.name,
            namespaces=taken.reads,
            models=chain,
            context_url=where.url,
        )
        frame = Frame.begun(
            course, self._purse, self._limits(), name=name, tenant=taken.owner.tenant, within=within
        )
        recording = Recording(self._steps, taken, under(chain, course.prompt))

        async def once(number: int, last: LastStep | None) -> Answered:
            patience = min(self._start_within, frame.left)
            async with self._zygote.child(f"{name}.{number}", patience=patience, reach=who) as child:
                left, course = frame.left, frame.course
                async with asyncio.timeout(left + GRACE):
                    request = await asyncio.to_thread(
                        self._request, taken, where, left, chain, key, course, who, last
                    )
                    await begin(child, request, course)
                    return await self._follow(child, course, frame.account, recording, report)

        async with frame.accounted():
            answered = await going_on(
                recording,
                frame,
                lambda last: taken_up(course.models, course.redactor, last),
                once,
                begins=taken.fence == 1,
            )
        return _checked(answered, taken, frame.course)

    async def _follow(
        self, child: Child, course: Course, account: Account, recording: Recording, report: Report
    ) -> Answered:
        """Listen until the child has answered. Raises ModelFailed, Spent."""
        while True:
            match await heard(child, course):
                case Step(number=number) as step:
                    course.steps = number
                    await report(_event(ChatEventKind.step, f"asking the model (answer {number})"))
                    await account.step(step)
                    await grant(child, number)
                case Checkpoint() as point:
                    await recording.record(point, course)
                    await recorded(child, point.number)
                case ToolCalled() as called:
                    await asyncio.to_thread(course.called, called)
                    await report(_of_tool(called, course.redactor))
                case ModelAsked() as asked:
                    course.asked(asked)
                    self._roster.heard(asked)
                    self._observe(asked)
                    await account.asked(asked)
                case Usage() as usage:
                    course.usage = usage
                case Answered() as answered:
                    return answered.model_copy(update={"text": course.redactor.text(answered.text)})
                case other:
                    raise unasked(other, course)

    def _access(self, taken: TakenTurn) -> ContextAccess:
        """Where its tools ask, still without the token.

        Raises:
            ModelFailed: nobody has configured the cluster that its session is about.
        """
        route = self._clusters.of(taken.cluster)
        if route.address is None:
            raise ModelFailed(UNKNOWN_CLUSTER, why_unknown(self._clusters, route.cluster, taken.reads))
        target = taken.verdict.results.target if taken.verdict else None
        return ContextAccess(
            url=route.address,
            timeout_s=self._tool_timeout,
            cluster=target.cluster if target else route.cluster or UNNAMED,
            namespaces=list(taken.reads),
        )

    def _request(
        self,
        taken: TakenTurn,
        where: ContextAccess,
        seconds: float,
        chain: list[ModelAccess],
        key: bytes,
        course: Course,
        who: str,
        last: LastStep | None,
    ) -> TalkRequest:
        """Raises Unredactable: something cannot be cleared of secrets, so that nothing is sent."""
        access, redactor = chain[0], course.redactor
        room = history_room(context_tokens=access.context_tokens, output_tokens=access.output_tokens)
        told = fold(taken.earlier, room=room, gone=taken.folded)
        return TalkRequest(
            run=taken.id,
            reach=who,
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
            fallbacks=chain[1:],
            metered=True,
            context=where.model_copy(update={"authorities": authorities(self._context_ca_file)}),
            usage=course.usage,
            resume=None if last is None else resume(last, course),
        )


def _head_start(verdict: Verdict) -> HeadStart:
    results = verdict.results
    return HeadStart(
        target=results.target,
        summary=verdict.summary,
        causes=[one for one in (results.cause, *results.contributing) if one is not None],
        evidence=fitting(results.evidence, HEAD_START),
        not_looked_at=results.not_looked_at,
    )


def _event(kind: ChatEventKind, text: str) -> ChatEvent:
    return ChatEvent(number=0, kind=kind, text=text)


def _of_tool(called: ToolCalled, redactor: Redactor) -> ChatEvent:
    said = f"{called.tool}: {len(called.evidence)} facts" if called.ok else f"{called.tool}: {called.detail}"
    return ChatEvent(
        number=0,
        kind=ChatEventKind.tool,
        text=redactor.text(said),
        tool=called.tool[:40],
        arguments=redactor.of({name: str(value) for name, value in called.arguments.items()}),
        ok=called.ok,
        seconds=called.seconds,
    )


def _checked(answered: Answered, taken: TakenTurn, course: Course) -> Reply:
    known = {item.id: item for item in taken.verdict.results.evidence} if taken.verdict else {}
    known = {**course.evidence, **known}
    familiar = [one.command for one in taken.verdict.recommendations if one.command] if taken.verdict else []
    checked = check(answered.text, known, familiar=familiar)
    return of_a_model(checked, known, taken, course.use(), cut_off=answered.cut_off)
