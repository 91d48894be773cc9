"""Key an incident again that was keyed on labels for want of an answer, or hand it over to its owner's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from services.alerts.adapters import episodes, incidents
from services.alerts.adapters.episodes import Placed
from services.alerts.adapters.incidents import Incident
from services.alerts.adapters.record import Note, Record, Work
from services.alerts.domain.inquiry import InquiryPolicy, attempt_after_rekeying, pause
from services.alerts.domain.judgement import Policy
from services.alerts.domain.placement import Unanswered
from services.alerts.domain.priority import most_urgent
from services.alerts.steps.attach import (
    INVESTIGATE,
    REKEY,
    REKEY_WAITS,
    Found,
    Resolver,
    find,
    raise_priority,
)


@dataclass(frozen=True, slots=True)
class Rekey:
    record: Record
    resolver: Resolver
    policy: Policy
    inquiry: InquiryPolicy
    give_up: timedelta

    async def __call__(self, incident: str, tries: int) -> None:
        async with self.record.begin() as work:
            about = await incidents.lock(work, incident)
            spoken = await episodes.of_incident(work, incident)
        if about is None or not about.provisional or about.closed_at is not None or not spoken:
            return
        # All of them were keyed alike, so they speak of the same object: one question is enough.
        answer = await self.resolver.ask(about.tenant, spoken[0].labels)
        async with self.record.begin() as work:
            if isinstance(answer, Unanswered):
                self._later(work, about, tries + 1)
                return
            await self._write(work, about, [find(one, answer, self.policy) for one in spoken])

    def _later(self, work: Work, about: Incident, tries: int) -> None:
        if work.now - about.opened_at < self.give_up:
            work.defer(REKEY, in_=pause(tries, REKEY_WAITS), incident=about.id, tries=tries)

    async def _write(self, work: Work, about: Incident, found: list[Found]) -> None:
        placement = found[0].placement
        place = (about.tenant, placement.key)
        await incidents.lock_places(work, [about.place, place])
        locked = await incidents.lock(work, about.id)
        if locked is None or not locked.provisional or locked.closed_at is not None:
            return
        other = (await incidents.lock_open(work, [place])).get(place)
        into = other if other is not None and other.id != about.id else None
        stays = into or locked
        await episodes.place(
            work,
            [
                Placed(one.spoken.id, stays.id, placement.named, placement.target, one.judgement)
                for one in found
            ],
        )
        for one in found:
            work.decided(one.spoken.id, one.placement.decision, during=f"rekey:{about.id}")
            for decision in one.news:
                work.decided(one.spoken.id, decision, during=f"rekey:{about.id}")
        urgency = most_urgent([one.judgement.priority for one in found])
        if into is None:
            await incidents.key_again(work, locked, placement.key, placement.target)
            work.note(Note(about.id, "rekeyed", "incident-rekeyed", f"{about.key} is {placement.key}"))
            await incidents.set_priority(work, locked.id, urgency)
            await self._ask_again(work, locked)
            return
        await incidents.merge_into(work, locked, into.id)
        await raise_priority(work, into, urgency)
        work.note(Note(about.id, "merged", "incident-merged", f"into {into.id}"))
        work.note(Note(into.id, f"merged:{about.id}", "incident-merged", f"took over {about.id}"))

    async def _ask_again(self, work: Work, incident: Incident) -> None:
        attempt, decision = attempt_after_rekeying(incident.phase, incident.attempts, self.inquiry)
        if attempt is None or decision is None:
            return
        await incidents.ask(work, incident.id, attempt)
        work.decided(incident.id, decision, during="rekeyed")
        work.defer(INVESTIGATE, incident=incident.id, attempt=attempt, tries=0)
