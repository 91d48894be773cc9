"""What began when a volume began to fill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from services.context_api.domain.analyzers import filled_since
from services.context_api.domain.triage import observe
from tests.support.kube import Doc, ago, applied, container, edit, pod, thing
from tests.support.series import answered, recorded, scene
from tests.support.triage import first, said

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-007")

USED = "kubelet_volume_stats_used_bytes / kubelet_volume_stats_capacity_bytes"
HOUR = 3600.0
CLAIM = thing("PersistentVolumeClaim", "store-1", spec={}, status={"phase": "Bound", "capacity": {"storage": "10Gi"}})  # fmt: skip
BENT = [0.3, 0.31, 0.3, 0.3, 0.31, 0.3, 0.3, 0.31, 0.3, 0.31, *[0.3 + 0.069 * n for n in range(1, 11)]]
"""Level for ten hours, then up for ten: the bend is ten hours ago."""


def store(turned: float, *, edits: Sequence[Doc] = (), reason: str = "ExportFailing", status: str = "False") -> list[Doc]:  # fmt: skip
    """A custom resource whose pod mounts the claim, and which says since when its export fails."""
    state = {"type": "Exporting", "status": status, "reason": reason, "message": "bucket refuses the export", "lastTransitionTime": ago(turned)}  # fmt: skip
    owner = thing(
        "Store", "store", api="stores.example.com/v1", spec={"bucket": "b"}, status={"conditions": [state]}, edits=edits,
        annotations=applied({"spec": {"bucket": "a"}}),
    )  # fmt: skip
    made = pod("store-1", containers=[container()], owner=owner)
    made["spec"]["volumes"] = [{"name": "d", "persistentVolumeClaim": {"claimName": "store-1"}}]
    return [owner, made]


def found(objects: Any, values: Sequence[float]) -> list[tuple[str, str]]:
    metrics = [recorded(USED, values, HOUR, namespace="shop", persistentvolumeclaim="store-1")]
    return said([o for o in observe(scene(objects, CLAIM, metrics=metrics)) if o.analyzer == filled_since.NAME])  # fmt: skip


def test_a_complaint_that_began_when_the_volume_began_to_fill_is_the_cause():
    metrics = [recorded(USED, BENT, HOUR, namespace="shop", persistentvolumeclaim="store-1")]
    answer = answered(
        "PersistentVolumeClaim/shop/store-1",
        store(630, edits=[edit(632, "spec/bucket")]),
        CLAIM,
        metrics=metrics,
    )

    assert first(answer) == ("Store/shop/store", "FillsVolumeSince")
    for fact in ("is 99% full", "ExportFailing", "bucket refuses the export", "`a` → `b`"):
        assert fact in answer.ranked[0].text


def test_an_edit_alone_at_that_time_is_a_lead_as_well():
    objects = store(600, edits=[edit(610, "spec/bucket")], reason="Exported", status="True")

    assert found(objects, BENT) == [("Store/shop/store", "FillsVolumeSince")]


@pytest.mark.parametrize(
    ("objects", "values"),
    [
        (store(20, edits=[edit(22, "spec/bucket")]), BENT),
        (store(630), [0.05 * n for n in range(20)]),
        (store(630), [0.3, 0.31, 0.29] * 7),
        (store(630), BENT[:-4] + [0.3] * 4),
    ],
    ids=["changed today", "always filled", "level", "emptied again"],
)
def test_what_does_not_coincide_with_a_bend_is_innocent(objects: list[Doc], values: list[float]):
    assert found(objects, values) == []
