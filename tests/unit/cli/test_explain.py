from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from rich.console import Console

from cli.explain import find, write
from libs.clients.alerts import AlertsClient
from libs.clients.errors import PeerRefused
from libs.contracts.alerts import AlertEpisodeDetail, AlertPage
from libs.contracts.problem import Problem

pytestmark = pytest.mark.requirement("INT-BR-AP-001")

AT = datetime(2026, 1, 1, 10, tzinfo=UTC)


def episode(id_: str = "ep-1", **rest: Any) -> AlertEpisodeDetail:
    decision = {
        "subject": "environment",
        "outcome": "production",
        "reason": "unknown-means-production",
        "detail": "no label",
    }
    fields: dict[str, Any] = {
        "id": id_, "fingerprint": "f", "alertname": "DbDown", "state": "firing", "severity": "critical", "labels": {},
        "annotations": {}, "starts_at": AT, "last_seen": AT, "received_count": 2, "decisions": [decision],
        "timeline": [{"at": AT, "event": "fired", "detail": "first seen"}],
    }  # fmt: skip
    return AlertEpisodeDetail.model_validate(fields | rest)


class Alerts:
    """The alerts service with these episodes."""

    def __init__(self, *episodes: AlertEpisodeDetail) -> None:
        self._episodes = {one.id: one for one in episodes}

    async def get(self, id_: str, **_: Any) -> AlertEpisodeDetail:
        if id_ not in self._episodes:
            raise PeerRefused("alerts", 404, Problem(title="unknown", status=404, code="unknown-alert"))
        return self._episodes[id_]

    async def list(self, *, filters: dict[str, str], **_: Any) -> AlertPage:
        found = [one for one in self._episodes.values() if one.alertname == filters["alertname"]]
        return AlertPage.model_validate(
            {"items": [one.model_dump(include=set(AlertPage_items)) for one in found[:1]]}
        )


AlertPage_items = {"id", "fingerprint", "alertname", "state", "severity", "labels", "annotations", "starts_at", "last_seen", "received_count"}  # fmt: skip


async def found(wanted: str, *episodes: AlertEpisodeDetail) -> str | None:
    answer = await find(cast(AlertsClient, Alerts(*episodes)), wanted)
    return answer.id if answer else None


async def test_an_episode_is_found_by_its_id():
    assert await found("ep-2", episode("ep-1"), episode("ep-2")) == "ep-2"


async def test_an_episode_is_found_by_its_alerts_name():
    assert await found("DbDown", episode("ep-7")) == "ep-7"


async def test_what_is_neither_is_not_found():
    assert await found("Nothing", episode()) is None


async def test_another_refusal_is_not_taken_for_not_found():
    class Forbidden(Alerts):
        async def get(self, id_: str, **_: Any) -> AlertEpisodeDetail:
            raise PeerRefused("alerts", 403, Problem(title="no", status=403, code="not-allowed"))

    with pytest.raises(PeerRefused):
        await find(cast(AlertsClient, Forbidden()), "ep-1")


def test_every_decision_is_printed_with_its_reason():
    stream = io.StringIO()

    write(episode(labels={"a": "b"}), Console(file=stream))

    text = stream.getvalue()
    assert "environment: production, because unknown-means-production (no label)" in text
    assert "2026-01-01 10:00:00  fired: first seen" in text


def test_the_incidents_causes_are_printed():
    cause = {
        "target": {"kind": "ConfigMap", "namespace": "data", "name": "db-config"}, "reason": "ConfigChangedBeforeOnset",
        "text": "edited \x1b[31m", "severity": "critical", "confidence": {"value": 0.9, "basis": []}, "evidence_ids": [],
        "remediation": {"text": "undo", "command": "kubectl edit"},
    }  # fmt: skip
    incident = {
        "id": "in-1", "target": {"kind": "Pod", "namespace": "shop", "name": "a"}, "status": "explained", "engine": "triage",
        "degraded_reason": "no-model-configured", "causes": [cause], "notification_ids": ["no-1"],
    }  # fmt: skip
    stream = io.StringIO()

    write(episode(incident=incident), Console(file=stream))

    text = stream.getvalue()
    for part in ("Incident in-1 is explained", "triage (no-model-configured)", "1. ConfigMap/data/db-config",
                 "90% sure", "$ kubectl edit", "told by notification no-1"):  # fmt: skip
        assert part in text
    assert "\x1b" not in text
