from __future__ import annotations

from typing import Any

import pytest

from cli.serve_recording.printers import storage
from cli.serve_recording.tables import Printer
from tests.support.kube import NOW, ago, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")


def row(printer: Printer, **body: Any) -> list[Any]:
    return list(printer.cells(thing("X", "x", age=60, **body), NOW))


def test_a_claim_shows_its_volumes_size_once_it_has_one():
    spec = {"volumeName": "pv-1", "storageClassName": "fast", "volumeMode": "Filesystem"}
    status = {
        "phase": "Bound",
        "capacity": {"storage": "5Gi"},
        "accessModes": ["ReadWriteMany", "ReadWriteOnce"],
    }

    assert row(storage.CLAIM, spec=spec, status=status)[1:] == ["Bound", "pv-1", "5Gi", "RWO,RWX", "fast", "<unset>", "60m", "Filesystem"]  # fmt: skip
    assert row(storage.CLAIM, spec={}, status={"phase": "Pending", "capacity": {"storage": "5Gi"}})[1:6] == [
        "Pending",
        "",
        "",
        "",
        "",
    ]


def test_a_volume_says_whose_it_is_and_what_becomes_of_it():
    spec = {
        "capacity": {"storage": "5Gi"}, "accessModes": ["ReadWriteOncePod"], "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": "shop", "name": "data"}, "storageClassName": "fast",
    }  # fmt: skip

    assert row(storage.VOLUME, spec=spec, status={"phase": "Released"})[1:] == [
        "5Gi", "RWOP", "Retain", "Released", "shop/data", "fast", "<unset>", "", "60m", "<unset>",
    ]  # fmt: skip
    deleted = thing("X", "x", spec={}, status={"phase": "Released"})
    deleted["metadata"]["deletionTimestamp"] = ago(1)
    assert storage.VOLUME.cells(deleted, NOW)[4] == "Terminating"


def test_the_default_class_is_marked():
    marked = {"storageclass.kubernetes.io/is-default-class": "true"}

    assert row(storage.STORAGE_CLASS, annotations=marked, provisioner="p") == [
        "x (default)",
        "p",
        "Delete",
        "Immediate",
        False,
        "60m",
    ]
    assert row(storage.STORAGE_CLASS, allowVolumeExpansion=True, volumeBindingMode="WaitForFirstConsumer")[3:5] == ["WaitForFirstConsumer", True]  # fmt: skip


def test_attachments_and_nodes_drivers_are_told():
    spec = {"attacher": "csi", "source": {"persistentVolumeName": "pv-1"}, "nodeName": "n"}

    assert row(storage.VOLUME_ATTACHMENT, spec=spec, status={"attached": True})[1:5] == [
        "csi",
        "pv-1",
        "n",
        True,
    ]
    assert row(storage.CSI_NODE, spec={"drivers": [{}, {}]})[1] == 2


def test_a_config_maps_keys_are_counted_and_a_secrets_by_its_summary():
    assert row(storage.CONFIG_MAP, data={"a": "1"}, binaryData={"b": ""})[1] == 2
    assert row(storage.SECRET, type="Opaque", dataSummary={"a": {"bytes": 1}, "b": {"bytes": 2}})[1:3] == [
        "Opaque",
        2,
    ]
