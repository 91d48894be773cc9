"""Drain the inbox: make episodes of what was received, and say which of them need attention."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.alerts import Decision
from libs.logs import get_logger
from libs.storage import StorageUnavailable
from services.alerts.adapters import intake
from services.alerts.adapters.inbox import DRAIN
from services.alerts.adapters.intake import Row
from services.alerts.adapters.record import Note, Record, Work
from services.alerts.domain import episodes, webhook
from services.alerts.domain.episodes import Change, Episode, Event, Key, Series, State
from services.alerts.domain.judgement import Judgement, Policy, judge

ATTACH = "attach"
SETTLE = "settle"

ATTACHED_AT_ONCE = 50
"""Episodes per attach job. Each may need a call to the Context API, and a job is to end within seconds."""

BATCHES = 20
"""Per run: some 10,000 deliveries, well within the minute that a job is given."""

# What was accepted may lie ahead of our clock; how far was judged when it was received.
_ANY_TIME = timedelta(days=365)

_NOTED = {
    Event.fired: "fired",
    Event.resolved: "resolved",
    Event.reopened: "reopened",
    Event.superseded: "expired",
    Event.history: "recorded-as-history",
}


@dataclass(frozen=True, slots=True)
class Drain:
    """The step. `observe` is told every change that was committed, for metrics."""

    record: Record
    policy: Policy
    batch: int
    observe: Callable[[Sequence[Change]], None]

    async def __call__(self) -> None:
        """Drain until nothing is left, or until another run had better go on.

        Raises:
            StorageUnavailable: later; what was committed stays, the rest waits in the inbox.
        """
        for _ in range(BATCHES):
            if not await self._once():
                return
        async with self.record.begin() as work:
            work.defer(DRAIN)

    async def _once(self) -> bool:
        try:
            return await self._batch()
        except StorageUnavailable:
            raise
        except Exception:
            # One delivery that cannot be drained must not hold up the others, nor be lost.
            get_logger(__name__).exception("batch-not-drained")
            return await self._one_by_one()

    async def _batch(self, only: int | None = None) -> bool:
        async with self.record.begin() as work:
            if only is None:
                await intake.absorb_jobs(work)
            rows, more = await intake.take(work, limit=self.batch, only=only)
            changes = await self._merge(work, rows) if rows else []
        self.observe(changes)
        return more

    async def _one_by_one(self) -> bool:
        async with self.record.begin() as work:
            ids = await intake.oldest(work, limit=self.batch)
        for row_id in ids:
            try:
                await self._batch(only=row_id)
            except StorageUnavailable:
                raise
            except Exception as error:
                get_logger(__name__).exception("delivery-set-aside", inbox_id=row_id)
                async with self.record.begin() as work:
                    await intake.set_aside(work, row_id, f"{type(error).__name__}: {error}")
        return bool(ids)

    async def _merge(self, work: Work, rows: Sequence[Row]) -> list[Change]:
        sayings, received = _sayings(rows)
        newest: dict[Series, datetime] = {}
        for saying in sayings:
            newest[saying.series] = max(saying.starts_at, newest.get(saying.series, saying.starts_at))
        newest = await intake.lock_series(work, newest)
        loaded = await intake.load(work, received.keys())
        changes = episodes.changes(sayings, loaded.known, newest)
        judged = [
            (change, judge(change.episode.labels, change.episode.annotations, self.policy))
            for change in changes
        ]
        await intake.write(work, judged, received)
        for change, judgement in judged:
            _note(work, change, judgement)
        await self._pass_on(work, changes, loaded.incidents)
        return changes

    async def _pass_on(self, work: Work, changes: Sequence[Change], incidents: Mapping[Key, str]) -> None:
        reopened = [change.episode.id for change in changes if change.event is Event.reopened]
        await intake.detach(work, reopened)
        burning = reopened + [change.episode.id for change in changes if change.event is Event.fired]
        for start in range(0, len(burning), ATTACHED_AT_ONCE):
            work.defer(ATTACH, ids=burning[start : start + ATTACHED_AT_ONCE])
        ended = {
            incidents[change.episode.key]
            for change in changes
            if change.state is not State.firing and change.episode.key in incidents
        }
        if ended:
            work.defer(SETTLE, ids=sorted(ended))


def _sayings(rows: Iterable[Row]) -> tuple[list[Episode], dict[Key, int]]:
    """What the deliveries say, and how many speak of each episode."""
    sayings: list[Episode] = []
    received: dict[Key, int] = {}
    for row in rows:
        reading = webhook.read(row.body, now=row.received_at + _ANY_TIME, needs_receiver=False)
        for alert in reading.alerts:
            saying = Episode(
                tenant=row.tenant,
                fingerprint=alert.fingerprint,
                starts_at=alert.starts_at,
                resolved=alert.status == "resolved",
                ends_at=alert.ends_at,
                first_seen=row.received_at,
                last_seen=row.last_seen,
                receiver=reading.receiver,
                labels=alert.labels,
                annotations=alert.annotations,
                generator_url=alert.generator_url,
            )
            sayings.append(saying)
            received[saying.key] = received.get(saying.key, 0) + row.copies
    return sayings, received


def _note(work: Work, change: Change, judgement: Judgement) -> None:
    """The timeline: every new episode with its judgement, and every change of state."""
    episode = change.episode
    event = _NOTED.get(change.event)
    if event is not None:
        # A firing that was taken for ended and fires again does so more than once.
        turn = f":{episode.last_seen.isoformat()}" if change.event is Event.reopened else ""
        work.note(Note(episode.id, f"{change.event.value}{turn}", event, _detail(change)))
    if not change.is_new:
        return
    for decision in judgement.decisions:
        work.decided(episode.id, decision, during="received")
    if change.state is not State.firing:
        why = "resolved-already" if change.event is Event.resolved else change.reason
        decision = Decision(subject="investigation", outcome="not-requested", reason=why)
        work.decided(episode.id, decision, during="received")


def _detail(change: Change) -> str:
    episode = change.episode
    said = f"{change.reason}; starts {episode.starts_at.isoformat()}"
    ends = f", ends {episode.ends_at.isoformat()}" if episode.ends_at else ""
    return f"{said}{ends}; from receiver {episode.receiver}"
