"""A reader sees what the record holds, less what lies in namespaces that are not the reader's."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.contracts.alerts import AlertEpisode, Decision, TimelineEntry
from libs.contracts.target import Target
from services.alerts.domain.showing import HIDDEN, IncidentRecord, detail, incident

pytestmark = pytest.mark.requirement("INT-BR-AP-020", "INT-BR-AP-025@3.1.4")

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
SHOP = Target(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout")


def cause(namespace, reason="ConfigChangedBeforeOnset"):
    return {
        "target": {"kind": "ConfigMap", "namespace": namespace, "name": "cfg"},
        "reason": reason,
        "text": f"in {namespace}",
        "severity": "critical",
        "confidence": {"value": 0.9, "basis": ["b"]},
        "evidence_ids": [],
    }


def record(**changes):
    investigation = {
        "investigation_id": "i1",
        "status": "completed",
        "progress": 100,
        "alert_name": "a",
        "namespace": "shop",
        "priority": "P0",
        "engine": "triage",
        "degraded_reason": "no-model-configured",
        "summary": "the cause in words",
        "timestamp": NOW.isoformat(),
        "results": {
            "cause": cause("data"),
            "target": None,
            "contributing": [cause("shop", "Other")],
            "not_looked_at": ["metrics of data"],
        },
    }
    values = {
        "id": "inc1",
        "target": SHOP,
        "phase": "explained",
        "priority": "P0",
        "opened_at": NOW,
        "closed_at": None,
        "merged_into": None,
        "no_cause_reason": None,
        "investigation_id": "i1",
        "investigation": investigation,
        "episodes": [("e1", "shop"), ("e2", "data")],
        "notification_ids": ["n1"],
    }
    return IncidentRecord(**{**values, **changes})


def everywhere(namespace):
    return True


def shop_only(namespace):
    return namespace == "shop"


def test_who_may_see_everything_sees_it():
    shown = incident(record(), everywhere)

    assert [one.reason for one in shown.causes] == ["ConfigChangedBeforeOnset", "Other"]
    assert (shown.status, shown.summary, shown.engine) == ("explained", "the cause in words", "triage")
    assert shown.episode_ids == ["e1", "e2"]
    assert shown.not_looked_at == ["metrics of data"]


def test_causes_and_words_about_foreign_namespaces_are_hidden():
    shown = incident(record(), shop_only)

    assert [one.reason for one in shown.causes] == ["Other"]
    assert (shown.summary, shown.not_looked_at) == (HIDDEN, [])
    assert shown.episode_ids == ["e1"]
    assert shown.target == SHOP


def test_a_readable_cause_does_not_name_the_unreadable_one_that_explains_it():
    told = cause("shop", "Other") | {
        "path": ["ConfigMap/shop/cfg", "Service/data/orders-db"],
        "confidence": {
            "value": 0.2,
            "basis": ["against it: NoEndpoints of Service/data/orders-db explains it"],
        },
    }
    investigation = record().investigation | {
        "results": {"cause": None, "target": None, "contributing": [told]}
    }

    shown = incident(record(investigation=investigation), shop_only)

    assert "orders-db" not in shown.model_dump_json()


def test_a_target_in_a_foreign_namespace_is_hidden():
    foreign = SHOP.model_copy(update={"namespace": "data"})

    assert incident(record(target=foreign), shop_only).target is None


def test_closed_is_a_status_of_its_own_and_no_investigation_is_no_cause():
    shown = incident(record(closed_at=NOW, investigation=None, no_cause_reason="x"), everywhere)

    assert (shown.status, shown.causes, shown.no_cause_reason) == ("closed", [], "x")


def episode(**changes):
    values = {
        "id": "e1",
        "fingerprint": "f",
        "alertname": "a",
        "state": "firing",
        "severity": "critical",
        "labels": {},
        "annotations": {},
        "starts_at": NOW,
        "last_seen": NOW + timedelta(minutes=3),
        "received_count": 1,
    }
    return AlertEpisode(**{**values, **changes})


def entry(minute, event, decision=None):
    return TimelineEntry(
        at=NOW + timedelta(minutes=minute), event=event, detail="ConfigMap/data/cfg", decision=decision
    )


CAUSE = Decision(subject="cause", outcome="explained", reason="cause-found", detail="ConfigMap/data/cfg")


def test_repeats_are_summed_up_in_one_entry_where_it_belongs():
    shown = detail(episode(received_count=4), [entry(0, "fired"), entry(5, "resolved")], None)

    assert [one.event for one in shown.timeline] == ["fired", "repeated", "resolved"]
    assert "4 times" in shown.timeline[1].detail


def test_an_alert_heard_of_once_was_not_repeated():
    assert [one.event for one in detail(episode(), [entry(0, "fired")], None).timeline] == ["fired"]


def test_decisions_stand_in_the_order_they_were_taken():
    later, earlier = (
        entry(2, "explained", CAUSE),
        entry(1, "decided", Decision(subject="priority", outcome="P0", reason="r")),
    )

    shown = detail(episode(), [later, earlier], None)

    assert [one.subject for one in shown.decisions] == ["priority", "cause"]


def test_the_timeline_does_not_tell_a_hidden_cause():
    hidden = incident(record(), shop_only)

    shown = detail(episode(), [entry(0, "fired"), entry(1, "explained", CAUSE)], hidden)

    assert shown.timeline[1].detail == HIDDEN
    assert shown.decisions[0].detail == HIDDEN
    assert "data" not in shown.timeline[1].model_dump_json()
