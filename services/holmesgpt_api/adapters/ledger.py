"""Keeps investigations in PostgreSQL, each with the jobs that will end it. Fulfils `ports.Ledger`."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.alerts import Priority
from libs.contracts.feedback import FeedbackCounts
from libs.contracts.investigations import InvestigationRequest, InvestigationStatus
from libs.jobs import Jobs
from libs.storage import Database, StorageUnavailable
from libs.storage.few import Few
from services.holmesgpt_api.adapters import ledger_sql as sql
from services.holmesgpt_api.adapters import line
from services.holmesgpt_api.domain import line as line_rule
from services.holmesgpt_api.domain.commission import Commission, most_open
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.custom.approval import Approval, approval
from services.holmesgpt_api.domain.errors import KeyReused, TooManyInvestigations
from services.holmesgpt_api.domain.filter import EVERYTHING, Filter
from services.holmesgpt_api.domain.model import NAME as HOLMES
from services.holmesgpt_api.domain.ports import Held, Opened
from services.holmesgpt_api.domain.record import Claimed, Failure, Position, Record, Replay
from services.holmesgpt_api.domain.verdict import Verdict

CONDUCT, EXPIRE, DEEPEN = "conduct", "expire", "deepen"
TRIES = 3
"""To record a request whose like ends just then."""

QUEUE, MODEL_QUEUE = "runs", "model"
"""Names of the jobs and of their queues: a stuck model holds up nobody who only wants triage; `worker.py` says what they do."""

# jsonb stores no NUL, and a log line may contain one. An escaped backslash before "u0000" is none.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class PostgresLedger:
    def __init__(
        self, database: Database, jobs: Jobs, *, life: timedelta, most_open: int | None = None
    ) -> None:
        """`life`: from being asked for to its deadline. `most_open`: of one caller; None in a process that opens none."""
        self._database, self._jobs, self._life, self._most_open = database, jobs, life, most_open
        self._arrivals = Few(database)
        # Turns come one after the other anyway; those of this process wait here and not at a connection each.
        self._one_turn = asyncio.Lock()

    async def open(self, commission: Commission) -> Opened:
        values = values_of(commission, self._life, self._most_open)
        async with self._arrivals.begin() as conn:
            return await opened(conn, self._jobs, sql.OPEN, values, commission, self._life)

    async def get(self, investigation_id: str, *, tenant: str) -> Record | None:
        if "\0" in investigation_id:
            return None
        async with self._database.begin() as conn:
            found = await conn.execute(sql.GET, {"id": investigation_id, "tenant": tenant})
            row = found.mappings().first()
        return None if row is None else record_of(row)

    async def page(
        self, tenant: str, *, before: Position | None, limit: int, only: Filter = EVERYTHING
    ) -> Sequence[Record]:
        asked = {name: value for name, value in asdict(only).items() if value is not None}
        values = {"tenant": tenant, "limit": limit, **asked}
        if before is not None:
            values |= {"created_at": before.created_at, "id": before.id}
        async with self._database.begin() as conn:
            rows = (await conn.execute(sql.page(values.keys()), values)).mappings().all()
        return [record_of(row) for row in rows]

    async def ended(self, ids: Collection[str]) -> Sequence[Record]:
        async with self._database.begin() as conn:
            rows = (await conn.execute(sql.ENDED, {"ids": list(ids)})).mappings().all()
        return [record_of(row) for row in rows]

    async def claim(self, investigation_id: str) -> Claimed | None:
        async with self._database.begin() as conn:
            row = (await conn.execute(sql.CLAIM, {"id": investigation_id})).mappings().first()
        if row is None:
            return None
        return _claimed(row)

    async def hold(
        self, run: Claimed, interim: Verdict, seen: Collection[str], *, evidence_key: bytes | None = None
    ) -> bool:
        values = {
            "id": run.id,
            "fence": run.fence,
            "interim": document(interim),
            "seen": sorted(seen),
            "evidence_key": evidence_key,
        }
        async with self._database.begin() as conn:
            if not (await conn.execute(sql.HOLD, values)).rowcount:
                return False
            await self._jobs.defer(conn, DEEPEN, {"investigation_id": run.id})
        return True

    async def take_next(self, token: int, *, named: str) -> Held | None:
        async with self._one_turn, self._database.begin() as conn:
            again = await conn.execute(sql.TAKE_AGAIN, {"token": token, "named": named})
            row = again.mappings().first()
            if row is not None:
                return _held(row)
            lanes = await line.lock(conn)
            while (turn := await line.next_in_line(conn, lanes)) is not None:
                taken = await conn.execute(sql.TAKE, {"id": turn.next.id, "token": token})
                row = taken.mappings().first()
                if row is not None:
                    await line.move_on(conn, turn.lanes)
                    await self._call_another(conn)
                    return replace(_held(row), waited=turn.next.waited, why=turn.why)
                # Cancelled, or over, while this transaction waited for its row.
        return None

    async def _call_another(self, conn: AsyncConnection) -> None:
        """Where somebody waits a job is there that will take them: each that is held brings one, and none may be short."""
        if await line.anybody_waits(conn) and not await self._jobs.any_waiting(conn, DEEPEN):
            await self._jobs.defer(conn, DEEPEN, {"investigation_id": ""})

    async def note(
        self, run: Claimed, *, progress: int, stage: str, happened: Happening | None = None
    ) -> bool:
        values = {"id": run.id, "fence": run.fence, "progress": progress, "stage": stage}
        async with self._database.begin() as conn:
            if not (await conn.execute(sql.NOTE, values)).rowcount:
                return False
            if happened is not None:
                told = {"id": run.id, "name": happened.name.value, "data": _json(happened.data)}
                await conn.execute(sql.TELL, told)
        return True

    async def trouble(self, run: Claimed, *, code: str, detail: str) -> bool:
        return await self._of_run(sql.TROUBLE, run, code=code, trouble=_storable(detail))

    async def remembered(
        self, evidence_key: bytes, *, tenant: str, not_older_than: timedelta
    ) -> Verdict | None:
        values = {
            "evidence_key": evidence_key,
            "tenant": tenant,
            "not_older_than": not_older_than,
            "engine": HOLMES,
        }
        async with self._database.begin() as conn:
            row = (await conn.execute(sql.REMEMBERED, values)).mappings().first()
        if row is None:
            return None
        return Verdict.model_validate_json(row["verdict"]).model_copy(update={"cached_from": row["id"]})

    async def conclude(
        self, run: Claimed, verdict: Verdict, seen: Collection[str], *, interim: Verdict | None = None
    ) -> bool:
        return await self._of_run(
            sql.CONCLUDE,
            run,
            verdict=document(verdict),
            seen=sorted(seen),
            interim=None if interim is None else document(interim),
        )

    async def give_up(self, run: Claimed, *, code: str, error: str) -> bool:
        return await self._of_run(sql.GIVE_UP, run, code=code, error=_storable(error))

    async def _of_run(self, statement: Any, run: Claimed, **values: Any) -> bool:
        async with self._database.begin() as conn:
            done = await conn.execute(statement, {"id": run.id, "fence": run.fence, **values})
        return bool(done.rowcount)

    async def expire(self, investigation_id: str) -> Record | None:
        async with self._database.begin() as conn:
            row = (await conn.execute(sql.EXPIRE, {"id": investigation_id})).mappings().first()
        return None if row is None else record_of(row)

    async def cancel(self, investigation_id: str, *, tenant: str, by: str) -> Record | None:
        values = {"id": investigation_id, "tenant": tenant, "by": by}
        async with self._database.begin() as conn:
            row = (await conn.execute(sql.CANCEL, values)).mappings().first()
        return None if row is None else record_of(row)

    async def lost(self, runs: Mapping[str, int]) -> Collection[str]:
        values = {"ids": list(runs), "fences": list(runs.values())}
        async with self._database.begin() as conn:
            return set((await conn.execute(sql.LOST, values)).scalars())

    async def forget(self, *, older_than: timedelta, at_most: int) -> int:
        async with self._database.begin() as conn:
            await line.forget_tenants(conn)
            done = await conn.execute(sql.FORGET, {"older_than": older_than, "at_most": at_most})
        return done.rowcount


async def opened(
    conn: AsyncConnection,
    jobs: Jobs,
    statement: TextClause,
    values: Mapping[str, Any],
    commission: Commission,
    life: timedelta,
) -> Opened:
    """A new row and its jobs; or the row that is there already, for the same key or for a run that can be shared.

    Raises:
        KeyReused
        TooManyInvestigations: of this caller; what is there already is given all the same.
        StorageUnavailable: others are faster each time.
    """
    most = values["most_open"]
    for _ in range(TRIES):
        row = (await conn.execute(statement, values)).mappings().first()
        if row is not None:
            if most is not None and row["open_of_caller"] >= most:
                raise TooManyInvestigations(most)
            await set_going(conn, jobs, row, life)
            return Opened(record_of(row), new=True)
        known = await _known(conn, commission)
        if known is not None:
            return Opened(known, new=False)
    raise StorageUnavailable("conflict", "the same request", retry_after=timedelta(seconds=1))


async def set_going(conn: AsyncConnection, jobs: Jobs, row: RowMapping, life: timedelta) -> None:
    """The jobs that conduct an investigation and end it, in the transaction that records it. `row`: as it was opened."""
    arguments = {"investigation_id": row["id"]}
    urgency = line_rule.urgency(Priority(row["priority"]), row["not_triaged"])
    await jobs.defer(conn, CONDUCT, arguments, lock=row["id"], priority=urgency)
    await jobs.defer(conn, EXPIRE, arguments, in_=life)


def values_of(commission: Commission, life: timedelta, limit: int | None) -> Mapping[str, Any]:
    """`limit`: how many one caller may have under way (`most_open`); None: any number."""
    return {
        "id": f"inv-{uuid.uuid4().hex}",
        "tenant": commission.tenant,
        "asker": commission.asker,
        "reads": list(commission.reads),
        "key": commission.idempotency_key,
        "shared_key": commission.shared_key,
        "digest": commission.digest,
        "request": commission.request.model_dump_json(exclude_unset=True),
        "namespace": commission.namespace,
        "priority": commission.priority.value,
        "seen": [] if commission.namespace is None else [commission.namespace],
        "life": life,
        "most_open": None if limit is None else most_open(limit, commission.priority),
    }


async def _known(conn: AsyncConnection, commission: Commission) -> Record | None:
    """The investigation that this key gave before, or whose run can be shared.

    None: it has ended, or was deleted for its age, between the two statements: its place is free.
    """
    if commission.shared_key is not None:
        shared = await conn.execute(sql.SHARED, {"shared_key": commission.shared_key})
        running = shared.mappings().first()
        return None if running is None else record_of(running)
    values = {"tenant": commission.tenant, "asker": commission.asker, "key": commission.idempotency_key}
    row = (await conn.execute(sql.BY_KEY, values)).mappings().first()
    if row is None:
        return None
    if bytes(row["digest"]) != commission.digest:
        raise KeyReused(row["id"])
    return record_of(row)


def _held(row: RowMapping) -> Held:
    return Held(_claimed(row), Verdict.model_validate_json(row["interim"]))


def _claimed(row: RowMapping) -> Claimed:
    return Claimed(
        id=row["id"],
        fence=row["fence"],
        tenant=row["tenant"],
        asker=row["asker"],
        reads=tuple(row["reads"]),
        request=InvestigationRequest.model_validate_json(row["request"]),
        priority=Priority(row["priority"]),
        seen=tuple(row["seen"]),
        time_left=row["time_left"],
        age=row["age"],
        replay=_replay(row["replay"]),
        frozen=None if row["frozen"] is None else Verdict.model_validate_json(row["frozen"]),
    )


def record_of(row: RowMapping) -> Record:
    verdict, interim, error = row["verdict"], row["interim"], row["error"]
    return Record(
        id=row["id"],
        tenant=row["tenant"],
        asker=row["asker"],
        request=InvestigationRequest.model_validate_json(row["request"]),
        priority=Priority(row["priority"]),
        namespace=row["namespace"],
        status=InvestigationStatus(row["status"]),
        progress=row["progress"],
        stage=row["stage"],
        runs=row["runs"],
        seen=tuple(row["seen"]),
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        read_at=row["read_at"],
        reads=tuple(row["reads"]),
        verdict=None if verdict is None else Verdict.model_validate_json(verdict),
        interim=None if interim is None else Verdict.model_validate_json(interim),
        queue_position=row["queue_position"],
        failure=None if error is None else Failure(row["error_code"], error),
        cancelled_by=row["cancelled_by"],
        feedback=None if row["feedback"] is None else FeedbackCounts.model_validate_json(row["feedback"]),
        replay=_replay(row["replay"]),
        original=None if row["original"] is None else Verdict.model_validate_json(row["original"]),
        approvals=_approvals(row["approvals"]),
    )


def _approvals(rows: Sequence[Mapping[str, Any]] | None) -> list[Approval]:
    return [approval(one) for one in rows or ()]


def _replay(document_: str | None) -> Replay | None:
    return None if document_ is None else Replay(**json.loads(document_))


def document(verdict: Verdict) -> str:
    return _NUL.sub("\\1\\\\ufffd", verdict.model_dump_json())


def _json(data: Mapping[str, Any]) -> str:
    return _NUL.sub("\\1\\\\ufffd", json.dumps(data))


def _storable(text_: str) -> str:
    return text_.replace("\0", "\ufffd")
