"""Take what callers say about answers, keep what follows, and tell how much context each tier leaves out now.

Questions for evidence never wait for the record: they go by what this process knows of it, which is seconds old at
most while the database serves. Nothing known: what the release brings.
"""

from __future__ import annotations

import asyncio
import hashlib
import statistics
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from libs.auth.principal import Principal
from libs.contracts import tuning as wire
from libs.contracts.bundle import InvestigationType
from libs.contracts.tuning import (
    AnswerFeedback,
    LlmPerformance,
    Rollback,
    Tuned,
    TuningHistory,
    TuningVersion,
)
from libs.logs import get_logger
from services.context_api.domain.errors import (
    KeyReused,
    NoRecord,
    Outdated,
    RecordAway,
    TooMuchFeedback,
    UnknownVersion,
)
from services.context_api.domain.tiers import Tier, assess
from services.context_api.domain.tuning import (
    MOST_AN_HOUR,
    SUBJECTS,
    Decided,
    Said,
    Standing,
    Subject,
    Why,
    after,
    bounded,
    decide,
    initial,
    rolled_back,
)

if TYPE_CHECKING:
    # Late where it runs: SQLAlchemy takes a while to import, and without a database nobody needs it.
    from services.context_api.adapters.tuning_record import TuningRecord, Work

FRESH = timedelta(seconds=15)
"""What is known of a tenant is looked up again after this. A rollback in another replica counts that soon."""

FIRST = timedelta(milliseconds=200)
"""The first question of a tenant waits so long for its tuning; the others never."""

MOST_TENANTS = 1_000
"""Known at once; the one unused for longest is forgotten and looked up again."""

PAGE = 50
"""Versions on one page of a history."""

AGAIN = (1, 5, 15, 60)
"""Seconds between two attempts to bring the schema up to date; the last one repeats."""

_log = get_logger("tuning")


class Meters(Protocol):
    """Who counts."""

    def said(self, tier: str, outcome: str, quality: float | None) -> None:
        """Feedback came, and this followed; `quality` where it was counted."""
        ...

    def moved(self, tier: str, how: str) -> None:
        """A share moved: `automatic`, or by `rollback`."""
        ...

    def degraded(self, subject: Subject, tenants: int) -> None:
        """So many tenants' answers are bad, as far as this process knows."""
        ...


class Tunings:
    """One per process."""

    def __init__(
        self, record: TuningRecord | None, meters: Meters, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`record`: None where no database is set; then nothing moves."""
        self._record, self._meters, self._clock = record, meters, clock
        self._ready = asyncio.Event()
        self._known: OrderedDict[str, tuple[float, Mapping[Subject, Standing]]] = OrderedDict()
        self._looking: dict[str, asyncio.Task[None]] = {}

    async def prepare(self) -> None:
        """Until the schema is up to date. A database that is away keeps no evidence from anybody."""
        attempt = 0
        while self._record is not None and not self._ready.is_set():
            try:
                await self._record.prepare()
                self._ready.set()
            except Exception as error:
                # Whatever it is: what is kept here must not end a service that others need without it.
                pause = AGAIN[min(attempt, len(AGAIN) - 1)]
                unforeseen = None if isinstance(error, RecordAway) else error
                _log.warning(
                    "tuning-record-not-ready", reason=str(error), again_in_s=pause, exc_info=unforeseen
                )
                attempt += 1
                await asyncio.sleep(pause)

    async def check(self) -> None:
        """Raises RecordAway, NoRecord: what is said about answers cannot be kept now."""
        # Most schemas are up to date within this second, and then the service is well from its first answer on.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ready.wait(), 1)
        await self._kept().check()

    @property
    def is_kept(self) -> bool:
        return self._record is not None

    async def reduction(self, tenant: str, subject: Subject) -> float:
        """The share that is left out now. Never raises, and waits only for a tenant's first look-up."""
        if not self._ready.is_set():
            return subject.most
        known = self._known.get(tenant)
        if known is None or self._clock() - known[0] > FRESH.total_seconds():
            looking = self._look_up(tenant)
            if known is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(looking), FIRST.total_seconds())
                known = self._known.get(tenant)
        if known is None:
            return subject.most
        if tenant in self._known:
            self._known.move_to_end(tenant)
        return bounded(subject, known[1].get(subject, initial(subject)).reduction)

    async def feedback(self, said: AnswerFeedback, key: str | None, caller: Principal) -> LlmPerformance:
        """Record it and decide; the same `key` and feedback get the same answer.

        Raises:
            NoRecord, RecordAway: it is not recorded.
            TooMuchFeedback, KeyReused: it is not counted.
        """
        record, subject = self._kept(), subject_of(said)
        digest = hashlib.sha256(f"{subject}\x00{said.model_dump_json()}".encode()).digest()
        async with record.begin(caller.tenant, subject) as work:
            if key is not None and (found := await work.remembered(caller.name, key)) is not None:
                if found[0] != digest:
                    raise KeyReused
                self._meters.said(subject.tier.value, "repeated", None)
                return LlmPerformance.model_validate_json(found[1])
            lately = await work.lately(caller.name)
            if len(lately) >= MOST_AN_HOUR:
                self._meters.said(subject.tier.value, "too-much", None)
                free = lately[-MOST_AN_HOUR] + timedelta(hours=1) - work.now
                raise TooMuchFeedback(MOST_AN_HOUR, retry_after=max(free, timedelta(seconds=1)))
            await work.add(caller.name, said)
            voices, times = await work.said()
            before = work.standing
            decided = decide(subject, before, voices, work.now)
            standing = after(before, decided, work.now)
            if standing != before:
                await work.write(standing)
            if decided.moved:
                await work.note(
                    TuningVersion(
                        version=standing.version,
                        reduction=decided.reduction,
                        previous=before.reduction,
                        reason=decided.why,
                        detail=decided.detail,
                        quality=decided.quality,
                        answers=decided.answers,
                        made_by="automatic",
                        made_at=work.now,
                    )
                )
            answer = _performance(subject, said, before, standing, decided, voices, times)
            if key is not None:
                await work.remember(caller.name, key, digest, answer.model_dump_json())
        self._learn(caller.tenant, subject, standing)
        self._tell(caller.tenant, subject, said, before, standing, decided)
        return answer

    async def present(self, tenant: str) -> wire.Tuning:
        """What every tier leaves out now, and why."""
        if self._record is None:
            detail = f"{NoRecord()}; until then every tier leaves out what it may"
            return wire.Tuning(
                kept=False, detail=detail, subjects=[_tuned(one, initial(one), None) for one in SUBJECTS]
            )
        found = await self._kept().standings(tenant)
        return wire.Tuning(
            kept=True,
            subjects=[_tuned(one, *found.get(one, (initial(one), None))) for one in SUBJECTS],
        )

    async def history(self, tenant: str, subject: Subject, before: int | None) -> TuningHistory:
        """One subject with the versions it had."""
        async with self._kept().look(tenant, subject) as work:
            return await _history(work, subject, before)

    async def roll_back(self, asked: Rollback, subject: Subject, caller: Principal) -> TuningHistory:
        """Put it back to what a version left out; asked again, nothing changes.

        Raises:
            UnknownVersion: there was no such version.
            Outdated: another one is in force than was decided on.
            NoRecord, RecordAway: it is not done.
        """
        async with self._kept().begin(caller.tenant, subject) as work:
            before = work.standing
            if asked.version > before.version:
                raise UnknownVersion(asked.version, before.version)
            wanted = subject.most
            if asked.version:
                found = await work.version(asked.version)
                if found is None:
                    raise UnknownVersion(asked.version, before.version)
                wanted = found.reduction
            latest = await work.version(before.version) if before.version else None
            detail = f"to version {asked.version}: {asked.comment}"
            if latest is not None and (latest.reason, latest.detail) == (Why.rolled_back, detail):
                return await _history(work, subject, None)
            if asked.present is not None and asked.present != before.version:
                raise Outdated(asked.present, before.version)
            standing = rolled_back(before, subject, wanted, work.now)
            await work.write(standing)
            await work.note(
                TuningVersion(
                    version=standing.version,
                    reduction=standing.reduction,
                    previous=before.reduction,
                    reason=Why.rolled_back,
                    detail=detail,
                    quality=None,
                    answers=0,
                    made_by=caller.name,
                    made_at=work.now,
                )
            )
            versions = await work.versions(None, PAGE + 1)
        history = _page(subject, standing, versions[0], versions)
        self._learn(caller.tenant, subject, standing)
        self._meters.moved(subject.tier.value, "rollback")
        _log.info(
            "tuning-rolled-back",
            tenant=caller.tenant,
            subject=str(subject),
            version=standing.version,
            by=caller.name,
        )
        return history

    async def close(self) -> None:
        for task in self._looking.values():
            task.cancel()
        await asyncio.gather(*self._looking.values(), return_exceptions=True)
        if self._record is not None:
            await self._record.close()

    def _kept(self) -> TuningRecord:
        if self._record is None:
            raise NoRecord
        if not self._ready.is_set():
            raise RecordAway("it is not ready yet", retry_after=timedelta(seconds=AGAIN[1]))
        return self._record

    def _look_up(self, tenant: str) -> asyncio.Task[None]:
        task = self._looking.get(tenant)
        if task is None:
            task = self._looking[tenant] = asyncio.create_task(self._looked_up(tenant), name="tuning")
            task.add_done_callback(lambda _: self._looking.pop(tenant, None))
        return task

    async def _looked_up(self, tenant: str) -> None:
        record = self._record
        if record is None:
            return
        try:
            found = {subject: standing for subject, (standing, _) in (await record.standings(tenant)).items()}
        except Exception as error:
            unforeseen = None if isinstance(error, RecordAway) else error
            _log.warning("tuning-not-looked-up", tenant=tenant, reason=str(error), exc_info=unforeseen)
            # As it was, for a while: otherwise every question would ask a database that does not answer.
            found = dict(self._known.get(tenant, (0.0, {}))[1])
        self._keep(tenant, found)

    def _learn(self, tenant: str, subject: Subject, standing: Standing) -> None:
        """This process goes by its own decisions at once."""
        known = self._known.get(tenant)
        if known is not None:
            self._known[tenant] = (known[0], {**known[1], subject: standing})
        else:
            self._look_up(tenant)
        self._count(subject)

    def _keep(self, tenant: str, found: Mapping[Subject, Standing]) -> None:
        self._known[tenant] = (self._clock(), found)
        self._known.move_to_end(tenant)
        if len(self._known) > MOST_TENANTS:
            self._known.popitem(last=False)
        for subject in found:
            self._count(subject)

    def _count(self, subject: Subject) -> None:
        bad = sum(known[subject].degraded for _, known in self._known.values() if subject in known)
        self._meters.degraded(subject, bad)

    def _tell(
        self,
        tenant: str,
        subject: Subject,
        said: AnswerFeedback,
        before: Standing,
        standing: Standing,
        decided: Decided,
    ) -> None:
        self._meters.said(subject.tier.value, decided.why, said.quality)
        if decided.moved:
            self._meters.moved(subject.tier.value, "automatic")
            _log.info(
                "tuning-moved",
                tenant=tenant,
                subject=str(subject),
                version=standing.version,
                reduction=standing.reduction,
                previous=before.reduction,
                reason=decided.why.value,
                detail=decided.detail,
            )
        if decided.degraded and not before.degraded:
            _log.warning("answers-degraded", tenant=tenant, subject=str(subject), quality=decided.quality)


def subject_of(said: AnswerFeedback) -> Subject:
    """What the feedback is about; an alert of no known severity counts as middling, as it does everywhere."""
    tier = Tier(said.tier) if said.tier else assess(said.severity or "", "").tier
    return Subject(tier, said.investigation_type or InvestigationType.root_cause)


async def _history(work: Work, subject: Subject, before: int | None) -> TuningHistory:
    standing = work.standing
    latest = await work.version(standing.version) if standing.version else None
    return _page(subject, standing, latest, await work.versions(before, PAGE + 1))


def _page(
    subject: Subject, standing: Standing, latest: TuningVersion | None, versions: list[TuningVersion]
) -> TuningHistory:
    more = len(versions) > PAGE
    return TuningHistory(
        present=_tuned(subject, standing, latest),
        versions=versions[:PAGE],
        next_before=versions[PAGE - 1].version if more else None,
    )


def _tuned(subject: Subject, standing: Standing, latest: TuningVersion | None) -> Tuned:
    return Tuned(
        tier=subject.tier,
        investigation_type=subject.investigation,
        reduction=bounded(subject, standing.reduction),
        most=subject.most,
        version=standing.version,
        reason=latest.reason if latest else Why.default,
        detail=latest.detail if latest else "",
        changed_at=standing.changed_at,
        held_until=standing.held_until,
        degraded=standing.degraded,
    )


def _performance(
    subject: Subject,
    said: AnswerFeedback,
    before: Standing,
    standing: Standing,
    decided: Decided,
    voices: list[Said],
    times: list[float],
) -> LlmPerformance:
    quality, baseline = decided.quality, before.baseline
    difference = None if quality is None or baseline is None else round(quality - baseline, 4)
    return LlmPerformance(
        status="recorded",
        tier=subject.tier,
        investigation_type=subject.investigation,
        version=standing.version,
        tracked_metrics={
            "quality": said.quality,
            "response_time_s": said.response_time,
            "median_quality": quality,
            "median_response_time_s": round(statistics.median(times), 3) if times else None,
            "answers": len(voices),
            "callers": len({one.caller for one in voices}),
            "context_reduction": bounded(subject, before.reduction),
        },
        baseline_comparison={
            "baseline_quality": baseline,
            "current_quality": quality,
            "difference": difference,
            "version": before.version,
        },
        automatic_adjustment_triggered=decided.moved,
        new_context_reduction_target=decided.reduction,
        reason=decided.why,
        alert_generated=decided.degraded,
        alert_details=f"answers are bad: quality {quality:.2f}; {decided.why}: {decided.detail}"
        if decided.degraded
        else "",
    )
