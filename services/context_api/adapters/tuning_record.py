"""Keeps tunings in PostgreSQL. Fulfils `steps.tuning.Record`.

A decision holds its subject's row from the first look to the commit, so that two of them never follow from the same
answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import SecretStr
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.bundle import InvestigationType
from libs.contracts.tuning import AnswerFeedback, TuningVersion
from libs.storage import Database, MigrationFailed, StorageSettings, StorageUnavailable, migrate
from services.context_api.domain.errors import KeyReused, RecordAway
from services.context_api.domain.tiers import Tier
from services.context_api.domain.tuning import NEWEST, WINDOW, Said, Standing, Subject, initial

SCHEMA = "context_api"

KEPT = timedelta(days=30)
"""Answers, for people who want to look; decisions look at younger ones."""

REPEATABLE = timedelta(days=2)
"""An Idempotency-Key is remembered so long. Callers give up within minutes."""

CONNECTIONS = 2
"""Feedback is rare, and reads are one query for a tenant every few seconds."""

_SAID = text("""
    SELECT caller, quality, response_s FROM (
        SELECT caller, quality, response_s, row_number() OVER (PARTITION BY caller ORDER BY id DESC) AS nth
        FROM feedback WHERE tenant = :tenant AND tier = :tier AND investigation = :investigation AND version = :version AND said_at > now() - CAST(:window AS interval)
    ) newest WHERE nth <= :newest
""")

_MAKE = text(
    "INSERT INTO tuning (tenant, tier, investigation, reduction) "
    "VALUES (:tenant, :tier, :investigation, :reduction) ON CONFLICT DO NOTHING"
)
_LOOK = text(
    "SELECT *, now() AS now FROM tuning WHERE tenant = :tenant AND tier = :tier AND investigation = :investigation"
)
_HOLD = text(
    "SELECT *, now() AS now FROM tuning WHERE tenant = :tenant AND tier = :tier AND investigation = :investigation FOR UPDATE"
)


@dataclass(frozen=True, slots=True)
class Work:
    """One transaction about one subject, whose row it holds."""

    connection: AsyncConnection
    tenant: str
    subject: Subject
    now: datetime
    standing: Standing

    async def remembered(self, caller: str, key: str) -> tuple[bytes, str] | None:
        """What was answered under this key, and to which request."""
        row = await self._one(
            "SELECT digest, answer FROM answered WHERE tenant = :tenant AND caller = :caller AND key = :key",
            caller=caller,
            key=key,
        )
        return (bytes(row["digest"]), row["answer"]) if row else None

    async def remember(self, caller: str, key: str, digest: bytes, answer: str) -> None:
        """Raises KeyReused: a request about another subject took the key a moment ago."""
        kept = await self._one(
            "INSERT INTO answered (tenant, caller, key, digest, answer) "
            "VALUES (:tenant, :caller, :key, :digest, :answer) ON CONFLICT DO NOTHING RETURNING key",
            caller=caller,
            key=key,
            digest=digest,
            answer=answer,
        )
        if kept is None:
            raise KeyReused
        await self._do(
            "DELETE FROM answered WHERE ctid IN (SELECT ctid FROM answered "
            "WHERE at < now() - CAST(:old AS interval) LIMIT 100)",
            old=REPEATABLE,
        )

    async def lately(self, caller: str) -> Sequence[datetime]:
        """When this caller spoke within the last hour, oldest first."""
        result = await self.connection.execute(
            text(
                "SELECT said_at FROM feedback WHERE tenant = :tenant AND tier = :tier AND investigation = :investigation AND caller = :caller "
                "AND said_at > now() - interval '1 hour' ORDER BY said_at"
            ),
            self._given(caller=caller),
        )
        return [row.said_at for row in result]

    async def add(self, caller: str, said: AnswerFeedback) -> None:
        await self._do(
            "INSERT INTO feedback (tenant, tier, investigation, version, caller, quality, response_s, token_usage, "
            "context_size) VALUES (:tenant, :tier, :investigation, :version, :caller, :quality, :response_s, "
            ":token_usage, :context_size)",
            version=self.standing.version,
            caller=caller,
            quality=said.quality,
            response_s=said.response_time,
            token_usage=said.token_usage,
            context_size=said.context_size,
        )
        await self._do(
            "DELETE FROM feedback WHERE tenant = :tenant AND tier = :tier AND investigation = :investigation AND said_at < now() - CAST(:old AS interval)",
            old=KEPT,
        )

    async def said(self) -> tuple[list[Said], list[float]]:
        """What callers said since the last change, and their response times in seconds."""
        rows = (
            await self.connection.execute(
                _SAID, self._given(version=self.standing.version, window=WINDOW, newest=NEWEST)
            )
        ).all()
        times = [row.response_s for row in rows if row.response_s is not None]
        return [Said(row.caller, row.quality) for row in rows], times

    async def write(self, standing: Standing) -> None:
        await self._do(
            "UPDATE tuning SET version = :version, reduction = :reduction, changed_at = :changed_at, "
            "held_until = :held_until, baseline = :baseline, fell_from = :fell_from, fell_at = :fell_at, "
            "degraded = :degraded WHERE tenant = :tenant AND tier = :tier AND investigation = :investigation",
            version=standing.version,
            reduction=standing.reduction,
            changed_at=standing.changed_at,
            held_until=standing.held_until,
            baseline=standing.baseline,
            fell_from=standing.fell_from,
            fell_at=standing.fell_at,
            degraded=standing.degraded,
        )

    async def note(self, version: TuningVersion) -> None:
        await self._do(
            "INSERT INTO tuning_version (tenant, tier, investigation, version, reduction, previous, reason, detail, "
            "quality, answers, made_by, made_at) VALUES (:tenant, :tier, :investigation, :version, :reduction, "
            ":previous, :reason, :detail, :quality, :answers, :made_by, :made_at)",
            **version.model_dump(),
        )

    async def version(self, number: int) -> TuningVersion | None:
        row = await self._one(
            "SELECT * FROM tuning_version WHERE tenant = :tenant AND tier = :tier AND investigation = :investigation AND version = :number",
            number=number,
        )
        return _version(row) if row else None

    async def versions(self, before: int | None, limit: int) -> list[TuningVersion]:
        """Newest first."""
        result = await self.connection.execute(
            text(
                "SELECT * FROM tuning_version WHERE tenant = :tenant AND tier = :tier AND investigation = :investigation "
                "AND version < coalesce(CAST(:before AS integer), 2147483647) ORDER BY version DESC LIMIT :limit"
            ),
            self._given(before=before, limit=limit),
        )
        return [_version(row) for row in result.mappings()]

    def _given(self, **others: Any) -> dict[str, Any]:
        return {**_named(self.tenant, self.subject), **others}

    async def _do(self, statement: str, **values: Any) -> None:
        await self.connection.execute(text(statement), self._given(**values))

    async def _one(self, statement: str, **values: Any) -> RowMapping | None:
        return (await self.connection.execute(text(statement), self._given(**values))).mappings().first()


class TuningRecord:
    """One per process; close it when done. Nothing is connected to before `prepare`."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url
        # The waits that every service of ours has: callers of this one wait for evidence, never for the record.
        settings = StorageSettings.model_construct(database_url=url, database_pool_size=CONNECTIONS)
        self._database = Database(settings, application="context-api", schema=SCHEMA)

    async def prepare(self) -> None:
        """Bring the schema up to date.

        Raises:
            RecordAway: it cannot be now.
        """
        try:
            await asyncio.to_thread(migrate, self._url.get_secret_value(), SCHEMA)
        except (StorageUnavailable, MigrationFailed) as error:
            pause = getattr(error, "retry_after", timedelta(seconds=30))
            raise RecordAway(str(error), retry_after=pause) from error

    async def close(self) -> None:
        await self._database.close()

    async def check(self) -> None:
        with _in_our_words():
            await self._database.check()

    async def standings(self, tenant: str) -> dict[Subject, tuple[Standing, TuningVersion | None]]:
        """Those anybody spoke of, each with the version in force (None: version 0)."""
        with _in_our_words():
            async with self._database.begin() as connection:
                rows = await connection.execute(
                    text(
                        "SELECT t.*, v.previous, v.reason, v.detail, v.quality, v.answers, v.made_by, v.made_at "
                        "FROM tuning t LEFT JOIN tuning_version v USING (tenant, tier, investigation, version) "
                        "WHERE t.tenant = :tenant"
                    ),
                    {"tenant": tenant},
                )
                return {
                    _subject(row): (_standing(row), _version(row) if row["made_at"] else None)
                    for row in rows.mappings()
                }

    @asynccontextmanager
    async def begin(self, tenant: str, subject: Subject) -> AsyncIterator[Work]:
        """Hold the subject's row until the block ends.

        Raises:
            RecordAway: the database does not serve; whether the block's work is kept is then not known.
        """
        with _in_our_words():
            async with self._database.begin() as connection:
                given = {**_named(tenant, subject), "reduction": initial(subject).reduction}
                await connection.execute(_MAKE, given)
                row = (await connection.execute(_HOLD, given)).mappings().one()
                yield Work(connection, tenant, subject, row["now"], _standing(row))

    @asynccontextmanager
    async def look(self, tenant: str, subject: Subject) -> AsyncIterator[Work]:
        """The same to look only: nothing is held, and no row made.

        Raises:
            RecordAway: the database does not serve.
        """
        with _in_our_words():
            async with self._database.begin() as connection:
                row = (await connection.execute(_LOOK, _named(tenant, subject))).mappings().first()
                now = row["now"] if row else datetime.now(UTC)
                yield Work(connection, tenant, subject, now, _standing(row) if row else initial(subject))


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except StorageUnavailable as error:
        raise RecordAway(error.reason, retry_after=error.retry_after) from error


def _named(tenant: str, subject: Subject) -> dict[str, Any]:
    return {"tenant": tenant, "tier": subject.tier.value, "investigation": subject.investigation.value}


def _subject(row: RowMapping) -> Subject:
    return Subject(Tier(row["tier"]), InvestigationType(row["investigation"]))


def _standing(row: RowMapping) -> Standing:
    return Standing(
        version=row["version"],
        reduction=row["reduction"],
        changed_at=row["changed_at"],
        held_until=row["held_until"],
        baseline=row["baseline"],
        fell_from=row["fell_from"],
        fell_at=row["fell_at"],
        degraded=row["degraded"],
    )


def _version(row: RowMapping) -> TuningVersion:
    return TuningVersion.model_validate({name: row[name] for name in TuningVersion.model_fields})
