"""Archive: read episodes and incidents as callers see them, one query for a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, LiteralString

from psycopg.rows import DictRow

from libs.auth import Principal
from libs.contracts.alerts import (
    AlertEpisode,
    AlertEpisodeDetail,
    AlertPage,
    IncidentSummary,
    TimelineEntry,
)
from libs.contracts.target import Target
from services.alerts.adapters.record import Record, Work
from services.alerts.domain import showing
from services.alerts.domain.errors import UnknownEpisode, UnknownIncident
from services.alerts.domain.paging import Cursor
from services.alerts.domain.showing import IncidentRecord

_EPISODE: LiteralString = """
SELECT id, fingerprint, alertname, state, severity, labels, annotations, starts_at,
       coalesce(ends_at, ended_at) AS ends_at, last_seen, received AS received_count, environment, priority,
       target, incident_id,
       (SELECT investigation_id FROM inquiry WHERE inquiry.incident_id = episode.incident_id
        ORDER BY attempt DESC LIMIT 1) AS investigation_id
FROM episode
"""

_TIMELINE = """
SELECT at, event, detail, decision FROM timeline WHERE subject = ANY(%s) ORDER BY at, id LIMIT 1000
"""

_INCIDENT = """
SELECT id, target, phase, priority, opened_at, closed_at, merged_into, no_cause_reason, investigation,
    (SELECT investigation_id FROM inquiry WHERE incident_id = incident.id
     ORDER BY attempt DESC LIMIT 1) AS investigation_id,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(id, namespace) ORDER BY starts_at, id), '[]')
     FROM (SELECT id, namespace, starts_at FROM episode WHERE incident_id = incident.id
           ORDER BY starts_at, id LIMIT 1000) AS of_incident) AS episodes,
    (SELECT coalesce(jsonb_agg(notification_id ORDER BY decided_at), '[]') FROM telling
     WHERE incident_id = incident.id AND notification_id IS NOT NULL) AS notification_ids
FROM incident WHERE id = %s AND tenant = %s
"""

# What a caller may filter by, and the condition it stands for.
_FILTERS: dict[str, LiteralString] = {
    "state": "state = %(state)s",
    "severity": "severity = %(severity)s",
    "environment": "environment = %(environment)s",
    "priority": "priority = %(priority)s",
    "alertname": "alertname = %(alertname)s",
    "namespace": "namespace = %(namespace)s",
    "fingerprint": "fingerprint = %(fingerprint)s",
    "target": "%(target)s IN (about, named)",
}


@dataclass(frozen=True, slots=True)
class Filters:
    """What a caller asks for; None asks for everything."""

    state: str | None = None
    severity: str | None = None
    environment: str | None = None
    priority: str | None = None
    alertname: str | None = None
    namespace: str | None = None
    fingerprint: str | None = None
    target: str | None = None


class Archive:
    """Episodes and incidents of the caller's tenant, in namespaces the caller may read."""

    def __init__(self, record: Record) -> None:
        self._record = record

    async def page(
        self, reader: Principal, filters: Filters, *, after: Cursor | None, limit: int
    ) -> AlertPage:
        """Newest first; the next page begins behind this one's last, whatever has come in since."""
        values: dict[str, Any] = {"tenant": reader.tenant, "limit": limit + 1}
        conditions: list[LiteralString] = ["tenant = %(tenant)s"]
        if "*" not in reader.namespaces:
            conditions.append("namespace LIKE ANY(%(globs)s)")
            values["globs"] = [_like(glob) for glob in reader.namespaces]
        for name, condition in _FILTERS.items():
            if (wanted := getattr(filters, name)) is not None:
                conditions.append(condition)
                values[name] = wanted
        if after is not None:
            conditions.append("(starts_at, id) < (%(starts_at)s, %(id)s)")
            values |= {"starts_at": after.starts_at, "id": after.id}
        query = (
            _EPISODE
            + "WHERE "
            + " AND ".join(conditions)
            + " ORDER BY starts_at DESC, id DESC LIMIT %(limit)s"
        )
        async with self._record.begin() as work:
            rows = await work.rows(query, values)
        items = [_episode(row) for row in rows[:limit]]
        more = len(rows) > limit
        return AlertPage(
            items=items, next_cursor=str(Cursor(items[-1].starts_at, items[-1].id)) if more else None
        )

    async def episode(self, reader: Principal, id_: str) -> AlertEpisodeDetail:
        """Raises UnknownEpisode: none, or none this caller may see."""
        async with self._record.begin() as work:
            row = await work.row(
                _EPISODE + "WHERE id = %s AND tenant = %s",
                (id_, reader.tenant),
            )
            found = _episode(row) if row else None
            if found is None or not reader.may_read(_namespace(found)):
                raise UnknownEpisode(id_)
            about = await _incident(work, reader, found.incident_id) if found.incident_id else None
            subjects = [id_] + ([found.incident_id] if found.incident_id else [])
            timeline = [TimelineEntry(**entry) for entry in await work.rows(_TIMELINE, (subjects,))]
        return showing.detail(found, timeline, about)

    async def incident(self, reader: Principal, id_: str) -> IncidentSummary:
        """Raises UnknownIncident: none, or none this caller may see anything of."""
        async with self._record.begin() as work:
            found = await _incident(work, reader, id_)
        if found is None:
            raise UnknownIncident(id_)
        return found


async def _incident(work: Work, reader: Principal, id_: str) -> IncidentSummary | None:
    row = await work.row(_INCIDENT, (id_, reader.tenant))
    if row is None:
        return None
    target = Target.model_validate(row["target"]) if row["target"] else None
    record = IncidentRecord(**{**row, "target": target})
    seen = [namespace for _, namespace in record.episodes]
    if seen and not any(map(reader.may_read, seen)):
        return None
    return showing.incident(record, reader.may_read)


def _episode(row: DictRow) -> AlertEpisode:
    return AlertEpisode.model_validate(row)


def _namespace(episode: AlertEpisode) -> str | None:
    return episode.labels.get("exported_namespace") or episode.labels.get("namespace") or None


def _like(glob: str) -> str:
    """A glob as a LIKE pattern. Globs of namespaces hold none of LIKE's own signs (`NamespaceGlob`)."""
    return glob.replace("*", "%").replace("?", "_")
