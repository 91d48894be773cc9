"""What processes tell each other of configuration, models and monitoring, through the database they share."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import orjson
from sqlalchemy import text

from libs.contracts.alerts import Priority
from libs.contracts.providers import ProcessInfo
from libs.storage import Database
from services.holmesgpt_api.adapters import ledger_sql
from services.holmesgpt_api.adapters.engine_reports import FRESH
from services.holmesgpt_api.adapters.pins import PostgresPins
from services.holmesgpt_api.domain.engine_health import Report
from services.holmesgpt_api.domain.overview import Seen, Tally

_ANNOUNCE = text("INSERT INTO configuration (digest, asked_by) VALUES (:digest, :by) RETURNING version")
_FORGET = text("DELETE FROM configuration WHERE version <= :version - 50")
_LATEST = text("SELECT version, digest FROM configuration ORDER BY version DESC LIMIT 1")
_PRESENT = text("""
    INSERT INTO process (id, role, version, digest, fault) VALUES (:id, :role, :version, :digest, :fault)
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, digest = excluded.digest,
        fault = excluded.fault, reported_at = now()
""")
_GONE = text("DELETE FROM process WHERE id = :id")
_SILENT = text("DELETE FROM process WHERE reported_at < now() - interval '10 minutes'")
_STAND = text("""
    INSERT INTO model_standing (worker, name, standing)
    SELECT :worker, one->>'name', one FROM jsonb_array_elements(CAST(:standings AS jsonb)) AS one
    ON CONFLICT (worker, name) DO UPDATE SET standing = excluded.standing, reported_at = now()
""")
_SAT_DOWN = text("""
    DELETE FROM model_standing
     WHERE worker = :worker AND NOT name = ANY(:names) OR reported_at < now() - interval '10 minutes'
""")
_PROCESSES = text("""
    SELECT id, role, version, digest, fault FROM process
     WHERE reported_at > now() - CAST(:fresh AS interval) ORDER BY role, id LIMIT 100
""")
_STANDINGS = text("""
    SELECT standing FROM model_standing
     WHERE reported_at > now() - CAST(:fresh AS interval) ORDER BY name, worker LIMIT 500
""")
_ACTIVE = text("SELECT count(*) FROM investigation WHERE ended_at IS NULL")
_WANTED = text("SELECT wanted FROM monitoring")
_WANT = text("""
    INSERT INTO monitoring (wanted, asked_by) VALUES (:wanted, :by)
    ON CONFLICT (single) DO UPDATE
       SET wanted = excluded.wanted, asked_by = excluded.asked_by, asked_at = now()
""")


@dataclass(frozen=True, slots=True)
class Word:
    """What everybody is to follow."""

    version: int
    digest: str
    monitoring: bool


class Gatherings:
    def __init__(self, database: Database, *, role: str) -> None:
        self._database, self._role, self._id = database, role, uuid.uuid4().hex
        self._pins = PostgresPins(database)

    async def announce(self, digest: str, by: str) -> int:
        """A reload is asked for; its version."""
        async with self._database.begin() as conn:
            version: int = (await conn.execute(_ANNOUNCE, {"digest": digest, "by": by})).scalar_one()
            await conn.execute(_FORGET, {"version": version})
        return version

    async def want(self, *, monitoring: bool, by: str) -> None:
        async with self._database.begin() as conn:
            await conn.execute(_WANT, {"wanted": monitoring, "by": by})

    async def word(self) -> Word:
        async with self._database.begin() as conn:
            latest = (await conn.execute(_LATEST)).one_or_none()
            wanted = (await conn.execute(_WANTED)).scalar_one_or_none()
        version, digest = (latest.version, latest.digest) if latest else (0, "")
        return Word(version, digest, wanted is not False)

    async def present(self, version: int, digest: str, fault: str, tallies: Sequence[Tally]) -> None:
        """Say that this process lives, what it works with, and how it finds its models."""
        values = {"id": self._id, "role": self._role, "version": version, "digest": digest}
        standings = orjson.dumps([one.model_dump() for one in tallies]).decode()
        names = [one.name for one in tallies]
        async with self._database.begin() as conn:
            await conn.execute(_PRESENT, {**values, "fault": fault[:500]})
            await conn.execute(_SILENT)
            if tallies:
                await conn.execute(_STAND, {"worker": self._id, "standings": standings})
            await conn.execute(_SAT_DOWN, {"worker": self._id, "names": names})

    async def leave(self) -> None:
        async with self._database.begin() as conn:
            await conn.execute(_GONE, {"id": self._id})
            await conn.execute(_SAT_DOWN, {"worker": self._id, "names": []})

    async def seen(self, now: Callable[[], float] = time.monotonic) -> Seen:
        """Everything at once: for the answers that are read from it until the next look."""
        fresh: dict[str, timedelta] = {"fresh": FRESH}
        pins = await self._pins.all()
        async with self._database.begin() as conn:
            processes = (await conn.execute(_PROCESSES, fresh)).mappings().all()
            standings = (await conn.execute(_STANDINGS, fresh)).scalars().all()
            engines = (await conn.execute(ledger_sql.REPORTS, fresh)).mappings().all()
            held = (await conn.execute(ledger_sql.HELD_BY_PRIORITY)).all()
            active = (await conn.execute(_ACTIVE)).scalar_one()
            wanted = (await conn.execute(_WANTED)).scalar_one_or_none()
        return Seen(
            at=now(),
            processes=[ProcessInfo(**one) for one in processes],
            tallies=[Tally.model_validate(one) for one in standings],
            engines=[Report(**one) for one in engines],
            held_by_priority={Priority(one.priority): one.held for one in held},
            active=active,
            monitoring=wanted is not False,
            pins=pins,
        )
