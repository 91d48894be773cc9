"""Has HolmesGPT ask a model, in a child of the engine. Fulfils `domain.ports.Model`.

Every step is stored before the model is asked it. A child that is killed, with its engine or this process or
without, is followed by another one that goes on from the last step.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from libs.auth.errors import AuthError
from libs.contracts.course import EventName
from libs.redaction import Redactor
from services.holmesgpt_api.adapters.abroad import Answering, Answers, room, stay
from services.holmesgpt_api.adapters.account import Account
from services.holmesgpt_api.adapters.going_on import Recording, going_on, under
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
from services.holmesgpt_api.adapters.zygote import Away, Zygote
from services.holmesgpt_api.domain.budget import UNLIMITED, Limits, Purse
from services.holmesgpt_api.domain.clearing import cleared
from services.holmesgpt_api.domain.clusters import UNKNOWN_CLUSTER, UNNAMED, Clusters, why_unknown
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.model import (
    ENGINE_UNAVAILABLE,
    ModelFailed,
    Told,
)
from services.holmesgpt_api.domain.ports import ReportProgress
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.roster import Roster, UnknownModel
from services.holmesgpt_api.domain.toolsets import Toolsets
from services.holmesgpt_api.domain.triage import NO_MODEL
from services.holmesgpt_api.domain.verdict import Verdict
from services.holmesgpt_api.engine.foreign import ToolAsked
from services.holmesgpt_api.engine.framing import BadFrame, Closed
from services.holmesgpt_api.engine.messages import (
    Alert,
    Checkpoint,
    Concluded,
    ContextAccess,
    Failed,
    HeadStart,
    ModelAccess,
    ModelAsked,
    Probed,
    ProbeRequest,
    RunRequest,
    Step,
    ToolCalled,
    Usage,
)
from services.holmesgpt_api.engine.wordings import PROMPT_VERSION, WORDINGS

Mint = Callable[[Claimed, timedelta], str]
"""The token of a run's tools. Raises AuthError where none can be made."""

GoAbroad = Callable[[Claimed, Redactor, int, float], Awaitable[Answers]]
"""Who answers a run's questions to foreign systems: the run, its redactor, characters of an answer, the run's end."""

HEAD_START = 1024 * 1024
"""Bytes of evidence in a request; what triage found comes in the order of its weight."""

_log = logging.getLogger(__name__)


@dataclass
class Stand:
    """How far a run is, told with whatever happens."""

    progress: int = 40
    stage: str = "asking the model"

    async def tell(self, report: ReportProgress, happening: Happening) -> None:
        await report(self.progress, self.stage, happening)


class Holmes:
    def __init__(
        self,
        zygote: Zygote,
        roster: Roster,
        *,
        clusters: Clusters,
        context_ca_file: Path | None = None,
        mint: Mint,
        steps: Steps,
        max_steps: int,
        tool_timeout: timedelta,
        start_within: timedelta,
        observe: Callable[[ModelAsked], None] = lambda _: None,
        observe_probe: Callable[[ModelAsked], None] = lambda _: None,
        purse: Purse,
        limits: Callable[[], Limits] = lambda: UNLIMITED,
        toolsets: Callable[[], Toolsets] = Toolsets,
        go_abroad: GoAbroad = stay,
    ) -> None:
        """`observe`: hears of every request of a run to a model, `observe_probe` of those of probes."""
        self._observe_probe = observe_probe
        self._go_abroad = go_abroad
        self._purse, self._limits, self._toolsets = purse, limits, toolsets
        self._zygote, self._roster, self._mint, self._observe = zygote, roster, mint, observe
        self._steps, self._clusters, self._max_steps = steps, clusters, max_steps
        self._context_ca_file = context_ca_file
        self._tool_timeout = tool_timeout.total_seconds()
        self._start_within = start_within.total_seconds()
        self._probes = itertools.count(1)

    async def ask(
        self, run: Claimed, interim: Verdict, *, within: timedelta, report_progress: ReportProgress
    ) -> Told:
        chain, wording = self._chain(run), _wording(run)
        self._there_is_its_cluster(run)
        key = os.urandom(16)
        redactor, models = Redactor(key), {one.name: one.model for one in chain}
        course = Course(models, time.monotonic(), redactor, wording)
        try:
            token = self._mint(run, within)
        except AuthError as error:
            # Without it the tools would ask as whoever this machine is trusted to be, and read what the
            # asker may not.
            raise ModelFailed(ENGINE_UNAVAILABLE, str(error)) from error
        name = f"{run.id}.{run.fence}"
        frame = Frame.begun(course, self._purse, self._limits(), name=name, tenant=run.tenant, within=within)
        recording = Recording(self._steps, run, under(chain, wording))
        async with frame.accounted():
            abroad = await self._go_abroad(run, redactor, room(chain[0]), frame.ends)

            async def once(number: int, last: LastStep | None) -> Told:
                course = frame.course
                # Not on the loop: a megabyte of evidence takes most of a second to be cleared of secrets.
                request = await asyncio.to_thread(
                    self._request, run, interim, token, chain, key, redactor, last, course, abroad
                )
                course.evidence = {item.id: item for item in request.head_start.evidence} | course.evidence
                return await self._one(f"{name}.{number}", request, frame, recording, abroad, report_progress)

            return await going_on(
                recording, frame, lambda last: taken_up(models, redactor, last, prompt=wording), once
            )

    def _chain(self, run: Claimed) -> list[ModelAccess]:
        """Who is asked, in which order. A replay names its model, and another one's verdict would be none of it.

        Raises:
            ModelFailed
        """
        named = run.replay.model if run.replay is not None else None
        try:
            chain = self._roster.chain(named)
        except UnknownModel as error:
            raise ModelFailed("model-misconfigured", str(error)) from error
        if not chain:
            raise ModelFailed(NO_MODEL, "the configuration names no model any more")
        return chain if named is None else chain[:1]

    def _there_is_its_cluster(self, run: Claimed) -> None:
        """Raises ModelFailed: since triage looked, its cluster was taken out of the configuration."""
        route = self._clusters.route(run.request)
        if route.address is None and run.frozen is None:  # a replay asks no cluster
            raise ModelFailed(UNKNOWN_CLUSTER, why_unknown(self._clusters, route.cluster, run.reads))

    async def _one(
        self,
        name: str,
        request: RunRequest,
        frame: Frame,
        recording: Recording,
        abroad: Answers,
        report: ReportProgress,
    ) -> Told:
        """One process of the run.

        Raises:
            ModelFailed, TimeoutError, Away, Spent
            Died: another one may go on.
        """
        patience, course = min(self._start_within, frame.left), frame.course
        async with self._zygote.child(name, patience=patience, reach=request.reach) as child:
            left = frame.left
            async with asyncio.timeout(left + GRACE):
                await begin(child, request.model_copy(update={"seconds": left}), course)
                return await self._follow(child, frame, recording, abroad, report)

    async def _follow(
        self, child: Child, frame: Frame, recording: Recording, abroad: Answers, report: ReportProgress
    ) -> Told:
        """Listen until the child has concluded.

        Raises:
            ModelFailed, Spent, Died
        """
        stand, course = Stand(), frame.course
        async with Answering(abroad, child, course, lambda one: stand.tell(report, one)) as answering:
            return await self._heard_out(child, course, frame.account, recording, answering, stand, report)

    async def _heard_out(
        self,
        child: Child,
        course: Course,
        account: Account,
        recording: Recording,
        answering: Answering,
        stand: Stand,
        report: ReportProgress,
    ) -> Told:
        while True:
            match await heard(child, course):
                case Step(number=number) as step:
                    course.steps = number
                    stand.progress = min(40 + 50 * number // (self._max_steps + 1), 95)
                    stand.stage = f"asking the model (answer {number})"
                    await stand.tell(report, Happening(EventName.step, {"number": number}))
                    await account.step(step)
                    await grant(child, number)
                case Checkpoint() as point:
                    await recording.record(point, course)
                    await recorded(child, point.number)
                case ToolCalled() as called:
                    await asyncio.to_thread(course.called, called)
                    await stand.tell(report, Happening(EventName.tool, _told(called)))
                case ToolAsked() as wanted:
                    answering.begin(wanted)
                case ModelAsked() as asked:
                    course.asked(asked)
                    self._roster.heard(asked)
                    self._observe(asked)
                    await account.asked(asked)
                case Usage() as usage:
                    course.usage = usage
                case Concluded() as concluded:
                    return course.told(concluded)
                case other:
                    raise unasked(other, course)

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
                            self._roster.heard(asked)
                            self._observe_probe(asked)
                        case Probed(tools=tools):
                            self._roster.probed(model.name, tools=tools)
                            return
                        case Failed():
                            return
        except (Away, Closed, BadFrame, TimeoutError) as error:
            _log.info("model %s was not probed: %s", model.name, str(error) or type(error).__name__)

    def _request(
        self,
        run: Claimed,
        interim: Verdict,
        token: str,
        chain: list[ModelAccess],
        key: bytes,
        redactor: Redactor,
        last: LastStep | None,
        course: Course,
        abroad: Answers,
    ) -> RunRequest:
        """Raises Unredactable."""
        asked, results, route = run.request, interim.results, self._clusters.route(run.request)
        context_url = route.address or ""
        return RunRequest(
            run=run.id,
            reach=reach(
                tenant=run.tenant,
                asker=run.asker,
                namespaces=run.reads,
                models=chain,
                context_url=context_url,
            ),
            redaction_key=key.hex(),
            seconds=1.0,  # told when the process is there
            max_steps=self._max_steps,
            frozen=run.frozen is not None,
            prompt=course.prompt,
            metered=True,
            tools=self._toolsets().tools(asked.toolsets),
            custom=abroad.told(),
            alert=cleared(
                Alert(
                    name=asked.alert_name,
                    priority=run.priority.value,
                    namespace=asked.namespace,
                    starts_at=asked.starts_at.isoformat() if asked.starts_at else None,
                    labels=asked.labels,
                    annotations=asked.annotations,
                    context=asked.context,
                ),
                redactor,
            ),
            head_start=cleared(
                HeadStart(
                    target=results.target,
                    summary=interim.summary,
                    causes=[one for one in (results.cause, *results.contributing) if one is not None],
                    evidence=fitting(results.evidence, HEAD_START),
                    not_looked_at=results.not_looked_at,
                    history=interim.context_used.get("history", []),
                ),
                redactor,
            ),
            model=chain[0],
            fallbacks=chain[1:],
            context=ContextAccess(
                url=context_url,
                authorities=authorities(self._context_ca_file),
                token=token,
                timeout_s=self._tool_timeout,
                cluster=results.target.cluster if results.target else route.cluster or UNNAMED,
                priority=asked.priority,
                namespaces=list(run.reads),
            ),
            usage=course.usage,
            resume=None if last is None else resume(last, course),
        )


def _wording(run: Claimed) -> str:
    """Under which version of our words it is asked: a replay's own, or else that of now.

    Raises:
        ModelFailed: this release does not have the replay's; another one's verdict would be none of it.
    """
    named = run.replay.prompt if run.replay is not None else None
    if named is not None and named not in WORDINGS:
        raise ModelFailed(
            "model-misconfigured", f"no prompt version {named!r} here; there are: {', '.join(WORDINGS)}"
        )
    return named or PROMPT_VERSION


def _told(message: ToolCalled) -> dict[str, Any]:
    """A tool's answer as an event: not what it showed, which the verdict cites."""
    return {
        "tool": message.tool[:100],
        "ok": message.ok,
        "seconds": message.seconds,
        "evidence": len(message.evidence),
    }
