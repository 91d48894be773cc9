"""How full a volume is: by bytes, and by inodes where a file system has a fixed number of them."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.volumes import measured, usage, usages
from tests.support.kube import thing
from tests.support.series import recorded, scene

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-007")

CLAIM = thing("PersistentVolumeClaim", "data", status={"phase": "Bound", "capacity": {"storage": "100"}})


def of(name: str, values: list[float]) -> Any:
    return recorded(name, values, __name__=name, namespace="shop", persistentvolumeclaim="data")


def shares(*metrics: Any) -> list[float]:
    return [round(points[-1][1], 3) for _, _, points in measured(scene([CLAIM], metrics=list(metrics)))]


USED, FREE, ALL = (f"kubelet_volume_stats_inodes{what}" for what in ("_used", "_free", ""))


@pytest.mark.parametrize(
    ("metrics", "full"),
    [
        ([of("kubelet_volume_stats_used_bytes", [20.0, 40.0])], [0.4]),
        ([of("kubelet_volume_stats_available_bytes", [80.0, 60.0])], [0.4]),
        ([of(USED, [99.0, 100.0]), of(ALL, [100.0, 100.0])], [1.0]),
        ([of(FREE, [1.0, 0.0]), of(ALL, [100.0, 100.0])], [1.0]),
        ([of(USED, [100.0, 105.0, 110.0]), of(FREE, [0.0] * 3), of(ALL, [100.0, 105.0, 110.0])], []),
        ([of(USED, [110.0, 100.0]), of(FREE, [0.0, 0.0]), of(ALL, [110.0, 100.0])], []),
        ([of(USED, [60.0, 60.0, 120.0]), of(ALL, [60.0, 60.0, 120.0])], [1.0]),
        ([of(USED, [100.0, 110.0])], []),
        ([of("kubelet_volume_stats_capacity_bytes", [100.0, 100.0])], []),
    ],
    ids=["used", "available", "inodes used", "inodes free", "inodes made as files come", "and given back", "more of them once", "of how many", "size alone"],
)  # fmt: skip
def test_the_share_of_a_volume_that_is_used(metrics: list[Any], full: list[float]):
    assert shares(*metrics) == full


def test_a_volume_that_is_measured_no_longer_was_measured():
    other = recorded(
        "kubelet_volume_stats_used_bytes", [1.0] * 50, namespace="shop", persistentvolumeclaim="other"
    )
    known = scene([CLAIM], metrics=[of("kubelet_volume_stats_used_bytes", [20.0, 40.0]), other])
    claim = known.graph.get("PersistentVolumeClaim", "shop", "data")
    assert claim

    assert len(list(usages(known))) == 1
    assert [points[-1][1] for _, points in usage(known, claim)] == [0.4]


def test_of_one_claim_only_its_own_series_are_read():
    other = thing("PersistentVolumeClaim", "other", status=CLAIM["status"])
    used = "kubelet_volume_stats_used_bytes"
    of_other = recorded(used, [10.0, 70.0], __name__=used, namespace="shop", persistentvolumeclaim="other")
    known = scene([CLAIM, other], metrics=[of(used, [20.0, 40.0]), of_other])
    claim = known.graph.get("PersistentVolumeClaim", "shop", "other")

    assert len(list(usages(known))) == 2
    assert [(str(found), points[-1][1]) for found, _, points in usages(known, claim)] == [
        ("PersistentVolumeClaim/shop/other", 0.7)
    ]
