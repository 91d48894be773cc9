"""Volumes without room, by logs and by metrics."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.contracts.target import Target
from services.context_api.domain.snapshot import MetricAnswer
from services.context_api.domain.triage import find_causes
from tests.support.kube import NOW, container, crashing, log, pods_in, snapshot, stateful_set, thing
from tests.support.series import recorded
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-007")

SPEC = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}
USES = container("db", volumeMounts=[{"name": "d", "mountPath": "/var/lib/db"}])
CLAIM = thing(
    "PersistentVolumeClaim",
    "data",
    "shop-data",
    spec={},
    status={"phase": "Bound", "capacity": {"storage": "10Gi"}},
)


def test_a_program_that_cannot_write_makes_its_claim_the_cause():
    db = stateful_set("db", containers=[USES], statuses=[crashing("db")], spec=SPEC)
    logs = [
        log(
            pods_in(db)[0],
            "PANIC: could not write to file /var/lib/db/wal/7: No space left on device",
            container="db",
        )
    ]

    answer = causes(db, CLAIM, target="StatefulSet/shop-data/db", logs=logs)

    assert first(answer) == ("PersistentVolumeClaim/shop-data/data", "VolumeFull")
    assert "(10Gi) is full" in answer.ranked[0].text


@pytest.mark.parametrize(
    ("when", "full"), [("2026-11-18T09:25:00Z ", True), ("2026-11-18T07:00:00Z ", False), ("", False)]
)
def test_a_ready_pods_word_counts_only_where_it_is_of_now(when: str, full: bool):
    db = stateful_set("db", containers=[USES], spec=SPEC)
    said = log(pods_in(db)[0], f"{when}ERROR /var/lib/db/wal/7: No space left on device", container="db")

    answer = causes(db, CLAIM, target="StatefulSet/shop-data/db", logs=[said])

    assert any(c.reason == "VolumeFull" for c in answer.ranked) is full


def measured(query: str, *values: float, name: str = ""):
    labels = {
        "namespace": "shop-data",
        "persistentvolumeclaim": "data",
        **({"__name__": name} if name else {}),
    }
    start = NOW.timestamp() - 3600
    samples = [[start + 3600 * i / max(len(values) - 1, 1), str(v)] for i, v in enumerate(values)]
    answer = MetricAnswer(
        query, "range", NOW, {"resultType": "matrix", "result": [{"metric": labels, "values": samples}]}
    )
    return find_causes(
        replace(snapshot(stateful_set("db", containers=[USES], spec=SPEC), CLAIM), metrics=[answer]),
        target=Target.parse("PersistentVolumeClaim/shop-data/data"),
    )


GI = 2**30
RATIO = "kubelet_volume_stats_available_bytes / kubelet_volume_stats_capacity_bytes"


@pytest.mark.parametrize(
    ("query", "values", "reason"),
    [
        (RATIO, (0.05, 0.02), "VolumeFull"),
        ("kubelet_volume_stats_used_bytes", (9 * GI, 9.9 * GI), "VolumeFull"),
        ("kubelet_volume_stats_available_bytes", (1 * GI, 0.1 * GI), "VolumeFull"),
        ("kubelet_volume_stats_used_bytes", [(6 + i / 12) * GI for i in range(7)], "VolumeFilling"),
        ("kubelet_volume_stats_inodes_used / kubelet_volume_stats_inodes", (0.97, 0.98), "VolumeFull"),
        ("kubelet_volume_stats_available_bytes", [(4 - i / 12) * GI for i in range(7)], "VolumeFilling"),
    ],
)
def test_metrics_alone_tell_a_full_volume_and_one_that_will_be(query: str, values, reason: str):
    assert first(measured(query, *values)) == ("PersistentVolumeClaim/shop-data/data", reason)


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (RATIO, (0.5, 0.5)),
        ("kubelet_volume_stats_used_bytes", (8 * GI, 8 * GI)),
        ("kubelet_volume_stats_inodes_used", (9e9, 9e9)),
        ("up", (0, 0)),
        ("kubelet_volume_stats_capacity_bytes", (10 * GI, 10 * GI)),
        ("kubelet_volume_stats_used_bytes", (6 * GI, 6.5 * GI)),
        ("kubelet_volume_stats_used_bytes", [v * GI for v in (6, 7, 8, 6, 7, 8, 6, 7, 8)]),
        ("kubelet_volume_stats_used_bytes", [v * GI for v in (6, 7, 8, 8.5, 8.6, 8.6, 8.6, 8.6, 8.6)]),
        ("kubelet_volume_stats_used_bytes", [(2 + i / 100) * GI for i in range(9)]),
    ],
    ids=[
        "half empty",
        "large and steady",
        "inodes",
        "another metric",
        "capacity alone",
        "two samples",
        "rotated in time",
        "levelled off",
        "far from full",
    ],
)
def test_volumes_with_room_are_no_findings(query: str, values):
    assert measured(query, *values).no_cause


def test_the_time_it_will_be_full_is_said():
    answer = measured("kubelet_volume_stats_used_bytes", *[(6 + i / 12) * GI for i in range(7)])

    # Half a GiB an hour, three and a half to go.
    assert "rises by 5.0% an hour: it is full in 7 h, at 2026-11-18 16:30:00 UTC" in answer.ranked[0].text


def test_a_full_volume_explains_the_workload_that_mounts_it():
    db = stateful_set("db", containers=[USES], statuses=[crashing("db")], spec=SPEC)
    labels = {"namespace": "shop-data", "persistentvolumeclaim": "data"}
    sample = {"metric": labels, "value": [NOW.timestamp(), "0.99"]}
    full = MetricAnswer(
        "kubelet_volume_stats_used_bytes / kubelet_volume_stats_capacity_bytes",
        "instant",
        NOW,
        {"resultType": "vector", "result": [sample]},
    )

    answer = find_causes(
        replace(snapshot(db, CLAIM), metrics=[full]), target=Target.parse("StatefulSet/shop-data/db")
    )

    assert first(answer) == ("PersistentVolumeClaim/shop-data/data", "VolumeFull")
    assert "StatefulSet/shop-data/db: CrashLoopBackOff" in answer.ranked[0].explains


def test_a_log_line_about_space_without_a_claim_blames_none():
    db = stateful_set("db", statuses=[crashing("db")])
    logs = [log(pods_in(db)[0], "No space left on device")]

    assert (
        first(causes(db, CLAIM, target="StatefulSet/shop-data/db", logs=logs))[0]
        == "StatefulSet/shop-data/db"
    )


def over_days(values: list[float], modes: list[str] | None = None):
    """A claim's used share, an hour apart."""
    claim = {**CLAIM, "spec": {"accessModes": modes or ["ReadWriteOnce"]}}
    share = "kubelet_volume_stats_used_bytes / kubelet_volume_stats_capacity_bytes"
    answer = recorded(share, values, 3600.0, namespace="shop-data", persistentvolumeclaim="data")
    whole = replace(snapshot(stateful_set("db", containers=[USES], spec=SPEC), claim), metrics=[answer])
    return find_causes(whole, target=Target.parse("PersistentVolumeClaim/shop-data/data"))


@pytest.mark.parametrize(
    ("values", "modes", "full"),
    [
        ([0.962] * 40, None, False),
        ([0.96, 0.88, 0.92, 0.96] * 10, None, False),
        ([0.93] * 30 + [0.96] * 10, None, True),
        ([0.995] * 40, None, True),
        ([0.96] * 10, None, True),
        ([1.0] * 3, ["ReadOnlyMany"], False),
        ([1.0] * 3, ["ReadOnlyMany", "ReadWriteOnce"], True),
    ],
    ids=["at that level all along", "emptied by itself", "fuller than it was", "to the brim", "nobody knows since when", "only read", "written as well"],
)  # fmt: skip
def test_a_volume_that_keeps_its_own_measure_or_is_only_read_is_not_full(values, modes, full: bool):
    assert any(c.reason == "VolumeFull" for c in over_days(values, modes).ranked) is full


@pytest.mark.parametrize("gone", [True, False], ids=["the volume is measured no longer", "it is"])
def test_a_volume_that_is_measured_no_longer_is_not_told_full(gone: bool):
    share = "kubelet_volume_stats_used_bytes / kubelet_volume_stats_capacity_bytes"
    now = NOW.timestamp()
    mine, other = (
        {"metric": {"namespace": "shop-data", "persistentvolumeclaim": name}, "values": [[now - back - 60 * n, "0.98"] for n in range(5)]}
        for name, back in (("data", 3600 if gone else 0), ("other", 0))
    )  # fmt: skip
    answer = MetricAnswer(share, "range", NOW, {"resultType": "matrix", "result": [mine, other]})
    whole = replace(snapshot(stateful_set("db", containers=[USES], spec=SPEC), CLAIM), metrics=[answer])

    found = find_causes(whole, target=Target.parse("PersistentVolumeClaim/shop-data/data"))

    assert any(c.reason == "VolumeFull" for c in found.ranked) is not gone
