"""Incidents: find, open, reopen, merge and close them; what was asked and told about each.

Whether to do any of it is decided in `domain`; that it happens once is seen to here, by locks and keys.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from psycopg.rows import DictRow

from libs.contracts.alerts import Decision, Priority
from libs.contracts.target import Target
from services.alerts.adapters.record import Note, Work, as_json
from services.alerts.domain.inquiry import Conclusion, Phase
from services.alerts.domain.telling import Transition

TELL = "tell"

Place = tuple[str, str]
"""Tenant and incident key."""

_COLUMNS = """
id, tenant, key, target, provisional, phase, priority, attempts, investigation, no_cause_reason,
ended_at, opened_at, closed_at, closings, merged_into
"""

# Whoever opens, reopens or merges incidents of these keys does so alone. Sorted against deadlocks.
_LOCK_PLACES = """
SELECT pg_advisory_xact_lock(hashtextextended('incident/' || place, 0))
FROM unnest(%s::text[]) AS place
"""

_OPEN = f"""
SELECT {_COLUMNS} FROM incident
WHERE (tenant, key) IN (SELECT * FROM unnest(%s::text[], %s::text[])) AND closed_at IS NULL
ORDER BY id FOR UPDATE
"""  # noqa: S608 - constants alone

_REOPEN = f"""
UPDATE incident SET closed_at = NULL WHERE id IN (
    SELECT DISTINCT ON (tenant, key) id FROM incident
    JOIN unnest(%s::text[], %s::text[]) AS wanted (tenant, key) USING (tenant, key)
    WHERE closed_at > %s AND merged_into IS NULL
    ORDER BY tenant, key, closed_at DESC)
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants alone

_INSERT = f"""
INSERT INTO incident (id, tenant, key, target, provisional, phase, priority, opened_at)
SELECT id, tenant, key, target, provisional, 'open', priority, %s FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::jsonb[], %s::bool[], %s::text[])
    AS opened (id, tenant, key, target, provisional, priority)
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants alone

_CLOSE = f"""
UPDATE incident SET closed_at = now(), closings = closings + 1
WHERE id = ANY(%s) AND closed_at IS NULL
AND NOT EXISTS (SELECT 1 FROM episode WHERE incident_id = incident.id AND state = 'firing')
RETURNING {_COLUMNS}
"""  # noqa: S608 - constants alone


_BURNT_OUT = """
SELECT id FROM incident WHERE closed_at IS NULL AND opened_at < %s
AND NOT EXISTS (SELECT 1 FROM episode WHERE incident_id = incident.id AND state = 'firing')
ORDER BY id LIMIT %s
"""


@dataclass(frozen=True, slots=True)
class Incident:
    id: str
    tenant: str
    key: str
    target: Target | None
    provisional: bool
    phase: Phase
    priority: Priority
    attempts: int
    investigation: dict[str, Any] | None
    no_cause_reason: str | None
    ended_at: datetime | None
    opened_at: datetime
    closed_at: datetime | None
    closings: int
    merged_into: str | None

    @property
    def place(self) -> Place:
        return self.tenant, self.key


@dataclass(frozen=True, slots=True)
class Wanted:
    """An incident that alerts are to go to."""

    place: Place
    target: Target | None
    provisional: bool
    priority: Priority


def _incident(row: DictRow) -> Incident:
    return Incident(
        **{
            **row,
            "target": Target.model_validate(row["target"]) if row["target"] else None,
            "phase": Phase(row["phase"]),
            "priority": Priority(row["priority"]),
        }
    )


async def lock_places(work: Work, places: Iterable[Place]) -> None:
    """Be the only one to open, reopen or merge incidents of these keys, until the transaction ends."""
    await work.execute(_LOCK_PLACES, ([f"{tenant}/{key}" for tenant, key in sorted(set(places))],))


async def lock(work: Work, incident_id: str) -> Incident | None:
    """One incident, locked; None when it is not there any more."""
    row = await work.row(f"SELECT {_COLUMNS} FROM incident WHERE id = %s FOR UPDATE", (incident_id,))  # noqa: S608
    return _incident(row) if row else None


async def lock_open(work: Work, places: Collection[Place]) -> dict[Place, Incident]:
    rows = await work.rows(_OPEN, _pairs(places))
    return {incident.place: incident for incident in map(_incident, rows)}


async def reopen(work: Work, places: Collection[Place], *, within: timedelta) -> dict[Place, Incident]:
    """Open again the latest incident of each key that was closed less than this ago."""
    rows = await work.rows(_REOPEN, (*_pairs(places), work.now - within))
    return {incident.place: incident for incident in map(_incident, rows)}


async def open_new(work: Work, wanted: Sequence[Wanted]) -> dict[Place, Incident]:
    rows = await work.rows(
        _INSERT,
        (
            work.now,
            [uuid4().hex for _ in wanted],
            [one.place[0] for one in wanted],
            [one.place[1] for one in wanted],
            [one.target.model_dump_json() if one.target else None for one in wanted],
            [one.provisional for one in wanted],
            [one.priority.value for one in wanted],
        ),
    )
    return {incident.place: incident for incident in map(_incident, rows)}


async def close_ended(work: Work, ids: Collection[str]) -> list[Incident]:
    """Close those in which nothing fires any more; of a merged one, the incident that took it over.

    Locked first, so that an alert that is being added is either seen here or opens the incident again.
    """
    rows = await work.rows(
        "SELECT coalesce(merged_into, id) AS id FROM incident WHERE id = ANY(%s)", (list(ids),)
    )
    meant = sorted({row["id"] for row in rows})
    await work.execute("SELECT 1 FROM incident WHERE id = ANY(%s) ORDER BY id FOR UPDATE", (meant,))
    return [_incident(row) for row in await work.rows(_CLOSE, (meant,))]


async def burnt_out(work: Work, *, opened_before: datetime, limit: int) -> list[str]:
    """Open incidents in which nothing fires: settling them was missed by a hair (a merge beside it)."""
    rows = await work.rows(_BURNT_OUT, (opened_before, limit))
    return [row["id"] for row in rows]


async def set_priority(work: Work, incident_id: str, priority: Priority) -> None:
    await work.execute("UPDATE incident SET priority = %s WHERE id = %s", (priority.value, incident_id))


async def key_again(work: Work, incident: Incident, key: str, target: Target | None) -> None:
    """Give a provisionally keyed incident its real key."""
    await work.execute(
        "UPDATE incident SET key = %s, target = %s, provisional = false WHERE id = %s",
        (key, target.model_dump_json() if target else None, incident.id),
    )


async def merge_into(work: Work, incident: Incident, into: str) -> None:
    """Hand an incident's episodes over to another one, and close it."""
    await work.execute("UPDATE episode SET incident_id = %s WHERE incident_id = %s", (into, incident.id))
    await work.execute(
        "UPDATE incident SET closed_at = now(), provisional = false, merged_into = %s WHERE id = %s",
        (into, incident.id),
    )


# --- what is asked about an incident


async def ask(work: Work, incident_id: str, attempt: int) -> None:
    """Record that an investigation is wanted."""
    await work.execute(
        "INSERT INTO inquiry (incident_id, attempt, state, asked_at) VALUES (%s, %s, 'wanted', %s) "
        "ON CONFLICT DO NOTHING",
        (incident_id, attempt, work.now),
    )
    await work.execute(
        "UPDATE incident SET attempts = greatest(attempts, %s), phase = 'open' WHERE id = %s",
        (attempt, incident_id),
    )


@dataclass(frozen=True, slots=True)
class Inquiry:
    state: str
    """`wanted`, `running` or `ended`."""
    request: str | None
    investigation_id: str | None
    asked_at: datetime


async def lock_inquiry(work: Work, incident_id: str, attempt: int) -> Inquiry | None:
    row = await work.row(
        "SELECT state, request, investigation_id, asked_at FROM inquiry "
        "WHERE incident_id = %s AND attempt = %s FOR UPDATE",
        (incident_id, attempt),
    )
    return Inquiry(**row) if row else None


async def freeze_inquiry(work: Work, incident_id: str, attempt: int, request: str) -> None:
    await work.execute(
        "UPDATE inquiry SET request = %s WHERE incident_id = %s AND attempt = %s",
        (request, incident_id, attempt),
    )


async def under_way(work: Work, incident_id: str, attempt: int, investigation_id: str) -> None:
    """The investigation was accepted."""
    await work.execute(
        "UPDATE inquiry SET state = 'running', investigation_id = %s WHERE incident_id = %s AND attempt = %s",
        (investigation_id, incident_id, attempt),
    )
    await work.execute("UPDATE incident SET phase = 'investigating' WHERE id = %s", (incident_id,))


async def end(
    work: Work,
    incident_id: str,
    attempt: int,
    conclusion: Conclusion,
    investigation: Mapping[str, Any] | None,
) -> None:
    """The investigation is over. A later failure does not erase an earlier explanation."""
    await work.execute(
        "UPDATE inquiry SET state = 'ended' WHERE incident_id = %s AND attempt = %s", (incident_id, attempt)
    )
    await work.execute(
        "UPDATE incident SET phase = %s, no_cause_reason = %s, ended_at = %s, "
        "investigation = coalesce(%s::jsonb, investigation) WHERE id = %s",
        (
            conclusion.phase.value,
            conclusion.no_cause_reason,
            work.now,
            as_json(investigation) if investigation else None,
            incident_id,
        ),
    )


# --- what is told about it


async def announce(
    work: Work, incident_id: str, transition: Transition, round_: int, decision: Decision
) -> None:
    """Have people told of this change, once per round; the message is composed when it is sent."""
    new = await work.execute(
        "INSERT INTO telling (incident_id, transition, round, state, decided_at) "
        "VALUES (%s, %s, %s, 'pending', %s) ON CONFLICT DO NOTHING",
        (incident_id, transition.value, round_, work.now),
    )
    if new:
        work.decided(incident_id, decision, during=f"{transition.value}:{round_}")
        work.defer(TELL, incident=incident_id, transition=transition.value, round_=round_)


async def told(work: Work, incident_id: str, round_: int | None = None) -> set[Transition]:
    """What people are told, sent or still to be sent; of one round, or of all."""
    rows = await work.rows(
        "SELECT transition FROM telling WHERE incident_id = %s AND (%s::int IS NULL OR round = %s)",
        (incident_id, round_, round_),
    )
    return {Transition(row["transition"]) for row in rows}


@dataclass(frozen=True, slots=True)
class Telling:
    state: str
    """`pending`, `told` or `given-up`."""
    request: str | None
    decided_at: datetime


async def lock_telling(work: Work, incident_id: str, transition: str, round_: int) -> Telling | None:
    row = await work.row(
        "SELECT state, request, decided_at FROM telling "
        "WHERE incident_id = %s AND transition = %s AND round = %s FOR UPDATE",
        (incident_id, transition, round_),
    )
    return Telling(**row) if row else None


async def freeze_telling(work: Work, incident_id: str, transition: str, round_: int, request: str) -> None:
    await work.execute(
        "UPDATE telling SET request = %s WHERE incident_id = %s AND transition = %s AND round = %s",
        (request, incident_id, transition, round_),
    )


async def end_telling(
    work: Work, incident_id: str, transition: str, round_: int, *, state: str, notification_id: str | None
) -> None:
    await work.execute(
        "UPDATE telling SET state = %s, notification_id = %s "
        "WHERE incident_id = %s AND transition = %s AND round = %s",
        (state, notification_id, incident_id, transition, round_),
    )


def waiting_for(work: Work, incident_id: str, peer: str, occasion: str, reason: str) -> None:
    """Say on the timeline that a peer is not to be had; once per occasion and reason."""
    key = f"waiting:{occasion}:{reason}"
    work.note(Note(incident_id, key, f"{peer}-waiting", f"{reason}; it is tried again"))


def _pairs(places: Collection[Place]) -> tuple[list[str], list[str]]:
    return [tenant for tenant, _ in places], [key for _, key in places]
