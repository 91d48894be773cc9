"""Attach new episodes to incidents: ask whose object they speak of, open what is needed, start inquiries."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.clients import ContextClient, PeerRefused, PeerUnavailable
from libs.contracts.alerts import Decision, Priority
from libs.contracts.base import is_plausible
from libs.contracts.context import Resolution
from services.alerts.adapters import episodes, incidents
from services.alerts.adapters.episodes import Placed, Spoken
from services.alerts.adapters.incidents import Incident, Place, Wanted
from services.alerts.adapters.record import Note, Record, Work
from services.alerts.domain.environment import ClusterFacts
from services.alerts.domain.inquiry import InquiryPolicy, attempt_for, pause
from services.alerts.domain.judgement import NOTHING_KNOWN, Judgement, Policy, judge
from services.alerts.domain.placement import Identity, Placement, Unanswered, identity, place
from services.alerts.domain.priority import more_urgent, most_urgent
from services.alerts.domain.telling import Transition

INVESTIGATE = "investigate"
PATIENCE = "patience"
REKEY = "rekey"

REKEY_WAITS = (5, 15, 30, 60, 300, 600)
"""Seconds. The Context API is back after a restart, or somebody has to look after it."""

_OVER = Decision(subject="investigation", outcome="not-requested", reason="resolved-already")

_AT_ONCE = 8  # calls to the Context API; each is given 500 ms, and a chunk of 50 is to end in seconds


class Resolver:
    """Asks the Context API, within its time; no answer is an answer too."""

    def __init__(self, context: ContextClient, deadline: timedelta) -> None:
        self._context, self._deadline = context, deadline
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def ask(
        self, tenant: str, labels: Mapping[str, str], onset: datetime | None = None
    ) -> Resolution | Unanswered:
        """`onset`: of an alert that is about to be investigated, so that its causes are gathered meanwhile."""
        async with self._turns:
            try:
                return await self._context.resolve(
                    labels,
                    onset=onset if onset is not None and is_plausible(onset) else None,
                    tenant=tenant,
                    deadline=self._deadline,
                )
            except PeerUnavailable as error:
                return Unanswered(error.reason)
            except PeerRefused as error:
                return Unanswered(f"http-{error.status}")


@dataclass(frozen=True, slots=True)
class Found:
    """One episode with its placement and its judgement."""

    spoken: Spoken
    placement: Placement
    judgement: Judgement
    news: Sequence[Decision]
    """What is judged otherwise than it was when the cluster had not been asked."""


def find(spoken: Spoken, answer: Resolution | Unanswered, policy: Policy) -> Found:
    """Place and judge one episode by what the Context API answered."""
    before = judge(spoken.labels, spoken.annotations, policy)
    judgement = judge(spoken.labels, spoken.annotations, policy, facts_of(answer))
    news = [decision for decision in judgement.decisions if decision not in before.decisions]
    return Found(spoken, place(spoken.labels, answer), judgement, news)


def facts_of(answer: Resolution | Unanswered) -> ClusterFacts:
    if isinstance(answer, Unanswered):
        return NOTHING_KNOWN
    return ClusterFacts(
        namespace_labels=answer.namespace_labels,
        workload_labels=answer.owner_labels,
        namespace_annotations=answer.namespace_annotations,
        workload_annotations=answer.owner_annotations,
    )


@dataclass(frozen=True, slots=True)
class Attach:
    record: Record
    resolver: Resolver
    policy: Policy
    inquiry: InquiryPolicy
    patience: timedelta
    reopen_within: timedelta

    async def __call__(self, ids: list[str]) -> None:
        """Raises StorageUnavailable: later; nothing of it was written."""
        async with self.record.begin() as work:
            for id_ in await episodes.over(work, ids):
                work.decided(id_, _OVER, during="attach")
            spoken = await episodes.unplaced(work, ids, lock=False)
        if not spoken:
            return
        found = await self._find(spoken)
        async with self.record.begin() as work:
            await self._write(work, found)

    async def _find(self, spoken: Sequence[Spoken]) -> dict[str, Found]:
        """One question per object, however many alerts speak of it."""
        groups: dict[tuple[str, Identity], list[Spoken]] = defaultdict(list)
        for one in spoken:
            groups[one.tenant, identity(one.labels)].append(one)
        answers = await asyncio.gather(
            *(
                self.resolver.ask(tenant, group[0].labels, min(one.starts_at for one in group))
                for (tenant, _), group in groups.items()
            )
        )
        return {
            one.id: find(one, answer, self.policy)
            for group, answer in zip(groups.values(), answers, strict=True)
            for one in group
        }

    async def _write(self, work: Work, found: Mapping[str, Found]) -> None:
        await incidents.lock_places(work, [_place(one) for one in found.values()])
        # Again, and locked: some may have been resolved meanwhile, or placed by an earlier run of this job.
        by_place: dict[Place, list[Found]] = defaultdict(list)
        for spoken in await episodes.unplaced(work, list(found), lock=True):
            by_place[_place(found[spoken.id])].append(found[spoken.id])
        if not by_place:
            return
        known = await incidents.lock_open(work, by_place.keys())
        missing = by_place.keys() - known.keys()
        reopened = await incidents.reopen(work, missing, within=self.reopen_within) if missing else {}
        wanted = [_wanted(place_, by_place[place_]) for place_ in sorted(missing - reopened.keys())]
        opened = await incidents.open_new(work, wanted) if wanted else {}
        everything = {**known, **reopened, **opened}
        await episodes.place(
            work, [_placed(one, everything[place_].id) for place_, group in by_place.items() for one in group]
        )
        for place_, group in by_place.items():
            incident = everything[place_]
            _note(work, incident, group, new=place_ in opened)
            if place_ in reopened:
                await _tell_reopened(work, incident)
            urgency = most_urgent([one.judgement.priority for one in group])
            await raise_priority(work, incident, urgency)
            await self._inquire(work, incident, group)
            if place_ in opened:
                work.defer(PATIENCE, in_=self.patience, incident=incident.id, attempt=1)
            # Keying a closed incident again was dropped, so one that is opened again needs it anew.
            if incident.provisional and place_ not in known:
                work.defer(REKEY, in_=pause(1, REKEY_WAITS), incident=incident.id, tries=1)

    async def _inquire(self, work: Work, incident: Incident, group: Sequence[Found]) -> None:
        attempt, decision = attempt_for(
            incident.phase, incident.attempts, incident.ended_at, work.now, self.inquiry
        )
        for one in group:
            work.decided(one.spoken.id, decision, during=incident.id)
        if attempt is not None:
            await incidents.ask(work, incident.id, attempt)
            work.defer(INVESTIGATE, incident=incident.id, attempt=attempt, tries=0)
            if attempt > 1:
                work.defer(PATIENCE, in_=self.patience, incident=incident.id, attempt=attempt)


async def raise_priority(work: Work, incident: Incident, urgency: Priority) -> None:
    """A more urgent alert makes its incident more urgent; people who were told are told again."""
    if not more_urgent(urgency, incident.priority):
        return
    await incidents.set_priority(work, incident.id, urgency)
    if await incidents.told(work, incident.id):
        why = f"{incident.priority.value} before, {urgency.value} now"
        decision = Decision(subject="notification", outcome="raised", reason="more-urgent-alert", detail=why)
        round_ = 1 + int(urgency.value[1])  # each level is told once
        await incidents.announce(work, incident.id, Transition.raised, round_, decision)


def _place(found: Found) -> Place:
    return found.spoken.tenant, found.placement.key


def _wanted(place_: Place, group: Sequence[Found]) -> Wanted:
    placement = group[0].placement
    urgency = most_urgent([one.judgement.priority for one in group])
    return Wanted(place_, placement.target, placement.provisional, urgency)


def _placed(found: Found, incident_id: str) -> Placed:
    placement = found.placement
    return Placed(found.spoken.id, incident_id, placement.named, placement.target, found.judgement)


def _note(work: Work, incident: Incident, group: Sequence[Found], *, new: bool) -> None:
    if new:
        work.note(Note(incident.id, "opened", "incident-opened", f"about {incident.key}"))
    for one in group:
        work.decided(one.spoken.id, one.placement.decision, during=incident.id)
        for decision in one.news:
            work.decided(one.spoken.id, decision, during=incident.id)


async def _tell_reopened(work: Work, incident: Incident) -> None:
    work.note(
        Note(incident.id, f"reopened:{incident.closings}", "incident-reopened", "fires again soon after")
    )
    if await incidents.told(work, incident.id):
        decision = Decision(subject="notification", outcome="reopened", reason="fires-again-soon-after")
        await incidents.announce(work, incident.id, Transition.reopened, incident.closings, decision)
