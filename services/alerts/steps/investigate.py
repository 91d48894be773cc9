"""Have incidents investigated: ask once, look whether it is done, write down what came of it.

Waiting is a job row with a due time. A peer that is down is tried again, the timeline says so, and after
`give_up` the incident is unexplained, for that reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from libs.clients import HolmesClient, PeerRefused, PeerUnavailable
from libs.contracts.alerts import Decision
from libs.contracts.investigations import Investigation, InvestigationRequest
from services.alerts.adapters import episodes, incidents
from services.alerts.adapters.incidents import Incident, Inquiry
from services.alerts.adapters.record import Note, Record, Work
from services.alerts.domain import request
from services.alerts.domain.inquiry import (
    LOOK_WAITS,
    PEER_WAITS,
    Conclusion,
    InquiryPolicy,
    Phase,
    conclude,
    gave_up,
    pause,
)
from services.alerts.domain.telling import after_investigation, after_patience, leading
from services.alerts.steps.attach import INVESTIGATE
from services.alerts.steps.peers import as_unavailable

FOLLOW = "follow"


@dataclass(frozen=True, slots=True)
class Investigate:
    """Ask for the investigation."""

    record: Record
    holmes: HolmesClient
    policy: InquiryPolicy
    deadline: timedelta

    async def __call__(self, incident: str, attempt: int, tries: int) -> None:
        asked = await self._question(incident, attempt)
        if asked is None:
            return
        tenant, question = asked
        try:
            accepted = await self.holmes.investigate_async(
                question,
                idempotency_key=f"{incident}/{attempt}",
                tenant=tenant,
                deadline=self.deadline,
            )
        except PeerUnavailable as error:
            await self._later(incident, attempt, tries + 1, error)
            return
        except PeerRefused as error:
            if (unavailable := as_unavailable(error)) is not None:
                await self._later(incident, attempt, tries + 1, unavailable)
                return
            why = gave_up("investigation-refused", f"HTTP {error.status} {error.problem.code}")
            async with self.record.begin() as work:
                await _end(work, incident, attempt, why, None, expected="wanted")
            return
        async with self.record.begin() as work:
            await self._accepted(work, incident, attempt, accepted.investigation_id)

    async def _question(self, incident: str, attempt: int) -> tuple[str, InvestigationRequest] | None:
        """The frozen question; None when this run comes too late to ask."""
        async with self.record.begin() as work:
            about, inquiry = await _locked(work, incident, attempt)
            if about is None or inquiry is None or inquiry.state != "wanted":
                return None
            question = inquiry.request
            if question is None:
                spoken = await episodes.view(work, incident)
                if not spoken:  # handed over to another incident, which is investigated itself
                    return None
                question = _compose(about, spoken).model_dump_json()
                await incidents.freeze_inquiry(work, incident, attempt, question)
        # Read back the first time as well: what is sent must not differ from what a retry will send.
        return about.tenant, InvestigationRequest.model_validate_json(question)

    async def _later(self, incident: str, attempt: int, tries: int, error: PeerUnavailable) -> None:
        async with self.record.begin() as work:
            _, inquiry = await _locked(work, incident, attempt)
            if inquiry is None or inquiry.state != "wanted":
                return
            if work.now - inquiry.asked_at > self.policy.give_up:
                why = gave_up("investigator-unreachable", error.reason)
                await _end(work, incident, attempt, why, None, expected="wanted")
                return
            incidents.waiting_for(work, incident, "investigation", f"ask:{attempt}", error.reason)
            wait = max(pause(tries, PEER_WAITS), error.retry_after or timedelta(0))
            work.defer(INVESTIGATE, in_=wait, incident=incident, attempt=attempt, tries=tries)

    async def _accepted(self, work: Work, incident: str, attempt: int, investigation_id: str) -> None:
        _, inquiry = await _locked(work, incident, attempt)
        if inquiry is None or inquiry.state != "wanted":
            return
        await incidents.under_way(work, incident, attempt, investigation_id)
        detail = f"{investigation_id}, attempt {attempt}"
        work.note(Note(incident, f"requested:{attempt}", "investigation-requested", detail))
        work.defer(FOLLOW, in_=pause(1, LOOK_WAITS), incident=incident, attempt=attempt, looks=1)


@dataclass(frozen=True, slots=True)
class Follow:
    """Look whether the investigation has ended."""

    record: Record
    holmes: HolmesClient
    policy: InquiryPolicy
    deadline: timedelta

    async def __call__(self, incident: str, attempt: int, looks: int) -> None:
        async with self.record.begin() as work:
            about, inquiry = await _locked(work, incident, attempt)
        if about is None or inquiry is None or inquiry.state != "running" or inquiry.investigation_id is None:
            return
        seen: Investigation | PeerUnavailable
        try:
            seen = await self.holmes.get(
                inquiry.investigation_id, tenant=about.tenant, deadline=self.deadline
            )
        except PeerUnavailable as error:
            seen = error
        except PeerRefused as error:
            unavailable = as_unavailable(error)
            if unavailable is None:
                why = gave_up("investigation-lost", f"HTTP {error.status} {error.problem.code}")
                async with self.record.begin() as work:
                    await _end(work, incident, attempt, why, None, expected="running")
                return
            seen = unavailable
        async with self.record.begin() as work:
            await self._seen(work, incident, attempt, looks, seen)

    async def _seen(
        self, work: Work, incident: str, attempt: int, looks: int, seen: Investigation | PeerUnavailable
    ) -> None:
        ended = conclude(seen) if isinstance(seen, Investigation) else None
        if ended is not None and isinstance(seen, Investigation):
            await _end(work, incident, attempt, ended, seen, expected="running")
            return
        _, inquiry = await _locked(work, incident, attempt)
        if inquiry is None or inquiry.state != "running":
            return
        if work.now - inquiry.asked_at > self.policy.give_up:
            why = gave_up("investigation-too-slow", f"no end within {self.policy.give_up}")
            await _end(work, incident, attempt, why, None, expected="running")
            return
        if isinstance(seen, Investigation):
            key = f"progress:{attempt}:{seen.status.value}:{seen.progress}"
            detail = f"{seen.status.value}, {seen.progress} %"
            work.note(Note(incident, key, "investigation-progress", detail))
        else:
            incidents.waiting_for(work, incident, "investigation", f"look:{attempt}", seen.reason)
        wait = pause(looks + 1, LOOK_WAITS)
        work.defer(FOLLOW, in_=wait, incident=incident, attempt=attempt, looks=looks + 1)


@dataclass(frozen=True, slots=True)
class Patience:
    """People have waited long enough: tell them what is known, labelled, if nothing was told yet."""

    record: Record

    async def __call__(self, incident: str, attempt: int) -> None:
        async with self.record.begin() as work:
            about, inquiry = await _locked(work, incident, attempt)
            if about is None or about.merged_into is not None:
                return
            ended = inquiry is not None and inquiry.state == "ended"
            told = await incidents.told(work, incident, attempt)
            closed = about.closed_at is not None
            transition, decision = after_patience(ended=ended, closed=closed, told=told)
            if transition is not None:
                await incidents.announce(work, incident, transition, attempt, decision)


async def _locked(work: Work, incident: str, attempt: int) -> tuple[Incident | None, Inquiry | None]:
    """Always in this order: whoever changes an inquiry holds its incident."""
    about = await incidents.lock(work, incident)
    return about, await incidents.lock_inquiry(work, incident, attempt)


async def _end(
    work: Work,
    incident: str,
    attempt: int,
    conclusion: Conclusion,
    investigation: Investigation | None,
    *,
    expected: str,
) -> None:
    """Write the end down, once, and have it told."""
    about, inquiry = await _locked(work, incident, attempt)
    if about is None or inquiry is None or inquiry.state != expected:
        return
    await incidents.end(work, incident, attempt, conclusion, _kept(investigation) if investigation else None)
    explained = conclusion.phase is Phase.explained
    decision = Decision(
        subject="cause",
        outcome="explained" if explained else "unexplained",
        reason=conclusion.reason,
        detail=conclusion.detail[:2000],
    )
    event = "explained" if explained else "unexplained"
    work.note(Note(incident, f"ended:{attempt}", event, decision.detail, decision))
    told = await incidents.told(work, incident, attempt)
    closed = about.closed_at is not None
    transition, why = after_investigation(explained=explained, closed=closed, told=told)
    if transition is not None:
        await incidents.announce(work, incident, transition, attempt, why)


_LEFT_OUT = {"context_used", "context", "patterns", "strategies", "investigation"}


def _kept(investigation: Investigation) -> dict[str, Any]:
    """For telling and showing. The whole of it, with bodies of evidence, is the investigation service's."""
    said = investigation.model_dump(mode="json", exclude=_LEFT_OUT)
    for item in (said.get("results") or {}).get("evidence", ()):
        item["body"] = {}
    return said


def _compose(about: Incident, spoken: list[episodes.Leading]) -> InvestigationRequest:
    first = leading([one.view for one in spoken])
    leader = next(one for one in spoken if one.view.id == first.id)
    return request.compose(
        incident_id=about.id,
        target=about.target,
        episodes=[one.view for one in spoken],
        labels=leader.labels,
        annotations=leader.annotations,
        namespace=leader.namespace,
    )
