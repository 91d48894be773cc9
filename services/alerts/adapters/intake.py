"""Intake: take rows from the inbox, load the episodes they speak of, write what became of them.

Set-based: a batch costs the same handful of statements whether it has one alert or thousands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg.rows import DictRow

from services.alerts.adapters.inbox import DRAIN
from services.alerts.adapters.record import Work
from services.alerts.domain.episodes import Change, Episode, Key, Known, Series, State
from services.alerts.domain.identity import episode_id
from services.alerts.domain.judgement import Judgement
from services.alerts.domain.labels import storable
from services.alerts.domain.placement import namespace_of

# Jobs that are already visible here were committed with rows that are visible too, and this transaction
# takes those: the jobs have nothing left to do. It must come before the rows are taken; the other way
# round a job committed in between would go and leave its row behind. Without this, a burst leaves one
# job per commit, worked off at 241 a second (measured) while the steps behind them wait.
_ABSORB = """
DELETE FROM procrastinate_jobs WHERE id = ANY (ARRAY(
    SELECT id FROM procrastinate_jobs
    WHERE task_name = %s AND status = 'todo' AND coalesce(scheduled_at, now()) <= now()
    LIMIT 2000 FOR UPDATE SKIP LOCKED))
"""

_CHOOSE = """
SELECT id, octet_length(body) AS size FROM inbox
WHERE %(only)s::bigint IS NULL OR id = %(only)s
ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""

_TAKE = """
DELETE FROM inbox WHERE id = ANY(%s)
RETURNING id, tenant, sender, body, copies, received_at, last_seen
"""

INDEXED = 500
"""Characters of a name that is searched by; PostgreSQL indexes no more than 2,700 bytes. Labels keep all."""

_SET_ASIDE = """
WITH gone AS (DELETE FROM inbox WHERE id = %s RETURNING *)
INSERT INTO set_aside (id, idem, tenant, sender, body, copies, received_at, last_seen, reason)
SELECT id, idem, tenant, sender, body, copies, received_at, last_seen, %s FROM gone
"""

MAX_BYTES = 4 * 1024 * 1024
"""Of bodies in one batch: a few thousand ordinary ones, or a handful of the largest."""

# Sorted, so that two drains lock the series they share in the same order.
_LOCK_SERIES = """
INSERT INTO series (tenant, fingerprint, newest)
SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[])
ON CONFLICT (tenant, fingerprint) DO UPDATE SET newest = greatest(series.newest, excluded.newest)
RETURNING tenant, fingerprint, newest
"""

_LOAD = """
SELECT id, tenant, fingerprint, starts_at, state, resolved, ends_at, first_seen, last_seen, receiver,
       labels, annotations, generator_url, incident_id
FROM episode WHERE id IN (
    SELECT unnest(%s::text[])
    UNION
    SELECT firing.id FROM unnest(%s::text[], %s::text[]) AS spoken (tenant, fingerprint)
    JOIN episode AS firing USING (tenant, fingerprint) WHERE firing.state = 'firing')
ORDER BY id FOR UPDATE
"""

# What was judged is written once, with the episode: a later message carries the same labels.
# Text goes in binary: as text every quote of every label would be escaped, a third of a drain's time.
_WRITE = """
INSERT INTO episode (
    id, tenant, fingerprint, starts_at, state, resolved, ends_at, ended_at, first_seen, last_seen,
    received, receiver, labels, annotations, generator_url, alertname, namespace,
    severity, environment, priority)
SELECT * FROM unnest(
    %b::text[], %b::text[], %b::text[], %s::timestamptz[], %b::text[], %s::bool[], %s::timestamptz[],
    %s::timestamptz[], %s::timestamptz[], %s::timestamptz[], %s::int[], %b::text[],
    %b::text[]::jsonb[], %b::text[]::jsonb[], %b::text[], %b::text[], %b::text[],
    %b::text[], %b::text[], %b::text[])
ON CONFLICT (id) DO UPDATE SET
    state = excluded.state, resolved = excluded.resolved,
    ends_at = excluded.ends_at, ended_at = excluded.ended_at,
    first_seen = excluded.first_seen, last_seen = excluded.last_seen,
    received = episode.received + excluded.received, receiver = excluded.receiver,
    labels = excluded.labels, annotations = excluded.annotations, generator_url = excluded.generator_url
"""

_DETACH = "UPDATE episode SET incident_id = NULL WHERE id = ANY(%s) AND incident_id IS NOT NULL"


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery, taken out of the inbox."""

    id: int
    tenant: str
    sender: str
    body: bytes
    copies: int
    received_at: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Loaded:
    known: Mapping[Key, Known]
    incidents: Mapping[Key, str]
    """Of the known episodes that belong to one."""


async def absorb_jobs(work: Work) -> int:
    """Remove drain jobs whose rows this transaction is about to take. Call it before `take`."""
    return await work.execute(_ABSORB, (DRAIN,))


async def take(work: Work, *, limit: int, only: int | None = None) -> tuple[list[Row], bool]:
    """Take the oldest rows that nobody else is taking; they are gone when the transaction commits.

    Returns: the rows, and whether there may be more.
    """
    found = await work.rows(_CHOOSE, {"limit": limit, "only": only})
    chosen: list[int] = []
    size = 0
    for row in found:
        size += row["size"]
        if chosen and size > MAX_BYTES:
            break
        chosen.append(row["id"])
    rows = [Row(**row) for row in await work.rows(_TAKE, (chosen,))] if chosen else []
    return rows, len(found) == limit or len(chosen) < len(found)


async def oldest(work: Work, *, limit: int) -> list[int]:
    """Ids of the rows a `take` would begin with."""
    rows = await work.rows("SELECT id FROM inbox ORDER BY id LIMIT %s", (limit,))
    return [row["id"] for row in rows]


async def set_aside(work: Work, row_id: int, reason: str) -> None:
    """Keep a row that cannot be drained, with the reason, out of the others' way."""
    await work.execute(_SET_ASIDE, (row_id, storable(reason)[:500]))


async def lock_series(work: Work, newest: Mapping[Series, datetime]) -> dict[Series, datetime]:
    """Lock these alerts until the transaction ends; the newest `starts_at` of each, these included."""
    keys = sorted(newest)
    rows = await work.rows(
        _LOCK_SERIES,
        ([tenant for tenant, _ in keys], [print_ for _, print_ in keys], [newest[key] for key in keys]),
    )
    return {(row["tenant"], row["fingerprint"]): row["newest"] for row in rows}


async def load(work: Work, keys: Collection[Key]) -> Loaded:
    """The episodes spoken of, and all others of the same alerts that still fire; locked."""
    series = sorted({(tenant, print_) for tenant, print_, _ in keys})
    rows = await work.rows(
        _LOAD,
        (
            [episode_id(*key) for key in keys],
            [tenant for tenant, _ in series],
            [print_ for _, print_ in series],
        ),
    )
    known = [(_episode(row), row) for row in rows]
    return Loaded(
        {episode.key: Known(episode, State(row["state"])) for episode, row in known},
        {episode.key: row["incident_id"] for episode, row in known if row["incident_id"]},
    )


def _episode(row: DictRow) -> Episode:
    return Episode(**{name: row[name] for name in Episode.__dataclass_fields__})


async def write(work: Work, changes: Iterable[tuple[Change, Judgement]], received: Mapping[Key, int]) -> None:
    """Insert or update episodes.

    Args:
        received: how many deliveries spoke of each.
    """
    rows = [
        _values(change, judged, received.get(change.episode.key, 0), work.now) for change, judged in changes
    ]
    if rows:
        await work.execute(_WRITE, [list(column) for column in zip(*rows, strict=True)])


async def detach(work: Work, ids: Collection[str]) -> None:
    """Let episodes that fire again be placed anew: their incident may have been closed."""
    if ids:
        await work.execute(_DETACH, (list(ids),))


def _values(change: Change, judged: Judgement, received: int, now: datetime) -> tuple[Any, ...]:
    episode = change.episode
    ended = None if change.state is State.firing else _ended_at(episode, now)
    return (
        episode.id,
        episode.tenant,
        episode.fingerprint,
        episode.starts_at,
        change.state.value,
        episode.resolved,
        episode.ends_at,
        ended,
        episode.first_seen,
        episode.last_seen,
        received,
        episode.receiver,
        _checked_json(episode.labels),
        _checked_json(episode.annotations),
        episode.generator_url,
        (episode.labels.get("alertname") or "unknown")[:INDEXED],
        (namespace_of(episode.labels) or "")[:INDEXED] or None,
        judged.severity.value,
        judged.environment.value,
        judged.priority.value,
    )


def _checked_json(pairs: Mapping[str, str]) -> str:
    """Without `as_json`'s care: what cannot be stored was refused when it came in."""
    return orjson.dumps(pairs).decode()


def _ended_at(episode: Episode, now: datetime) -> datetime:
    """When it ended, as its sender said; never later than now, or retention would wait for a wrong clock."""
    return min(episode.ends_at, now) if episode.ends_at else now
