"""The bundled incident, whole: the causal object first, also when parts of the evidence are missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from libs.contracts.causes import CausesAnswer, NoCause
from services.context_api.adapters.recording import load_recording
from services.context_api.domain.resolve import resolve
from services.context_api.domain.snapshot import KubeObject, Snapshot
from services.context_api.domain.triage import find_causes
from tests.support.kube import deployment, service, snapshot
from tests.support.source import ROOT
from tests.testbed.incidents.orders_database_config.record import edited_at

pytestmark = pytest.mark.requirement(
    "API-BR-CAPI-001", "API-BR-CAPI-004", "API-BR-CAPI-006", "API-BR-CAPI-009"
)

INCIDENT = ROOT / "examples" / "incidents" / "orders-database-config"
UNDONE = ROOT / "tests" / "fixtures" / "recordings" / "orders-database-config-undone"
CAUSE = "ConfigMap/data/orders-db-config"


@pytest.fixture(scope="module")
def recorded() -> Snapshot:
    return load_recording(INCIDENT)


def asked(taken: Snapshot, folder: Path = INCIDENT) -> CausesAnswer:
    """The answer to the alert that came with the recording."""
    alert: dict[str, Any] = json.loads((folder / "alert.json").read_text(encoding="utf-8"))["alerts"][0]
    found = resolve(taken, alert["labels"], "local")
    return find_causes(taken, target=found.target, onset=datetime.fromisoformat(alert["startsAt"]))


def without_managed_fields(obj: KubeObject) -> KubeObject:
    meta = {k: v for k, v in obj.metadata.items() if k != "managedFields"}
    return replace(obj, body={**obj.body, "metadata": meta})


def without_last_applied(obj: KubeObject) -> KubeObject:
    meta = {**obj.metadata, "annotations": {}}
    return replace(obj, body={**obj.body, "metadata": meta})


def test_the_edited_configmap_is_named_with_its_key_before_and_after(recorded: Snapshot):
    best = asked(recorded).ranked[0]

    assert str(best.target) == CAUSE
    for words in (
        "shared_buffers = 512MB",
        "shared_buffers = 2G",
        "kubectl-edit",
        edited_at(INCIDENT)[11:19],
        "StatefulSet data/orders-db",
    ):
        assert words in best.text
    assert [step.split("/")[0] for step in best.path] == [
        "ConfigMap",
        "StatefulSet",
        "Service",
        "Deployment",
        "Pod",
    ]
    assert best.confidence.value >= 0.9
    assert best.remediation
    assert best.remediation.command == "kubectl -n data edit configmap/orders-db-config"


def test_nobody_innocent_comes_before_those_on_the_way(recorded: Snapshot):
    ranked = [str(c.target) for c in asked(recorded).ranked]

    assert ranked[:2] == [CAUSE, "StatefulSet/data/orders-db"]
    assert not any("catalog" in target for target in ranked)


def test_without_an_alert_the_same_object_comes_first(recorded: Snapshot):
    assert str(find_causes(recorded).ranked[0].target) == CAUSE


@pytest.mark.parametrize(
    "less",
    [
        lambda s: replace(s, events=()),
        lambda s: replace(s, logs=()),
        lambda s: replace(s, metrics=()),
        lambda s: replace(s, objects=[without_managed_fields(o) for o in s.objects]),
        lambda s: replace(s, objects=[without_last_applied(o) for o in s.objects]),
        lambda s: replace(s, events=(), logs=()),
        lambda s: replace(s, objects=[o for o in s.objects if o.kind not in ("EndpointSlice", "ReplicaSet")]),
        lambda s: replace(
            s, objects=list(reversed(s.objects)), events=list(reversed(s.events)), logs=list(reversed(s.logs))
        ),
    ],
    ids=[
        "events",
        "logs",
        "metrics",
        "managedFields",
        "last-applied",
        "events and logs",
        "endpoints and replica sets",
        "nothing but the order",
    ],
)
def test_the_cause_stays_when_one_kind_of_evidence_is_missing(
    recorded: Snapshot, less: Callable[[Snapshot], Snapshot]
):
    assert str(asked(less(recorded)).ranked[0].target) == CAUSE


def test_thousands_of_healthy_strangers_change_nothing(recorded: Snapshot):
    strangers = snapshot(
        [
            [deployment(f"app-{i}", f"team-{i % 20}"), service(f"app-{i}", f"team-{i % 20}", ready=2)]
            for i in range(800)
        ]
    )
    crowded = replace(recorded, objects=[*recorded.objects, *strangers.objects])

    assert [c.text for c in asked(crowded).ranked] == [c.text for c in asked(recorded).ranked]


def test_the_old_alert_after_the_fault_was_undone_has_no_cause():
    answer = asked(load_recording(UNDONE), UNDONE)

    assert answer.ranked == []
    assert answer.no_cause_reason is NoCause.recovered
