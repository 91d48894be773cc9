"""One alert's way through the services, as their answers tell it."""

from __future__ import annotations

from typing import Any

from libs.contracts.alerts import AlertEpisodeDetail
from libs.contracts.investigations import Investigation
from libs.contracts.notifications import Notification

ONSET = "2026-11-21T07:00:00Z"
CONFIG = {"kind": "ConfigMap", "namespace": "data", "name": "orders-db-config"}
POD = {"kind": "Pod", "namespace": "shop", "name": "checkout-1"}


def a_decision(subject: str, outcome: str, reason: str, detail: str = "") -> dict[str, Any]:
    return {"subject": subject, "outcome": outcome, "reason": reason, "detail": detail}


def an_entry(event: str, **fields: Any) -> dict[str, Any]:
    return {"at": ONSET, "event": event, **fields}


def an_episode(**fields: Any) -> dict[str, Any]:
    return {
        "id": "e-1",
        "fingerprint": "f",
        "alertname": "PodCrash",
        "state": "firing",
        "severity": "critical",
        "labels": {"alertname": "PodCrash"},
        "annotations": {},
        "starts_at": ONSET,
        "last_seen": ONSET,
        "received_count": 2,
        "environment": "production",
        "priority": "P0",
        "target": POD,
        "decisions": [
            a_decision("environment", "production", "unknown-means-production", "nothing names one"),
            a_decision("priority", "P0", "score"),
        ],
        "timeline": [an_entry("fired")],
        "incident": {
            "id": "i-1",
            "target": POD,
            "status": "explained",
            "investigation_id": "inv-1",
            "notification_ids": ["n-1"],
        },
        **fields,
    }


def a_cause(target: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "target": target,
        "reason": "ConfigChangedBeforeOnset",
        "text": "The configuration was edited just before.",
        "severity": "critical",
        "confidence": {"value": 0.87, "basis": ["edited 30 s before"]},
        "evidence_ids": ["ev-cited-000000"],
        **fields,
    }


def an_item(id_: str, summary: str) -> dict[str, Any]:
    return {
        "id": id_,
        "source": "recording",
        "kind": "event",
        "content_hash": "0" * 64,
        "summary": summary,
        "body": {},
    }


def an_investigation(**fields: Any) -> dict[str, Any]:
    return {
        "investigation_id": "inv-1",
        "status": "completed",
        "progress": 100,
        "alert_name": "PodCrash",
        "namespace": "shop",
        "priority": "P0",
        "engine": "triage",
        "degraded_reason": "no-model-configured",
        "timestamp": ONSET,
        "results": {
            "cause": a_cause(
                CONFIG, remediation={"text": "Undo the edit.", "command": "kubectl rollout undo"}
            ),
            "contributing": [a_cause(POD, text="It crashes.")],
            "target": POD,
            "evidence": [
                an_item("ev-cited-000000", "edited at 06:59"),
                an_item("ev-beside-00000", "of no matter"),
            ],
            "not_looked_at": ["metrics: none recorded"],
        },
        **fields,
    }


def a_notification(**fields: Any) -> dict[str, Any]:
    return {
        "id": "n-1",
        "status": "sent",
        "subject": "Orders are down",
        "body": "The database does not start.",
        "priority": "P0",
        "created_at": ONSET,
        "deliveries": [
            {
                "effect_id": "x",
                "channel": "console",
                "recipient": "operator",
                "state": "sent",
                "attempts": 1,
                "sent_at": ONSET,
            }
        ],
        **fields,
    }


def read_episode(**fields: Any) -> AlertEpisodeDetail:
    return AlertEpisodeDetail.model_validate(an_episode(**fields))


def read_investigation(**fields: Any) -> Investigation:
    return Investigation.model_validate(an_investigation(**fields))


def read_notification(**fields: Any) -> Notification:
    return Notification.model_validate(a_notification(**fields))
