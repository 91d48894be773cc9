"""Makes the values that tests of holmesgpt_api talk about: callers, requests, causes and records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.auth.permissions import Role
from libs.auth.principal import Principal, principal_for
from libs.contracts.alerts import Priority
from libs.contracts.causes import (
    Cause,
    CausesAnswer,
    Confidence,
    Finding,
    FindingSeverity,
    NoCause,
    Remediation,
)
from libs.contracts.evidence import EvidenceItem, EvidenceKind, content_hash
from libs.contracts.investigations import InvestigationRequest, InvestigationStatus
from libs.contracts.target import Target
from services.holmesgpt_api.domain.record import Claimed, Record

NOW = datetime(2026, 11, 18, 9, 24, 10, tzinfo=UTC)
CHECKOUT = Target(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout")
CONFIG = Target(kind="ConfigMap", namespace="data", name="orders-db-config")
DATABASE = Target(api_version="apps/v1", kind="StatefulSet", namespace="data", name="orders-db")
UNDO = Remediation(
    text="Put the old value back. Then delete the pod.",
    command="kubectl edit configmap orders-db-config -n data",
    risk="the database restarts",
    undo="edit it again",
)


def caller(
    name: str = "ana", *, tenant: str = "default", namespaces: Sequence[str] | None = None
) -> Principal:
    return principal_for(
        name, tenant=tenant, roles=[Role.operator], namespaces=namespaces, method="api-key", credential="k1"
    )


def request(**fields: Any) -> InvestigationRequest:
    return InvestigationRequest.model_validate({"alert_name": "KubePodCrashLooping", **fields})


def evidence(id_: str, target: Target | None = CONFIG, *, summary: str = "edited at 09:05") -> EvidenceItem:
    return EvidenceItem(
        id=id_,
        source="recording",
        kind=EvidenceKind.change,
        target=target,
        content_hash=content_hash({"summary": summary}),
        summary=summary,
        body={"summary": summary},
    )


def cause(target: Target = CONFIG, *, reason: str = "ConfigChangedBeforeOnset", **fields: Any) -> Cause:
    values: dict[str, Any] = {
        "target": target,
        "reason": reason,
        "text": "edited 46 s before the database stopped starting.",
        "severity": FindingSeverity.critical,
        "confidence": Confidence(value=0.9, basis=["changed just before", "the log names the file"]),
        "evidence_ids": ["e1"],
        "path": [str(target), str(DATABASE), str(CHECKOUT)],
        "explains": [f"{DATABASE}: CrashLoopBackOff"],
        "remediation": UNDO,
    }
    return Cause(**(values | fields))


def finding(target: Target = DATABASE, *, reason: str = "CrashLoopBackOff", **fields: Any) -> Finding:
    values: dict[str, Any] = {
        "target": target,
        "reason": reason,
        "text": "exits with code 1",
        "severity": FindingSeverity.critical,
        "analyzer": "crash_loop",
        "evidence_ids": ["e2"],
    }
    return Finding(**(values | fields))


def found(*causes: Cause, **fields: Any) -> CausesAnswer:
    """The Context API's answer; by default the bundled incident's in short."""
    values: dict[str, Any] = {
        "target": CHECKOUT,
        "ranked": list(causes or (cause(),)),
        "no_cause": False,
        "findings": [finding()],
        "evidence": [evidence("e1"), evidence("e2", DATABASE), evidence("e3", CHECKOUT)],
        "snapshot_at": NOW,
    }
    return CausesAnswer(**(values | fields))


def nothing(why: NoCause, **fields: Any) -> CausesAnswer:
    return CausesAnswer(target=CHECKOUT, ranked=[], no_cause=True, no_cause_reason=why, **fields)


def claimed(**fields: Any) -> Claimed:
    values: dict[str, Any] = {
        "id": "inv-1",
        "fence": 1,
        "tenant": "default",
        "asker": "ana",
        "reads": ("*",),
        "request": request(target=CHECKOUT.model_dump()),
        "priority": Priority.p1,
        "seen": ("shop",),
        "time_left": timedelta(seconds=30),
        "age": timedelta(seconds=1),
    }
    return Claimed(**(values | fields))


def record(**fields: Any) -> Record:
    """By default one that has just been taken."""
    values: dict[str, Any] = {
        "id": "inv-1",
        "tenant": "default",
        "asker": "ana",
        "request": request(),
        "priority": Priority.p2,
        "namespace": "shop",
        "status": InvestigationStatus.started,
        "progress": 0,
        "stage": "",
        "runs": 0,
        "seen": ("shop",),
        "created_at": NOW,
        "ended_at": None,
        "read_at": NOW + timedelta(seconds=2),
    }
    return Record(**(values | fields))
