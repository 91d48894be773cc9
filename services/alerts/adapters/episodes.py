"""Episodes after their drain: place them, judge them again, end the silent ones, show them to the steps."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import DictRow

from libs.contracts.alerts import Decision, Priority
from libs.contracts.target import Target
from services.alerts.adapters.record import Work
from services.alerts.domain.judgement import Judgement
from services.alerts.domain.telling import EpisodeView

_UNPLACED = """
SELECT id, tenant, labels, annotations, incident_id, starts_at FROM episode
WHERE id = ANY(%s) AND state = 'firing' AND incident_id IS NULL ORDER BY id
"""

_PLACE = """
UPDATE episode SET incident_id = placed.incident_id, target = placed.target, named = placed.named,
    about = placed.about, environment = placed.environment, priority = placed.priority
FROM unnest(%s::text[], %s::text[], %s::jsonb[], %s::text[], %s::text[], %s::text[], %s::text[])
    AS placed (id, incident_id, target, named, about, environment, priority)
WHERE episode.id = placed.id
"""

_OF_INCIDENT = """
SELECT id, tenant, labels, annotations, incident_id, starts_at FROM episode WHERE incident_id = %s ORDER BY id
"""

# The latest decision on each subject. Episodes that fire first, then the newest: enough for any message.
_VIEW = """
SELECT id, alertname, severity, state, starts_at, priority, labels, annotations, namespace,
    (SELECT coalesce(jsonb_agg(decision ORDER BY subject), '[]') FROM (
        SELECT DISTINCT ON (decision ->> 'subject') decision ->> 'subject' AS subject, decision
        FROM timeline WHERE timeline.subject = episode.id AND decision IS NOT NULL
        ORDER BY decision ->> 'subject', timeline.id DESC) AS latest) AS decisions
FROM episode WHERE incident_id = %s
ORDER BY state = 'firing' DESC, priority, starts_at, id LIMIT 200
"""

_SILENT = """
SELECT id, last_seen, ends_at, incident_id FROM episode
WHERE state = 'firing' AND (last_seen < %s OR ends_at < %s)
ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
"""

_FORGET = """
DELETE FROM episode WHERE id = ANY (ARRAY(
    SELECT id FROM episode WHERE state <> 'firing' AND ended_at < %s LIMIT %s FOR UPDATE SKIP LOCKED))
RETURNING id
"""

_FORGET_SERIES = """
DELETE FROM series WHERE newest < %s
AND NOT EXISTS (SELECT 1 FROM episode WHERE (tenant, fingerprint) = (series.tenant, series.fingerprint)
                AND state = 'firing')
"""

_FORGET_INCIDENTS = """
DELETE FROM incident WHERE id = ANY (ARRAY(
    SELECT id FROM incident WHERE closed_at < %s
    AND NOT EXISTS (SELECT 1 FROM episode WHERE incident_id = incident.id) LIMIT %s))
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What an alert says about itself."""

    id: str
    tenant: str
    labels: dict[str, str]
    annotations: dict[str, str]
    incident_id: str | None
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an episode goes, and how it is judged now that the cluster was asked."""

    id: str
    incident_id: str
    target: Target | None
    about: Target | None
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Silent:
    id: str
    last_seen: datetime
    ends_at: datetime | None
    incident_id: str | None


@dataclass(frozen=True, slots=True)
class Leading:
    """The episode that speaks for its incident, with what it says."""

    view: EpisodeView
    labels: dict[str, str]
    annotations: dict[str, str]
    namespace: str | None


async def unplaced(work: Work, ids: Collection[str], *, lock: bool) -> list[Spoken]:
    """Those of these that fire and belong to no incident yet."""
    rows = await work.rows(_UNPLACED + ("FOR UPDATE" if lock else ""), (list(ids),))
    return [Spoken(**row) for row in rows]


async def over(work: Work, ids: Collection[str]) -> list[str]:
    """Those of these that have ended without ever belonging to an incident."""
    rows = await work.rows(
        "SELECT id FROM episode WHERE id = ANY(%s) AND state <> 'firing' AND incident_id IS NULL",
        (list(ids),),
    )
    return [row["id"] for row in rows]


async def of_incident(work: Work, incident_id: str) -> list[Spoken]:
    return [Spoken(**row) for row in await work.rows(_OF_INCIDENT, (incident_id,))]


async def place(work: Work, placed: Iterable[Placed]) -> None:
    rows = [
        (
            one.id,
            one.incident_id,
            one.target.model_dump_json() if one.target else None,
            str(one.target) if one.target else None,
            str(one.about) if one.about else None,
            one.judgement.environment.value,
            one.judgement.priority.value,
        )
        for one in placed
    ]
    if rows:
        await work.execute(_PLACE, [list(column) for column in zip(*rows, strict=True)])


async def view(work: Work, incident_id: str) -> list[Leading]:
    """The incident's episodes as people are told of them; those that fire first."""
    return [_leading(row) for row in await work.rows(_VIEW, (incident_id,))]


def _leading(row: DictRow) -> Leading:
    annotations = row["annotations"]
    episode = EpisodeView(
        id=row["id"],
        alertname=row["alertname"],
        severity=row["labels"].get("severity") or row["severity"],
        state=row["state"],
        starts_at=row["starts_at"],
        summary=annotations.get("summary") or annotations.get("description") or "",
        priority=Priority(row["priority"]),
        decisions=[Decision.model_validate(one) for one in row["decisions"]],
    )
    return Leading(episode, row["labels"], annotations, row["namespace"])


async def silent(
    work: Work, *, unmentioned_since: datetime, ending_before: datetime, limit: int
) -> list[Silent]:
    """Firing episodes that may have ended without a word; locked."""
    rows = await work.rows(_SILENT, (unmentioned_since, ending_before, limit))
    return [Silent(**row) for row in rows]


async def expire(work: Work, ended: Iterable[tuple[str, datetime]]) -> None:
    """Mark these as over since then."""
    rows = list(ended)
    await work.execute(
        "UPDATE episode SET state = 'expired', ended_at = over.at "
        "FROM unnest(%s::text[], %s::timestamptz[]) AS over (id, at) WHERE episode.id = over.id",
        ([id_ for id_, _ in rows], [at for _, at in rows]),
    )


async def forget(work: Work, *, older_than: timedelta, limit: int) -> int:
    """Remove what ended longer ago than this, with its timeline. Returns how many episodes went."""
    before = work.now - older_than
    gone = [row["id"] for row in await work.rows(_FORGET, (before, limit))]
    gone_incidents = [row["id"] for row in await work.rows(_FORGET_INCIDENTS, (before, limit))]
    await work.execute("DELETE FROM timeline WHERE subject = ANY(%s)", (gone + gone_incidents,))
    if gone:
        await work.execute(_FORGET_SERIES, (before,))
    return len(gone)
