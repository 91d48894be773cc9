"""Answers one run's questions to foreign systems, here in the service: where their credentials are, and a person's word.

The run's process only asks. It parses what a model writes and reads what strangers wrote, so it holds no credential,
and nothing it says can stand for an approval.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Protocol

from libs.contracts.course import EventName
from libs.contracts.evidence import EvidenceItem
from libs.redaction import Redactor
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.adapters import toolset_http
from services.holmesgpt_api.adapters.approvals import NoSay, PostgresApprovals, TooMany
from services.holmesgpt_api.adapters.outbound import NoAnswer
from services.holmesgpt_api.adapters.residents import Child
from services.holmesgpt_api.adapters.run_course import Course
from services.holmesgpt_api.adapters.toolbox import Toolbox
from services.holmesgpt_api.adapters.toolset_http import Answer
from services.holmesgpt_api.adapters.toolset_mcp import Changed
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.custom import reading
from services.holmesgpt_api.domain.custom.approval import Approval, State, idempotency_key, said
from services.holmesgpt_api.domain.custom.document import HttpTool
from services.holmesgpt_api.domain.custom.errors import Unfit
from services.holmesgpt_api.domain.custom.ready import Ready
from services.holmesgpt_api.domain.custom.words import plain
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.verdict import ToolUse
from services.holmesgpt_api.engine.foreign import CustomTool, ToolAnswered, ToolAsked
from services.holmesgpt_api.engine.framing import BadFrame, Closed
from services.holmesgpt_api.engine.messages import SAID, ModelAccess
from services.holmesgpt_api.engine.prompt import PER_TOKEN

_log = logging.getLogger(__name__)

MOST_CALLS = 30
"""Of foreign systems in one run."""

ROOM = 24_000
"""Characters of one answer at most, however large the model's window is."""

ENVELOPE = 300
"""Characters around an answer: its id, its source."""

MOST_AT_ONCE = 8
"""Questions of one run under way at the same time; its process asks one for each of its tools' threads."""

TO_CONCLUDE = timedelta(seconds=30)
"""Kept back of a run's time when a person is waited for: without a decision it still concludes."""

LEAST = 1.0
"""Seconds. With less left nothing is asked any more."""

NOT_CLEARED = "its answer could not be cleared of secrets, so it is not shown; ask for less"

OUTCOMES = (
    *("answered", "refused", "failed", "withdrawn", "not-approved"),
    *("busy", "unresolved", "forbidden-address", "unreachable", "timeout", "redirected", "too-large"),
    *("bad-content", "broken"),
)
"""How a call ends, for metrics: words of ours, and those of `outbound`."""

Tell = Callable[[Happening], Awaitable[None]]
Observe = Callable[[str, str], None]
"""Hears of each call: the toolset's type, and how it ended."""


@dataclass(frozen=True, slots=True)
class Found:
    word: str
    text: str
    evidence: EvidenceItem | None = None


class Abroad:
    """Of one run. `begin` each question; all are over when the block of `answering` is left."""

    def __init__(
        self,
        run: Claimed,
        tools: Mapping[str, Ready],
        toolbox: Toolbox,
        approvals: PostgresApprovals,
        redactor: Redactor,
        *,
        room: int,
        ends: float,
        patience: timedelta,
        observe: Observe,
    ) -> None:
        """Args:
        tools: those of this run, by the name a model calls them.
        room: characters of one answer.
        ends: of the run, on the monotonic clock.
        patience: longest wait for a person.
        """
        self._run, self._tools, self._toolbox, self._approvals = run, tools, toolbox, approvals
        self._redactor, self._room, self._ends, self._patience = redactor, room, ends, patience
        self._observe = observe
        self._few, self._calls = asyncio.Semaphore(MOST_AT_ONCE), 0

    def told(self) -> list[CustomTool]:
        """What the run's process is told of them: names and words, no address and no credential."""
        return [
            CustomTool(
                name=name,
                description=one.told,
                parameters=[
                    CustomTool.Parameter(
                        name=each.name,
                        type=each.type,
                        description=each.said or each.name,
                        required=each.required,
                        enum=None if each.enum is None else list(each.enum),
                    )
                    for each in one.schema.parameters
                ],
            )
            for name, one in self._tools.items()
        ]

    async def answer(self, asked: ToolAsked, course: Course, tell: Tell) -> ToolAnswered:
        """Never raises what a model, a person or a foreign system can cause: the model gets a sentence."""
        began, tool = time.monotonic(), self._tools.get(asked.tool)
        async with self._few:
            found = await self._found(tool, asked)
        if tool is not None:
            self._observe(tool.bound.document.type, found.word)
        ok = found.word == "answered"
        use = await asyncio.to_thread(self._use, asked, tool, found, time.monotonic() - began)
        await asyncio.to_thread(course.abroad, use, found.evidence)
        told = {
            "tool": use.tool[:100],
            "ok": ok,
            "seconds": use.seconds,
            "evidence": int(found.evidence is not None),
        }
        await tell(Happening(EventName.tool, told))
        return ToolAnswered(
            number=asked.number, ok=ok, text=found.text, evidence=[found.evidence] if found.evidence else []
        )

    async def _found(self, tool: Ready | None, asked: ToolAsked) -> Found:
        if tool is None:
            there = ", ".join(self._tools) or "none"
            return Found("refused", f"there is no tool of this name; there are: {there}")
        self._calls += 1
        if self._calls > MOST_CALLS:
            return Found("refused", f"more than {MOST_CALLS} questions to other systems in one run: conclude")
        if not self._toolbox.has(tool):
            return Found(
                "withdrawn", "this toolset has been taken away or changed meanwhile; conclude without"
            )
        try:
            arguments = tool.schema.check(asked.arguments)
            return await (self._changed(tool, arguments) if tool.writes else self._read(tool, arguments))
        except Unfit as error:
            return Found("refused", str(error))
        except NoAnswer as error:
            return Found(error.word, str(error))
        except Changed as error:
            return Found("withdrawn", f"{error}; it was not called, and is withdrawn")
        except (NoSay, TooMany) as error:
            why = (
                "as many changes as may be were asked for"
                if isinstance(error, TooMany)
                else "the run has ended"
            )
            return Found("not-approved", f"not approved: {why}; conclude without")
        except StorageUnavailable:
            return Found("not-approved", "not approved: a person cannot be asked now; conclude without")

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, tool: Ready, arguments: dict[str, Any]) -> Found:
        within = self._within(tool)
        async with self._toolbox.place(tool, within):
            answer = await self._toolbox.ask(tool, arguments, within=within)
        return await self._told(tool, arguments, answer)

    async def _told(self, tool: Ready, arguments: dict[str, Any], answer: Answer) -> Found:
        """What an answer is worth, without its secrets."""
        if answer.failure:
            text = await asyncio.to_thread(self._cleared, answer.failure)
            return Found("failed", f"the answer tells of a failure: {text}")
        item = await asyncio.to_thread(self._fact, tool, arguments, answer.result)
        if item is None:
            return Found("bad-content", NOT_CLEARED)
        return Found("answered", reading.told(item), item)

    def _fact(self, tool: Ready, arguments: dict[str, Any], result: Any) -> EvidenceItem | None:
        room = min(tool.bound.document.max_output_chars, self._room)
        try:
            shown = self._redactor.text(result) if isinstance(result, str) else self._redactor.of(result)
            kept = self._redactor.of(arguments)
        except Exception as error:
            # Whatever goes wrong there: text that was not looked at is not let through.
            _log.info("an answer of toolset %s is not shown: %s", tool.bound.name, type(error).__name__)
            return None
        document = tool.bound.document
        return reading.fact(
            document.name, document.version, tool.tool.name, kept, shown, room=room, at=datetime.now(UTC)
        )

    def _cleared(self, text: str) -> str:
        try:
            return self._redactor.text(text)[:SAID]
        except Exception:
            # As above.
            return NOT_CLEARED

    def _within(self, tool: Ready) -> float:
        left = self._ends - time.monotonic()
        if left < LEAST:
            raise NoAnswer("timeout", "the run's time is up; conclude with what is known", maybe=False)
        return min(tool.bound.document.timeout_s.total_seconds(), left)

    # ── changing ────────────────────────────────────────────────────────────────────────────────────────────

    async def _changed(self, tool: Ready, arguments: dict[str, Any]) -> Found:
        """Have a person agree, then do it, once. What was decided or done before is told again."""
        request = self._request(tool, arguments)
        if await asyncio.to_thread(self._hides, arguments):
            # A person sees arguments without secrets, and agrees to what they see.
            raise Unfit("an argument holds what looks like a secret, so nobody can agree to it; leave it out")
        wanted = tool.wanted(arguments, f"{request} changes something at {tool.bound.origin}")
        waits = self._waits()
        approval = await self._approvals.ask(self._run, wanted, within=waits)
        if approval.state is State.pending:
            _log.info("investigation %s waits for approval %s", self._run.id, approval.id)
            approval = await self._approvals.decided(self._run.id, approval)
        if approval.state is not State.approved:
            return await self._as_it_was(approval)
        if not self._toolbox.has(tool):
            return Found(
                "withdrawn", "this toolset has been taken away or changed meanwhile; nothing was done"
            )
        within = self._within(tool)
        async with self._toolbox.place(tool, within):
            if not await self._approvals.begin(self._run, approval):
                raise NoSay
            return await self._done(tool, arguments, approval, idempotency_key(self._run.id, wanted), within)

    async def _done(
        self, tool: Ready, arguments: dict[str, Any], approval: Approval, key: str, within: float
    ) -> Found:
        """Do it. From here on it is never done again, whatever happens; a kill leaves it at `executing`."""
        try:
            answer = await self._toolbox.ask(tool, arguments, within=within, idempotency_key=key)
            found = await self._told(tool, arguments, answer)
            maybe = answer.maybe
        except NoAnswer as error:
            found, maybe = Found(error.word, str(error)), error.maybe
        except Changed as error:
            found, maybe = Found("withdrawn", str(error)), False
        done = found.word == "answered"
        state = State.done if done else (State.unknown if maybe else State.failed)
        outcome = found.evidence.summary if found.evidence is not None else found.text
        await self._kept(approval, state, outcome, found.evidence)
        if state is State.unknown:
            return Found(found.word, f"{found.text}. It may have happened all the same; a person must look")
        return found

    async def _kept(
        self, approval: Approval, state: State, outcome: str, evidence: EvidenceItem | None
    ) -> None:
        """Write down what came of it. What cannot be written down stays `executing`, which is told as `unknown`."""
        for pause in (0.5, 1.0, 2.0, None):
            try:
                await self._approvals.end(self._run, approval, state, plain(outcome, 300), evidence)
            except StorageUnavailable as error:
                _log.warning("what came of %s is not kept: %s", approval.id, error)
                if pause is None:
                    return
                await asyncio.sleep(pause)
            else:
                return

    async def _as_it_was(self, approval: Approval) -> Found:
        if approval.state is State.done and (kept := await self._approvals.answer(approval)) is not None:
            return Found("answered", reading.told(kept), kept)
        word = {State.done: "answered", State.failed: "failed", State.unknown: "broken"}
        return Found(word.get(approval.state, "not-approved"), said(approval))

    def _request(self, tool: Ready, arguments: Mapping[str, Any]) -> str:
        """What exactly will be sent, as far as it can be said beforehand. Raises Unfit."""
        if isinstance(tool.tool, HttpTool):
            return str(toolset_http.request(tool.tool, arguments))
        return f"tool {tool.tool.name}"

    def _hides(self, arguments: Mapping[str, Any]) -> bool:
        try:
            return bool(self._redactor.of(dict(arguments)) != arguments)
        except Exception:
            # What cannot be looked at cannot be shown to a person either.
            return True

    def _waits(self) -> timedelta:
        left = timedelta(seconds=self._ends - time.monotonic())
        return max(min(self._patience, left - min(TO_CONCLUDE, left / 4)), timedelta(seconds=LEAST))

    # ── telling ─────────────────────────────────────────────────────────────────────────────────────────────

    def _use(self, asked: ToolAsked, tool: Ready | None, found: Found, seconds: float) -> ToolUse:
        some = {name: str(value) for name, value in list(asked.arguments.items())[:10]}
        try:
            # Cleared, then shortened: half of a secret is known for one by no rule.
            kept = {name[:40]: str(value)[:200] for name, value in self._redactor.of(some).items()}
        except Exception:
            # As above; that it asked is told, and nothing else.
            kept = {}
        ok = found.word == "answered"
        return ToolUse(
            tool=plain(asked.tool, 80),
            arguments=kept,
            ok=ok,
            detail="" if ok else self._cleared(found.text),
            seconds=round(seconds, 3),
            toolset=tool.release if tool else None,
        )


def room(model: ModelAccess) -> int:
    """Characters of one answer that a model has room for: as for the tools of ours."""
    window = max(model.context_tokens - model.output_tokens, 1)
    return max(min(ROOM, window * PER_TOKEN // 5) - ENVELOPE, ENVELOPE)


class Answers(Protocol):
    """What a run's process may ask besides the Context API."""

    def told(self) -> list[CustomTool]: ...

    async def answer(self, asked: ToolAsked, course: Course, tell: Tell) -> ToolAnswered: ...


class Nowhere:
    """Of a run that is given no foreign system."""

    def told(self) -> list[CustomTool]:
        return []

    async def answer(self, asked: ToolAsked, course: Course, tell: Tell) -> ToolAnswered:
        return ToolAnswered(number=asked.number, ok=False, text="there is no tool of this name")


async def stay(run: Claimed, redactor: Redactor, room: int, ends: float) -> Answers:
    return Nowhere()


class Answering:
    """The questions of one process of a run, answered beside each other; those under way end with the block."""

    def __init__(self, abroad: Answers, child: Child, course: Course, tell: Tell) -> None:
        self._abroad, self._child, self._course, self._tell = abroad, child, course, tell
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Answering:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def begin(self, asked: ToolAsked) -> None:
        task = asyncio.create_task(self._answer(asked), name=f"tool {asked.tool[:40]}")
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a question to a foreign system", exc_info=task.exception())

    async def _answer(self, asked: ToolAsked) -> None:
        try:
            answered = await self._abroad.answer(asked, self._course, self._tell)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # A mistake of ours must not leave the run waiting for an answer.
            _log.exception("a question to a foreign system")
            answered = ToolAnswered(
                number=asked.number, ok=False, text=f"it could not be asked: {type(error).__name__}"
            )
        # One that has died says so at the next word that is waited for.
        with suppress(Closed):
            try:
                await self._child.send(answered)
            except BadFrame:
                await self._child.send(
                    ToolAnswered(number=asked.number, ok=False, text="its answer is too large")
                )
