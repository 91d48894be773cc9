"""Rows of volumes, of what asks for them, and of configuration. Pure.

Source: `kubectl get` of Kubernetes 1.36; compared with an API server's own tables in the integration tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cli.serve_recording.printers.words import UNSET
from cli.serve_recording.tables import Cell, Printer, age_of, columns, name_of
from services.context_api.domain.kube import at, entries, flat, mapping, strings, text
from services.context_api.domain.snapshot import Body

_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_DEFAULT_CLASS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def claim(body: Body, now: datetime) -> Sequence[Cell]:
    spec, status = mapping(body.get("spec")), mapping(body.get("status"))
    volume = text(spec.get("volumeName"))
    return (
        name_of(body),
        _phase(body),
        volume,
        text(at(status, "capacity", "storage")) if volume else "",
        _modes(status.get("accessModes")) if volume else "",
        text(spec.get("storageClassName")),
        _or_unset(spec.get("volumeAttributesClassName")),
        age_of(body, now),
        _or_unset(spec.get("volumeMode")),
    )


def volume(body: Body, now: datetime) -> Sequence[Cell]:
    spec = mapping(body.get("spec"))
    claimed = mapping(spec.get("claimRef"))
    return (
        name_of(body),
        text(at(spec, "capacity", "storage")),
        _modes(spec.get("accessModes")),
        text(spec.get("persistentVolumeReclaimPolicy")),
        _phase(body),
        f"{text(claimed.get('namespace'))}/{text(claimed.get('name'))}" if claimed else "",
        text(spec.get("storageClassName")),
        _or_unset(spec.get("volumeAttributesClassName")),
        text(at(body, "status", "reason")),
        age_of(body, now),
        _or_unset(spec.get("volumeMode")),
    )


def _phase(body: Body) -> str:
    deleted = at(body, "metadata", "deletionTimestamp")
    return "Terminating" if deleted else text(at(body, "status", "phase"))


def _modes(modes: object) -> str:
    found = strings(modes)
    return ",".join(short for mode, short in _MODES.items() if mode in found)


def _or_unset(value: object) -> str:
    return UNSET if value is None else text(value)


def storage_class(body: Body, now: datetime) -> Sequence[Cell]:
    notes = flat(at(body, "metadata", "annotations"))
    default = " (default)" if any(notes.get(key) == "true" for key in _DEFAULT_CLASS) else ""
    return (
        f"{name_of(body)}{default}",
        text(body.get("provisioner")),
        text(body.get("reclaimPolicy")) or "Delete",
        text(body.get("volumeBindingMode")) or "Immediate",
        body.get("allowVolumeExpansion") is True,
        age_of(body, now),
    )


def volume_attachment(body: Body, now: datetime) -> Sequence[Cell]:
    spec = mapping(body.get("spec"))
    return (
        name_of(body),
        text(spec.get("attacher")),
        text(at(spec, "source", "persistentVolumeName")),
        text(spec.get("nodeName")),
        at(body, "status", "attached") is True,
        age_of(body, now),
    )


def csi_node(body: Body, now: datetime) -> Sequence[Cell]:
    return name_of(body), len(entries(at(body, "spec", "drivers"))), age_of(body, now)


def config_map(body: Body, now: datetime) -> Sequence[Cell]:
    return (
        name_of(body),
        len(mapping(body.get("data"))) + len(mapping(body.get("binaryData"))),
        age_of(body, now),
    )


def secret(body: Body, now: datetime) -> Sequence[Cell]:
    """A recorded Secret has a summary in its data's place, with as many keys."""
    kept = mapping(body.get("dataSummary"))
    return name_of(body), text(body.get("type")), len(kept), age_of(body, now)


CLAIM = Printer(
    columns("Name", "Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass", "Age", wide=("VolumeMode",)),
    claim,
)  # fmt: skip
VOLUME = Printer(
    columns("Name", "Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass", "VolumeAttributesClass", "Reason", "Age", wide=("VolumeMode",)),
    volume,
)  # fmt: skip
STORAGE_CLASS = Printer(
    columns("Name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"), storage_class
)  # fmt: skip
VOLUME_ATTACHMENT = Printer(columns("Name", "Attacher", "PV", "Node", "Attached", "Age"), volume_attachment)
CSI_NODE = Printer(columns("Name", "Drivers#", "Age"), csi_node)
CONFIG_MAP = Printer(columns("Name", "Data", "Age"), config_map)
SECRET = Printer(columns("Name", "Type", "Data#", "Age"), secret)
