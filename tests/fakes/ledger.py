"""A ledger in memory that keeps the promises of `ports.Ledger`; tests/integration holds it to them.

`calls` logs every side effect. Jobs are not run: `jobs` lists what would be.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.contracts.investigations import InvestigationStatus
from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.domain.commission import Commission, most_open
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.errors import KeyReused, TooManyInvestigations
from services.holmesgpt_api.domain.filter import EVERYTHING, Filter
from services.holmesgpt_api.domain.opinion import fall_back
from services.holmesgpt_api.domain.ports import Held, Opened
from services.holmesgpt_api.domain.record import Claimed, Failure, Position, Record
from services.holmesgpt_api.domain.verdict import Verdict
from tests.fakes.line import MemoryLine


@dataclass
class MemoryLedger:
    life: timedelta = timedelta(minutes=5)
    most_open: int | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    line: MemoryLine = field(default_factory=MemoryLine)
    """Those that wait for a place at the model."""
    happened: list[tuple[str, Happening]] = field(default_factory=list)
    """What has been noted besides progress. Events of the rows themselves are the database's part."""
    away: bool = False
    """True: the database does not answer."""
    rows: dict[str, Record] = field(default_factory=dict)
    _commissions: dict[str, Commission] = field(default_factory=dict)
    _keys: dict[str, bytes | None] = field(default_factory=dict)
    _troubles: dict[str, tuple[str, str]] = field(default_factory=dict)
    _tokens: dict[int, str] = field(default_factory=dict)

    def _now(self) -> datetime:
        if self.away:
            raise StorageUnavailable("unreachable", "away", retry_after=timedelta(seconds=1))
        return self.clock()

    async def open(self, commission: Commission) -> Opened:
        now = self._now()
        for id_, known in self._commissions.items():
            if known.idempotency_key is not None and _key(known) == _key(commission):
                if known.digest != commission.digest:
                    raise KeyReused(id_)
                return Opened(self._read(id_, now), new=False)
            shared = known.shared_key is not None and known.shared_key == commission.shared_key
            if shared and not self.rows[id_].ended:
                return Opened(self._read(id_, now), new=False)
        open_ = [row for row in self.rows.values() if not row.ended and _of(row) == _of(commission)]
        most = None if self.most_open is None else most_open(self.most_open, commission.priority)
        if most is not None and len(open_) >= most:
            raise TooManyInvestigations(most)
        id_ = f"inv-{len(self.rows) + 1}"
        self._commissions[id_] = commission
        self.rows[id_] = Record(
            id=id_,
            tenant=commission.tenant,
            asker=commission.asker,
            request=commission.request,
            priority=commission.priority,
            namespace=commission.namespace,
            status=InvestigationStatus.started,
            progress=0,
            stage="",
            runs=0,
            seen=() if commission.namespace is None else (commission.namespace,),
            created_at=now,
            ended_at=None,
            read_at=now,
            reads=commission.reads,
        )
        self.jobs.append(id_)
        return Opened(self.rows[id_], new=True)

    def _read(self, id_: str, now: datetime) -> Record:
        place = self.line.place(id_) if id_ in self.line.held else None
        return replace(self.rows[id_], read_at=now, queue_position=place)

    async def get(self, investigation_id: str, *, tenant: str) -> Record | None:
        now = self._now()
        row = self.rows.get(investigation_id)
        return self._read(row.id, now) if row and row.tenant == tenant else None

    async def page(
        self, tenant: str, *, before: Position | None, limit: int, only: Filter = EVERYTHING
    ) -> Sequence[Record]:
        self._now()
        rows = sorted(
            (r for r in self.rows.values() if r.tenant == tenant and only.matches(r)),
            key=lambda r: (r.created_at, r.id),
        )
        if before is not None:
            rows = [r for r in rows if (r.created_at, r.id) < (before.created_at, before.id)]
        return rows[::-1][:limit]

    async def ended(self, ids: Collection[str]) -> Sequence[Record]:
        self.calls.append(("ended", sorted(ids)))
        self._now()
        return [self.rows[id_] for id_ in ids if id_ in self.rows and self.rows[id_].ended]

    async def claim(self, investigation_id: str) -> Claimed | None:
        now = self._now()
        row = self.rows.get(investigation_id)
        if row is None or row.ended or row.interim is not None:
            return None
        row = replace(row, status=InvestigationStatus.running, runs=row.runs + 1, stage=row.stage or "begun")
        self.rows[row.id] = row
        return self._claimed(row, now)

    def _claimed(self, row: Record, now: datetime) -> Claimed:
        commission = self._commissions[row.id]
        return Claimed(
            id=row.id,
            fence=row.runs,
            tenant=row.tenant,
            asker=row.asker,
            reads=commission.reads,
            request=row.request,
            priority=row.priority,
            seen=tuple(row.seen),
            time_left=row.created_at + self.life - now,
            age=now - row.created_at,
        )

    async def hold(
        self, run: Claimed, interim: Verdict, seen: Collection[str], *, evidence_key: bytes | None = None
    ) -> bool:
        row = self.rows[run.id]
        if row.interim is not None:
            return False
        stage, progress = "held: waiting for a place at the model", max(row.progress, 40)
        known = {"interim": interim, "seen": tuple(sorted(seen)), "stage": stage, "progress": progress}
        if not self._change(run, "hold", **known):
            return False
        self.line.join(run.id, row.priority, row.tenant)
        self._keys[run.id] = evidence_key
        return True

    async def take_next(self, token: int, *, named: str) -> Held | None:
        now = self._now()
        before = self.rows.get(self._tokens.get(token, ""))
        turn = None if before and not before.ended else self.line.take()
        row = self.rows[turn.next.id] if turn else before
        if row is None or row.ended or row.interim is None:
            return None
        self._tokens[token] = row.id
        row = replace(row, runs=row.runs + 1, stage="asking the model")
        self.rows[row.id] = row
        run, interim = self._claimed(row, now), row.interim
        assert interim is not None
        return Held(run, interim, turn.next.waited, turn.why) if turn else Held(run, interim)

    def _change(self, run: Claimed, word: str, **values: Any) -> bool:
        self._now()
        row = self.rows[run.id]
        if row.ended or row.runs != run.fence:
            return False
        if values.get("ended_at") is not None:
            values["interim"] = None
            self.line.leave(run.id)
        self.rows[run.id] = replace(row, **values)
        self.calls.append((word, run.id))
        return True

    async def note(
        self, run: Claimed, *, progress: int, stage: str, happened: Happening | None = None
    ) -> bool:
        progress = max(self.rows[run.id].progress, progress)
        if not self._change(run, "note", progress=progress, stage=stage):
            return False
        self.happened += [] if happened is None else [(run.id, happened)]
        return True

    async def trouble(self, run: Claimed, *, code: str, detail: str) -> bool:
        self._troubles[run.id] = (code, detail)
        return self._change(run, "trouble", stage=f"waiting: {detail}")

    async def remembered(
        self, evidence_key: bytes, *, tenant: str, not_older_than: timedelta
    ) -> Verdict | None:
        since = self._now() - not_older_than
        found = [
            row
            for row in self.rows.values()
            if self._keys.get(row.id) == evidence_key
            and row.tenant == tenant
            and row.verdict is not None
            and (row.verdict.engine, row.verdict.degraded_reason) == ("holmesgpt", None)
            and row.ended_at is not None
            and row.ended_at > since
        ]
        if not found:
            return None
        last = max(found, key=lambda row: row.ended_at or since)
        assert last.verdict
        return last.verdict.model_copy(update={"cached_from": last.id})

    async def conclude(
        self, run: Claimed, verdict: Verdict, seen: Collection[str], *, interim: Verdict | None = None
    ) -> bool:
        return self._change(
            run,
            "conclude",
            status=InvestigationStatus.completed,
            progress=100,
            stage="ended",
            verdict=verdict,
            seen=tuple(sorted(seen)),
            ended_at=self._now(),
        )

    async def give_up(self, run: Claimed, *, code: str, error: str) -> bool:
        failed = InvestigationStatus.failed
        return self._change(run, "give_up", status=failed, failure=Failure(code, error), ended_at=self._now())

    async def expire(self, investigation_id: str) -> Record | None:
        now = self._now()
        row = self.rows.get(investigation_id)
        if row is None or row.ended or row.created_at + self.life > now:
            return None
        if row.interim is not None:
            said = (
                "no place at the model was free by the deadline"
                if row.id in self.line.held
                else f"no conclusion by the deadline; last stage: {row.stage}"
            )
            self.line.leave(row.id)
            self.rows[row.id] = replace(
                row,
                status=InvestigationStatus.completed,
                progress=100,
                verdict=fall_back(row.interim, "model-timeout", said),
                interim=None,
                ended_at=now,
            )
            self.calls.append(("expire", row.id))
            return self.rows[row.id]
        code, trouble = self._troubles.get(row.id, ("deadline-passed", ""))
        failure = Failure(
            code, f"No result within {self.life.total_seconds():.0f} s. Last trouble: {trouble}."
        )
        self.rows[row.id] = replace(row, status=InvestigationStatus.failed, failure=failure, ended_at=now)
        self.calls.append(("expire", row.id))
        return self.rows[row.id]

    async def cancel(self, investigation_id: str, *, tenant: str, by: str) -> Record | None:
        now = self._now()
        row = self.rows.get(investigation_id)
        if row is None or row.tenant != tenant or row.ended:
            return None
        self.line.leave(row.id)
        self.rows[row.id] = replace(
            row,
            status=InvestigationStatus.cancelled,
            stage="cancelled",
            cancelled_by=by,
            interim=None,
            ended_at=now,
        )
        self.calls.append(("cancel", row.id))
        return self.rows[row.id]

    async def lost(self, runs: Mapping[str, int]) -> Collection[str]:
        self._now()
        rows = {id_: self.rows.get(id_) for id_ in runs}
        return [id_ for id_, row in rows.items() if row is None or row.ended or row.runs != runs[id_]]

    async def forget(self, *, older_than: timedelta, at_most: int) -> int:
        now = self._now()
        old = [r.id for r in self.rows.values() if r.ended_at is not None and r.ended_at < now - older_than]
        for id_ in old[:at_most]:
            del self.rows[id_], self._commissions[id_]
        return len(old[:at_most])


def _of(one: Record | Commission) -> tuple[str, str]:
    return one.tenant, one.asker


def _key(commission: Commission) -> tuple[str, str, str | None]:
    return commission.tenant, commission.asker, commission.idempotency_key
