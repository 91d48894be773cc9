"""Has HolmesGPT answer one question of a chat, in a child of the engine. Fulfils `domain.chat.ports.Talker`."""

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
from services.holmesgpt_api.adapters.holmes import HEAD_START
from services.holmesgpt_api.adapters.residents import Child, reach
from services.holmesgpt_api.adapters.run_course import Course, fitting
from services.holmesgpt_api.adapters.running import GRACE, Died, Frame, begin, grant, heard, unasked
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
        self._clusters, self._max_steps = clusters, max_steps
        self._context_ca_file = None if context_ca_file is None else str(context_ca_file)
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
        patience = min(self._start_within, frame.left)

        async def once() -> Answered:
            async with self._zygote.child(name, patience=patience, reach=who) as child:
                left = frame.left
                async with asyncio.timeout(left + GRACE):
                    request = await asyncio.to_thread(
                        self._request, taken, where, left, chain, key, course.redactor, who
                    )
                    await begin(child, request, course)
                    return await self._follow(child, course, frame.account, report)

        async with frame.accounted():
            try:
                answered = await once()
            except Died as death:
                if not death.by_signal or course.steps:
                    raise
                # It had not begun: a process that waited was ended in the moment in which it was given the question.
                answered = await once()
        return _checked(answered, taken, course)

    async def _follow(self, child: Child, course: Course, account: Account, report: Report) -> Answered:
        """Listen until the child has answered. Raises ModelFailed, Spent."""
        while True:
            match await heard(child, course):
                case Step(number=number) as step:
                    course.steps = number
                    await report(_event(ChatEventKind.step, f"asking the model (answer {number})"))
                    await account.step(step)
                    await grant(child, number)
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
            ca_file=self._context_ca_file,
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
        redactor: Redactor,
        who: str,
    ) -> TalkRequest:
        """Raises Unredactable: something cannot be cleared of secrets, so that nothing is sent."""
        access = chain[0]
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
            context=where,
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
