from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cli.alert_file import alerts_in

pytestmark = pytest.mark.requirement("INT-BR-WH-001", "INT-BR-WH-003")


def alert(name: str, **rest: Any) -> dict[str, Any]:
    return {"labels": {"alertname": name}, "startsAt": "2026-01-02T03:04:05.123456789Z", **rest}


def named(document: object) -> list[str]:
    return [found.name for found in alerts_in(document)]


def test_a_webhooks_firing_alerts_are_taken():
    body = {
        "version": "4",
        "alerts": [alert("a", status="resolved"), alert("b", status="firing"), alert("c")],
    }

    assert named(body) == ["b", "c"]


def test_a_webhook_of_resolved_alerts_may_be_looked_into_too():
    assert named({"alerts": [alert("a", status="resolved")]}) == ["a"]


@pytest.mark.parametrize(
    "document",
    [
        alert("a"),
        [alert("a")],
        [alert("a", status={"state": "active"}), alert("b", status={"state": "resolved"})],
        {"status": "success", "data": {"alerts": [alert("a", state="firing"), alert("b", state="pending")]}},
    ],
    ids=["single", "list", "alertmanager-api", "prometheus-api"],
)
def test_other_shapes_of_alerts_are_taken(document: object):
    assert named(document) == ["a"]


@pytest.mark.parametrize(
    "document", [None, 7, "x", {}, [], [[]], {"alerts": {}}, {"labels": []}, {"data": []}]
)
def test_what_holds_no_alert_gives_none(document: object):
    assert alerts_in(document) == []


def test_the_beginning_is_read_to_the_microsecond():
    assert alerts_in(alert("a"))[0].starts_at == datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)


@pytest.mark.parametrize("began", ["0001-01-01T00:00:00Z", None, "soon", 5])
def test_a_beginning_that_is_not_set_is_unknown(began: object):
    assert alerts_in(alert("a", startsAt=began))[0].starts_at is None


def test_prometheus_own_word_for_the_beginning_is_understood():
    document = {"labels": {}, "activeAt": "2026-01-02T03:04:05Z"}

    assert alerts_in(document)[0].starts_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert alerts_in(document)[0].name == "alert"


def test_labels_that_are_no_texts_are_left_out():
    assert alerts_in({"labels": {"a": "b", "c": 1}})[0].labels == {"a": "b"}
