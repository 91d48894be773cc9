"""What grows on a volume, and for whom it is kept."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kube import Doc, config_map, container, deployment, edit, env, service, stateful_set, thing
from tests.support.series import answered, recorded
from tests.support.triage import first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

GIB = 2.0**30
HOUR = 3600.0
DB = stateful_set("db", spec={"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]})
CLAIM = thing("PersistentVolumeClaim", "data", "shop-data", spec={}, status={"phase": "Bound", "capacity": {"storage": "100Gi"}})  # fmt: skip
RISE = [40.0] * 20 + [40 + 2.5 * n for n in range(20)]
HERE = {"namespace": "shop-data", "pod": "db-0", "container": "exporter"}


def feed(replicas: int = 0, slot: str = "lake_feed", **more: Any) -> list[Doc]:
    return [
        *deployment("feed", "lake", replicas=replicas, containers=[container(env=env(SLOT_NAME=slot))], edits=[edit(60 * 20, "spec/replicas")], age=60 * 24 * 9, **more),
        *deployment("query", "lake", containers=[container(env=env(DB="db.shop-data.svc"))]),
    ]  # fmt: skip


def volume(values: list[float] = RISE):
    labels = {"namespace": "shop-data", "persistentvolumeclaim": "data"}
    return recorded("kubelet_volume_stats_used_bytes", [v * GIB for v in values], HOUR, **labels)


def slot(values: list[float], name: str = "lake_feed", metric: str = "pg_replication_slots_pg_wal_lsn_diff"):
    return recorded(metric, [v * GIB for v in values], HOUR, __name__=metric, slot_name=name, slot_type="logical", **HERE)  # fmt: skip


KEPT = [max(v - 40, 0.1) for v in RISE]
OBJECTS = (DB, CLAIM, service("db", "shop-data"))
ASKED = "PersistentVolumeClaim/shop-data/data"


def test_a_feed_scaled_to_zero_whose_slot_keeps_the_log_is_the_cause_of_a_full_volume():
    quiet = recorded(
        "pg_replication_slot_slot_is_active", [1.0] * 20 + [0.0] * 20, HOUR, slot_name="lake_feed", **HERE
    )

    answer = answered(
        ASKED, *OBJECTS, feed(), metrics=[volume(), slot(KEPT), slot([0.02] * 40, "reports"), quiet]
    )

    assert first(answer) == ("Deployment/lake/feed", "KeptForAbsentReader")
    for words in ("slot_name lake_feed", "scaled to 0 replicas", "pg_replication_slots_pg_wal_lsn_diff", "is not active since", "88% full"):  # fmt: skip
        assert words in answer.ranked[0].text


def test_a_reader_named_in_a_file_of_a_config_map_is_found():
    text = "database.host=db.shop-data.svc\nslot.name=lake_feed\n"
    settings = config_map("feed", "lake", data={"app.properties": text})
    volumes = {"volumes": [{"name": "s", "configMap": {"name": "feed"}}]}

    answer = answered(
        ASKED,
        *OBJECTS,
        settings,
        deployment("feed", "lake", replicas=0, spec=volumes),
        metrics=[volume(), slot(KEPT)],
    )

    assert first(answer) == ("Deployment/lake/feed", "KeptForAbsentReader")


def test_what_holds_most_of_a_full_volume_is_told_though_its_rise_was_not_recorded():
    answer = answered(ASKED, *OBJECTS, feed(), metrics=[volume([91.0] * 40), slot([52.0] * 40)])

    assert first(answer) == ("Deployment/lake/feed", "KeptForAbsentReader")
    assert "holds 52Gi" in answer.ranked[0].text


def test_a_part_that_grows_for_nobody_is_told_of_the_volume():
    wal = slot(KEPT, "wal", "pg_wal_size_bytes")

    answer = answered(ASKED, *OBJECTS, feed(), metrics=[volume(), wal])

    assert [f.reason for f in answer.findings if f.reason == "KeptForAbsentReader"] == []
    assert any("`pg_wal_size_bytes`" in cause.text for cause in answer.ranked)


@pytest.mark.parametrize(
    ("objects", "metrics"),
    [
        (feed(replicas=1), [volume(), slot(KEPT)]),
        (feed(slot="another"), [volume(), slot(KEPT)]),
        (feed(), [volume(), slot([0.1] * 40)]),
        (feed(), [volume([40.0] * 40), slot([20.0] * 40)]),
        (feed(), [volume()]),
    ],
    ids=["the reader runs", "nobody names it", "it does not grow", "there is room", "no part is measured"],
)
def test_a_reader_that_is_there_or_keeps_little_is_not_blamed(objects: list[Doc], metrics: list[Any]):
    answer = answered(ASKED, *OBJECTS, objects, metrics=metrics)

    assert "KeptForAbsentReader" not in {cause.reason for cause in answer.ranked}
