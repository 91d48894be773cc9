"""Volumes that belong to a node or zone which their pods cannot reach."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import volume_place
from tests.support.kube import Doc, ago, event, node, stateful_set, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

GONE = node("node-9")


def disk(label: str = "kubernetes.io/hostname", *values: str, **spec: Any) -> Doc:
    wanted = {"key": label, "operator": "In", "values": list(values or ("node-9",))}
    required = {"nodeSelectorTerms": [{"matchExpressions": [wanted]}]}
    return thing("PersistentVolume", "disk", None, spec={"local": {"path": "/mnt/0"}, "nodeAffinity": {"required": required}, **spec})  # fmt: skip


def claim(volume: str = "disk") -> Doc:
    return thing("PersistentVolumeClaim", "data", "shop-data", spec={"volumeName": volume}, status={"phase": "Bound"})  # fmt: skip


def waiting(message: str = "0/1 nodes are available: 1 node(s) didn't match PersistentVolume's node affinity.") -> list[Doc]:  # fmt: skip
    spec = {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}
    made = stateful_set("db", statuses=[], spec=spec)
    placed = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message, "lastTransitionTime": ago(9)}  # fmt: skip
    for one in made:
        if one["kind"] == "Pod":
            one["spec"].pop("nodeName")
            one["status"] = {"phase": "Pending", "conditions": [placed]}
    return made


def test_a_local_disk_of_a_node_that_left_is_the_cause_with_how_the_node_left():
    left = event(GONE, "ScaleDown", "node removed by cluster autoscaler", last=12, type_="Normal")

    answer = causes(waiting(), disk(), claim(), node(), left, target="StatefulSet/shop-data/db")

    assert first(answer) == ("PersistentVolume/_cluster/disk", "VolumeTiedToMissingNode")
    for words in ("a local disk", "kubernetes.io/hostname In node-9", "none of the 1 nodes", "node removed by cluster autoscaler"):  # fmt: skip
        assert words in answer.ranked[0].text
    assert answer.ranked[0].path == ["PersistentVolume/_cluster/disk", "StatefulSet/shop-data/db"]


def test_a_volume_of_a_zone_without_nodes_is_the_cause_too():
    zonal = disk("topology.kubernetes.io/zone", "c")
    there = node(labels={"topology.kubernetes.io/zone": "a"})

    (found,) = seen(volume_place, waiting(), zonal, claim(), there)

    assert found.reason == "VolumeTiedToMissingNode"
    assert "topology.kubernetes.io/zone In c" in found.text


def test_a_cordoned_node_that_alone_has_the_disk_is_the_cause():
    shut = node("node-9", unschedulable=True)

    (found,) = seen(volume_place, waiting(), disk(), claim(), node(), shut)

    assert said([found]) == [("Node/_cluster/node-9", "VolumeTiedToClosedNode")]
    assert "cordoned" in found.text


@pytest.mark.parametrize(
    "objects",
    [
        [waiting(), disk(), claim(), node("node-9", cpu="1")],
        [waiting(), disk(nodeAffinity={}), claim(), node()],
        [waiting(), disk(), claim("other"), node()],
        [stateful_set("db", spec={"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}), disk(), claim(), node()],
        [waiting(), disk(), claim()],
    ],
    ids=["its node is there and open", "a volume for any node", "another volume", "the pod runs", "no node was recorded"],
)  # fmt: skip
def test_what_is_not_tied_to_a_missing_place_is_not_blamed(objects: list[Any]):
    assert seen(volume_place, *objects) == []
