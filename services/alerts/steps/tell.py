"""Tell people of one change of an incident: compose the message once, hand it over until it is taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from libs.clients import NotificationsClient, PeerRefused, PeerUnavailable
from libs.contracts.investigations import Investigation
from libs.contracts.notifications import NotificationRequest
from services.alerts.adapters import episodes, incidents
from services.alerts.adapters.incidents import TELL, Incident
from services.alerts.adapters.record import Note, Record, Work
from services.alerts.domain.inquiry import PEER_WAITS, Phase, pause
from services.alerts.domain.telling import IncidentView, Transition, compose
from services.alerts.steps.peers import as_unavailable


@dataclass(frozen=True, slots=True)
class Tell:
    record: Record
    notifications: NotificationsClient
    deadline: timedelta
    give_up: timedelta

    async def __call__(self, incident: str, transition: str, round_: int, tries: int = 0) -> None:
        composed = await self._message(incident, transition, round_)
        if composed is None:
            return
        tenant, message = composed
        try:
            taken = await self.notifications.send(
                message,
                idempotency_key=f"{incident}/{transition}/{round_}",
                tenant=tenant,
                deadline=self.deadline,
            )
        except PeerUnavailable as error:
            await self._later(incident, transition, round_, tries + 1, error)
            return
        except PeerRefused as error:
            if (unavailable := as_unavailable(error)) is not None:
                await self._later(incident, transition, round_, tries + 1, unavailable)
                return
            why = f"HTTP {error.status} {error.problem.code}"
            await self._end(incident, transition, round_, state="given-up", detail=why)
            return
        await self._end(incident, transition, round_, state="told", notification_id=taken.id)

    async def _message(
        self, incident: str, transition: str, round_: int
    ) -> tuple[str, NotificationRequest] | None:
        """The frozen message; None when there is nothing left to tell."""
        async with self.record.begin() as work:
            about = await incidents.lock(work, incident)
            telling = await incidents.lock_telling(work, incident, transition, round_)
            if about is None or telling is None or telling.state != "pending":
                return None
            message = telling.request
            if message is None:
                view = await _view(work, about, Transition(transition))
                if view is None:
                    # Its episodes were handed over to another incident, which is told of itself.
                    await incidents.end_telling(
                        work, incident, transition, round_, state="given-up", notification_id=None
                    )
                    return None
                message = compose(view, Transition(transition), round_).model_dump_json()
                await incidents.freeze_telling(work, incident, transition, round_, message)
        # Read back the first time as well: what is sent must not differ from what a retry will send.
        return about.tenant, NotificationRequest.model_validate_json(message)

    async def _later(
        self, incident: str, transition: str, round_: int, tries: int, error: PeerUnavailable
    ) -> None:
        async with self.record.begin() as work:
            telling = await incidents.lock_telling(work, incident, transition, round_)
            if telling is None or telling.state != "pending":
                return
            if work.now - telling.decided_at < self.give_up:
                incidents.waiting_for(work, incident, "notification", f"{transition}:{round_}", error.reason)
                wait = max(pause(tries, PEER_WAITS), error.retry_after or timedelta(0))
                work.defer(
                    TELL, in_=wait, incident=incident, transition=transition, round_=round_, tries=tries
                )
                return
        await self._end(incident, transition, round_, state="given-up", detail=error.reason)

    async def _end(
        self,
        incident: str,
        transition: str,
        round_: int,
        *,
        state: str,
        notification_id: str | None = None,
        detail: str = "",
    ) -> None:
        async with self.record.begin() as work:
            telling = await incidents.lock_telling(work, incident, transition, round_)
            if telling is None or telling.state != "pending":
                return
            await incidents.end_telling(
                work, incident, transition, round_, state=state, notification_id=notification_id
            )
            event = "notified" if state == "told" else "notification-given-up"
            what = f"{transition}: {notification_id or detail}"
            work.note(Note(incident, f"{event}:{transition}:{round_}", event, what))


async def _view(work: Work, about: Incident, transition: Transition) -> IncidentView | None:
    spoken = await episodes.view(work, about.id)
    if not spoken:
        return None
    investigation = Investigation.model_validate(about.investigation) if about.investigation else None
    why = about.no_cause_reason
    if about.phase in (Phase.open, Phase.investigating) and investigation is None:
        why = "the investigation has not ended yet"
    return IncidentView(
        id=about.id,
        about=str(about.target) if about.target else about.key,
        episodes=[one.view for one in spoken],
        investigation=investigation,
        why_no_cause=why,
        update=bool(await incidents.told(work, about.id) - {transition}),
    )
