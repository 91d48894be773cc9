"""Has HolmesGPT ask a model, in a child of the engine. Fulfils `domain.ports.Model`."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from libs.auth.errors import AuthError
from libs.contracts.course import EventName
from libs.contracts.evidence import EvidenceItem
from libs.redaction import Redactor, Unredactable
from services.holmesgpt_api.adapters.account import Account
from services.holmesgpt_api.adapters.zygote import Away, Child, Zygote
from services.holmesgpt_api.domain.budget import RUN_SECONDS, UNLIMITED, Limits, Purse, Spent
from services.holmesgpt_api.domain.clearing import cleared, genuine
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.model import (
    ENGINE_FAILED,
    ENGINE_UNAVAILABLE,
    REDACTION_FAILED,
    TIMEOUT,
    TOO_LARGE,
    ModelFailed,
    Told,
)
from services.holmesgpt_api.domain.ports import ReportProgress
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.roster import Roster
from services.holmesgpt_api.domain.toolsets import Toolsets
from services.holmesgpt_api.domain.triage import NO_MODEL
from services.holmesgpt_api.domain.verdict import ModelRefusal, ModelUse, ToolUse, Verdict
from services.holmesgpt_api.engine.framing import BadFrame, Closed
from services.holmesgpt_api.engine.messages import (
    PROMPT_VERSION,
    SDK,
    Alert,
    Concluded,
    ContextAccess,
    Failed,
    Granted,
    HeadStart,
    Heard,
    ModelAccess,
    ModelAsked,
    Opinion,
    Probed,
    ProbeRequest,
    RunRequest,
    Step,
    TalkRequest,
    ToolCalled,
    Usage,
)

Mint = Callable[[Claimed, timedelta], str]
"""The token of a run's tools. Raises AuthError where none can be made."""

GRACE = 1.0
"""Seconds a child has beyond its time to say itself why there is no conclusion."""

HEAD_START = 1024 * 1024
"""Bytes of evidence in a request; what triage found comes in the order of its weight."""

TOOLS_KEPT = 60
FACTS_KEPT = 2_000
"""Of one run; a child that sends more is not believed to have shown them."""

REFUSALS_KEPT = 20

_log = logging.getLogger(__name__)


@dataclass
class Course:
    """What is known of a run while it goes on."""

    models: dict[str, str]
    """Name to what the library calls it, in the order in which they are asked."""
    began: float
    redactor: Redactor
    usage: Usage = field(default_factory=Usage)
    steps: int = 0
    dropped: int = 0
    tools: list[ToolUse] = field(default_factory=list)
    evidence: dict[str, EvidenceItem] = field(default_factory=dict)
    answered_by: list[str] = field(default_factory=list)
    refusals: list[ModelRefusal] = field(default_factory=list)

    @property
    def model(self) -> str:
        """The one that answered last; before any has, the first one in line."""
        name = self.answered_by[-1] if self.answered_by else next(iter(self.models))
        return self.models.get(name, name)

    def asked(self, one: ModelAsked) -> None:
        if one.word is None:
            self.answered_by.append(one.model)
        elif len(self.refusals) < REFUSALS_KEPT:
            self.refusals.append(ModelRefusal(model=one.model, word=one.word, detail=one.detail))

    def use(self, *, repaired: bool = False) -> ModelUse:
        return ModelUse(
            model=self.model,
            sdk=SDK,
            prompt=PROMPT_VERSION,
            steps=self.steps,
            requests=self.usage.requests,
            prompt_tokens=self.usage.prompt_tokens,
            completion_tokens=self.usage.completion_tokens,
            cost_usd=self.usage.cost_usd,
            seconds=round(time.monotonic() - self.began, 3),
            repaired=repaired,
            dropped=self.dropped,
            tools=self.tools,
            answered_by=self.answered_by,
            refusals=self.refusals,
        )

    def called(self, tool: ToolCalled) -> None:
        if len(self.tools) < TOOLS_KEPT:
            arguments = self.redactor.of({name: str(value) for name, value in tool.arguments.items()})
            self.tools.append(
                ToolUse(
                    tool=tool.tool,
                    arguments=arguments,
                    ok=tool.ok,
                    detail=self.redactor.text(tool.detail),
                    seconds=tool.seconds,
                )
            )
        kept, dropped = genuine(tool.evidence)
        self.dropped += dropped
        for item in kept:
            if len(self.evidence) < FACTS_KEPT:
                self.evidence.setdefault(item.id, cleared(item, self.redactor))

    def told(self, concluded: Concluded) -> Told:
        opinion = Opinion.model_validate(self.redactor.of(concluded.opinion.model_dump(mode="json")))
        return Told(opinion, list(self.evidence.values()), self.use(repaired=concluded.repaired))


class Holmes:
    def __init__(
        self,
        zygote: Zygote,
        roster: Roster,
        *,
        context_url: str,
        mint: Mint,
        max_steps: int,
        tool_timeout: timedelta,
        start_within: timedelta,
        observe: Callable[[ModelAsked], None] = lambda _: None,
        purse: Purse,
        limits: Callable[[], Limits] = lambda: UNLIMITED,
        toolsets: Callable[[], Toolsets] = Toolsets,
    ) -> None:
        """`observe`: hears of every request to a model."""
        self._purse, self._limits, self._toolsets = purse, limits, toolsets
        self._zygote, self._roster, self._mint, self._observe = zygote, roster, mint, observe
        self._context_url, self._max_steps = context_url, max_steps
        self._tool_timeout = tool_timeout.total_seconds()
        self._start_within = start_within.total_seconds()
        self._probes = itertools.count(1)

    async def ask(
        self, run: Claimed, interim: Verdict, *, within: timedelta, report_progress: ReportProgress
    ) -> Told:
        chain = self._roster.chain()
        if not chain:
            raise ModelFailed(NO_MODEL, "the configuration names no model any more")
        limits, key = self._limits(), os.urandom(16)
        course = Course({one.name: one.model for one in chain}, time.monotonic(), Redactor(key))
        allowed = within if limits.run_seconds is None else min(within, limits.run_seconds)
        ends = course.began + allowed.total_seconds()
        try:
            token = self._mint(run, within)
        except AuthError as error:
            # Without it the tools would ask as whoever this machine is trusted to be, and read what the
            # asker may not.
            raise ModelFailed(ENGINE_UNAVAILABLE, str(error)) from error
        name = f"{run.id}.{run.fence}"
        account = Account(self._purse, limits, run=name, tenant=run.tenant, until=ends)
        patience = min(self._start_within, allowed.total_seconds())
        try:
            async with self._zygote.child(name, patience=patience) as child:
                left = max(ends - time.monotonic(), 0.1)
                async with asyncio.timeout(left + GRACE):
                    request = self._request(run, interim, token, left, chain, key, course.redactor)
                    course.evidence = {item.id: item for item in request.head_start.evidence}
                    await begin(child, request, course)
                    return await self._follow(child, course, account, report_progress)
        except Away as error:
            raise ModelFailed(ENGINE_UNAVAILABLE, str(error), course.use()) from error
        except Spent as error:
            raise ModelFailed(error.word, error.detail, course.use()) from error
        except (Unredactable, ValidationError, UnicodeError) as error:
            # What could not be looked at has not been told to anybody, and is not repeated here.
            raise ModelFailed(REDACTION_FAILED, type(error).__name__, course.use()) from None
        except TimeoutError as error:
            raise too_late(within, allowed, course) from error
        except ModelFailed as error:
            if error.word == TIMEOUT and time.monotonic() >= ends - GRACE:
                raise too_late(within, allowed, course, error.detail) from error
            raise
        finally:
            await account.close()

    async def _follow(self, child: Child, course: Course, account: Account, report: ReportProgress) -> Told:
        """Listen until the child has concluded.

        Raises:
            ModelFailed, Spent
        """
        progress, stage = 40, "asking the model"
        while True:
            match await heard(child, course):
                case Step(number=number) as step:
                    course.steps = number
                    progress = min(40 + 50 * number // (self._max_steps + 1), 95)
                    stage = f"asking the model (answer {number})"
                    await report(progress, stage, Happening(EventName.step, {"number": number}))
                    await account.step(step)
                    await grant(child, number)
                case ToolCalled() as called:
                    course.called(called)
                    await report(progress, stage, Happening(EventName.tool, _told(called)))
                case ModelAsked() as asked:
                    course.asked(asked)
                    self._heard(asked)
                    await account.asked(asked)
                case Usage() as usage:
                    course.usage = usage
                case Concluded() as concluded:
                    return course.told(concluded)
                case other:
                    raise ModelFailed(
                        ENGINE_FAILED, f"a run said what it was not asked: {other.type}", course.use()
                    )

    def _heard(self, asked: ModelAsked) -> None:
        self._roster.heard(asked)
        self._observe(asked)

    async def probe(self, model: ModelAccess, *, within: timedelta) -> None:
        """Find out whether a model answers and calls tools, and tell the roster; however it ends."""
        number, seconds = next(self._probes), within.total_seconds()
        try:
            async with (
                asyncio.timeout(seconds + GRACE),
                self._zygote.child(f"probe.{number}", patience=seconds) as child,
            ):
                await child.send(ProbeRequest(seconds=seconds, model=model))
                while True:
                    match await child.receive():
                        case ModelAsked() as asked:
                            self._heard(asked)
                        case Probed(tools=tools):
                            self._roster.probed(model.name, tools=tools)
                            return
                        case Failed():
                            return
        except (Away, Closed, BadFrame, TimeoutError) as error:
            _log.info("model %s was not probed: %s", model.name, error or type(error).__name__)

    def _request(
        self,
        run: Claimed,
        interim: Verdict,
        token: str,
        seconds: float,
        chain: list[ModelAccess],
        key: bytes,
        redactor: Redactor,
    ) -> RunRequest:
        """Raises Unredactable."""
        asked, results = run.request, interim.results
        return RunRequest(
            run=run.id,
            redaction_key=key.hex(),
            seconds=seconds,
            max_steps=self._max_steps,
            frozen=run.frozen is not None,
            metered=True,
            tools=self._toolsets().tools(asked.toolsets),
            alert=cleared(
                Alert(
                    name=asked.alert_name,
                    priority=run.priority.value,
                    namespace=asked.namespace,
                    starts_at=asked.starts_at.isoformat() if asked.starts_at else None,
                    labels=asked.labels,
                    annotations=asked.annotations,
                ),
                redactor,
            ),
            head_start=cleared(
                HeadStart(
                    target=results.target,
                    summary=interim.summary,
                    causes=[one for one in (results.cause, *results.contributing) if one is not None],
                    evidence=fitting(results.evidence),
                    not_looked_at=results.not_looked_at,
                ),
                redactor,
            ),
            model=chain[0],
            fallbacks=chain[1:],
            context=ContextAccess(
                url=self._context_url,
                token=token,
                timeout_s=self._tool_timeout,
                cluster=results.target.cluster if results.target else "local",
                priority=asked.priority,
                namespaces=list(run.reads),
            ),
        )


def fitting(items: list[EvidenceItem]) -> list[EvidenceItem]:
    room, kept = HEAD_START, []
    for item in items:
        room -= len(item.model_dump_json())
        if room < 0:
            break
        kept.append(item)
    return kept


async def begin(child: Child, request: RunRequest | TalkRequest, course: Course) -> None:
    try:
        await child.send(request)
    except BadFrame as error:
        raise ModelFailed(TOO_LARGE, f"the question is too large: {error}", course.use()) from error
    except Closed as error:
        raise ModelFailed(ENGINE_FAILED, await how_it_died(child), course.use()) from error


async def heard(child: Child, course: Course) -> Heard:
    """The child's next word. Raises ModelFailed: it has failed, or talks no more."""
    try:
        message = await child.receive()
    except BadFrame as error:
        raise ModelFailed(ENGINE_FAILED, f"a run talked nonsense: {error}", course.use()) from error
    except Closed as error:
        raise ModelFailed(ENGINE_FAILED, await how_it_died(child), course.use()) from error
    if isinstance(message, Failed):
        raise ModelFailed(message.word, course.redactor.text(message.detail), course.use())
    return message


def too_late(within: timedelta, allowed: timedelta, course: Course, why: str = "") -> ModelFailed:
    said = f"no conclusion within {allowed.total_seconds():.0f} s"
    word = TIMEOUT if allowed == within else RUN_SECONDS
    return ModelFailed(word, f"{said}: {why}" if why else said, course.use())


async def grant(child: Child, step: int) -> None:
    # One that has died meanwhile says so at the next word that is waited for.
    with suppress(Closed):
        await child.send(Granted(step=step))


def _told(message: ToolCalled) -> dict[str, Any]:
    """A tool's answer as an event: not what it showed, which the verdict cites."""
    return {
        "tool": message.tool[:100],
        "ok": message.ok,
        "seconds": message.seconds,
        "evidence": len(message.evidence),
    }


async def how_it_died(child: Child) -> str:
    try:
        ended = await asyncio.wait_for(asyncio.shield(child.end), 2.0)
    except TimeoutError:
        return "a run closed its connection"
    if ended.code == os.EX_OSERR:
        return "no process could be forked for the run: too little memory, or too many processes"
    if ended.code < 0:
        try:
            name = signal.Signals(-ended.code).name
        except ValueError:
            name = f"signal {-ended.code}"
        return f"the run's process was ended by {name}"
    return f"the run's process ended with code {ended.code}"
