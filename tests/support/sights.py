"""Episodes and investigations as a watcher sees them, and services that answer with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from cli.watch.sights import AlertSight, Blamed, InvestigationSight, Judged
from libs.clients.alerts import AlertsClient
from libs.clients.errors import PeerRefused
from libs.clients.holmesgpt import HolmesClient
from libs.contracts.alerts import AlertEpisode, AlertEpisodeDetail, AlertPage
from libs.contracts.investigations import Investigation, InvestigationPage, InvestigationSummary
from libs.contracts.problem import Problem

AT = datetime(2026, 1, 1, 10, tzinfo=UTC)
BLAMED = Blamed("ConfigMap/data/db-config", "ConfigChangedBeforeOnset", 0.9, "edited just before")
CAUSE: dict[str, Any] = {
    "target": {"kind": "ConfigMap", "namespace": "data", "name": "db-config"},
    "reason": "ConfigChangedBeforeOnset",
    "text": "edited just before",
    "severity": "critical",
    "confidence": {"value": 0.9, "basis": []},
    "evidence_ids": [],
}


def alert(**changes: Any) -> AlertSight:
    fields: dict[str, Any] = {
        "id": "ep-1", "name": "DbDown", "state": "firing", "severity": "critical", "namespace": "shop",
        "target": "Pod/shop/api-0", "since": AT, "ended": None,
        "environment": Judged("production", "no label says otherwise"), "priority": Judged("P0", "critical in production"),
        "investigation_id": "inv-1", "incident": "investigating", "cause": None, "no_cause": None, "told": 0,
    }  # fmt: skip
    return AlertSight(**fields | changes)


def investigation(**changes: Any) -> InvestigationSight:
    fields: dict[str, Any] = {
        "id": "inv-1", "name": "DbDown", "namespace": "shop", "status": "running", "progress": 30,
        "stage": "looking for causes", "engine": None, "degraded": None, "took": timedelta(seconds=0.8),
        "cause": None, "no_cause": None, "error": None,
    }  # fmt: skip
    return InvestigationSight(**fields | changes)


def ended(**changes: Any) -> InvestigationSight:
    fields = {"status": "completed", "progress": 100, "stage": "ended", "engine": "triage", "cause": BLAMED}
    return investigation(**fields | changes)


def episode(id_: str = "ep-1", **changes: Any) -> AlertEpisodeDetail:
    fields: dict[str, Any] = {
        "id": id_, "fingerprint": "f", "alertname": "DbDown", "state": "firing", "severity": "critical",
        "labels": {"namespace": "shop"}, "annotations": {}, "starts_at": AT, "last_seen": AT, "received_count": 1,
        "decisions": [], "timeline": [],
    }  # fmt: skip
    return AlertEpisodeDetail.model_validate(fields | changes)


def record(id_: str = "inv-1", **changes: Any) -> Investigation:
    fields: dict[str, Any] = {
        "investigation_id": id_, "status": "running", "progress": 30, "alert_name": "DbDown", "namespace": "shop",
        "priority": "P1", "timestamp": AT, "metadata": {"stage": "looking for causes"},
    }  # fmt: skip
    return Investigation.model_validate(fields | changes)


def _page_of(start: int, limit: int, count: int) -> tuple[slice, str | None]:
    return slice(start, start + limit), str(start + limit) if start + limit < count else None


class Alerts:
    """The alerts service: episodes newest first, and an account of what was asked."""

    def __init__(self, *episodes: AlertEpisodeDetail) -> None:
        self.episodes = list(episodes)
        self.pages = 0
        self.looks: list[str] = []

    def client(self) -> AlertsClient:
        return cast(AlertsClient, self)

    async def list(self, *, cursor: str | None, filters: Mapping[str, str], **_: Any) -> AlertPage:
        self.pages += 1
        rows = [
            one
            for one in self.episodes
            if filters.get("state") in (None, one.state)
            and filters.get("namespace") in (None, one.labels.get("namespace"))
        ]
        part, following = _page_of(int(cursor or 0), int(filters["limit"]), len(rows))
        lines = [one.model_dump(include=set(AlertEpisode.model_fields)) for one in rows[part]]
        return AlertPage.model_validate({"items": lines, "next_cursor": following})

    async def get(self, id_: str, **_: Any) -> AlertEpisodeDetail:
        self.looks.append(id_)
        for one in self.episodes:
            if one.id == id_:
                return one
        raise PeerRefused("alerts", 404, Problem(title="unknown", status=404, code="unknown-alert"))


class Holmes:
    """The HolmesGPT API, likewise."""

    def __init__(self, *records: Investigation) -> None:
        self.records = list(records)
        self.looks: list[str] = []

    def client(self) -> HolmesClient:
        return cast(HolmesClient, self)

    async def list(self, *, cursor: str | None, limit: int, **_: Any) -> InvestigationPage:
        part, following = _page_of(int(cursor or 0), limit, len(self.records))
        shown = set(InvestigationSummary.model_fields)
        lines = [one.model_dump(include=shown) for one in self.records[part]]
        return InvestigationPage.model_validate({"items": lines, "next_cursor": following})

    async def get(self, id_: str, **_: Any) -> Investigation:
        self.looks.append(id_)
        return next(one for one in self.records if one.investigation_id == id_)
