"""Has HolmesGPT ask a model, in a child of the engine. Fulfils `domain.ports.Model`."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from libs.auth.errors import AuthError
from libs.contracts.course import EventName
from libs.contracts.evidence import EvidenceItem
from libs.redaction import Redactor, Unredactable
from services.holmesgpt_api.adapters.zygote import Away, Child, Zygote
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
from services.holmesgpt_api.domain.verdict import ModelUse, ToolUse, Verdict
from services.holmesgpt_api.engine.framing import BadFrame, Closed
from services.holmesgpt_api.engine.messages import (
    PROMPT_VERSION,
    SDK,
    Alert,
    Answered,
    Concluded,
    ContextAccess,
    Failed,
    HeadStart,
    ModelAccess,
    Opinion,
    RunRequest,
    Step,
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


@dataclass
class Course:
    """What is known of a run while it goes on."""

    model: str
    began: float
    redactor: Redactor
    usage: Usage = field(default_factory=Usage)
    steps: int = 0
    dropped: int = 0
    tools: list[ToolUse] = field(default_factory=list)
    evidence: dict[str, EvidenceItem] = field(default_factory=dict)

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
        access: ModelAccess,
        *,
        context_url: str,
        mint: Mint,
        max_steps: int,
        tool_timeout: timedelta,
        start_within: timedelta,
    ) -> None:
        self._zygote, self._access, self._mint = zygote, access, mint
        self._context_url, self._max_steps = context_url, max_steps
        self._tool_timeout = tool_timeout.total_seconds()
        self._start_within = start_within.total_seconds()

    async def ask(
        self, run: Claimed, interim: Verdict, *, within: timedelta, report_progress: ReportProgress
    ) -> Told:
        key = os.urandom(16)
        course = Course(self._access.model, time.monotonic(), Redactor(key))
        ends = course.began + within.total_seconds()
        try:
            token = self._mint(run, within)
        except AuthError as error:
            # Without it the tools would ask as whoever this machine is trusted to be, and read what the
            # asker may not.
            raise ModelFailed(ENGINE_UNAVAILABLE, str(error)) from error
        patience = min(self._start_within, within.total_seconds())
        try:
            async with self._zygote.child(f"{run.id}.{run.fence}", patience=patience) as child:
                left = max(ends - time.monotonic(), 0.1)
                async with asyncio.timeout(left + GRACE):
                    request = self._request(run, interim, token, left, key, course.redactor)
                    course.evidence = {item.id: item for item in request.head_start.evidence}
                    await _begin(child, request, course)
                    return await _follow(child, course, report_progress, self._max_steps)
        except Away as error:
            raise ModelFailed(ENGINE_UNAVAILABLE, str(error), course.use()) from error
        except (Unredactable, ValidationError, UnicodeError) as error:
            # What could not be looked at has not been told to anybody, and is not repeated here.
            raise ModelFailed(REDACTION_FAILED, type(error).__name__, course.use()) from None
        except TimeoutError as error:
            said = f"no conclusion within {within.total_seconds():.0f} s"
            raise ModelFailed(TIMEOUT, said, course.use()) from error

    def _request(
        self, run: Claimed, interim: Verdict, token: str, seconds: float, key: bytes, redactor: Redactor
    ) -> RunRequest:
        """Raises Unredactable."""
        asked, results = run.request, interim.results
        return RunRequest(
            run=run.id,
            redaction_key=key.hex(),
            seconds=seconds,
            max_steps=self._max_steps,
            frozen=run.frozen is not None,
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
            model=self._access,
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


async def _begin(child: Child, request: RunRequest, course: Course) -> None:
    try:
        await child.send(request)
    except BadFrame as error:
        raise ModelFailed(TOO_LARGE, f"the alert is too large: {error}", course.use()) from error
    except Closed as error:
        raise ModelFailed(ENGINE_FAILED, await how_it_died(child), course.use()) from error


async def _follow(child: Child, course: Course, report: ReportProgress, most: int) -> Told:
    """Listen until the child has concluded.

    Raises:
        ModelFailed
    """
    progress, stage = 40, "asking the model"
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
                progress = min(40 + 50 * number // (most + 1), 95)
                stage = f"asking the model (answer {number})"
                await report(progress, stage, Happening(EventName.step, {"number": number}))
            case ToolCalled():
                course.called(message)
                await report(progress, stage, Happening(EventName.tool, _told(message)))
            case Usage():
                course.usage = message
            case Failed(word=word, detail=detail):
                raise ModelFailed(word, course.redactor.text(detail), course.use())
            case Concluded():
                return course.told(message)
            case Answered():
                raise ModelFailed(ENGINE_FAILED, "a run answered what it was not asked", course.use())


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
