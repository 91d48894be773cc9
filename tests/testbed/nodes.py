"""What a node's objects say: its machine, and what a kubelet reports of it when all is well."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Body = dict[str, Any]

_MACHINE = {
    "architecture": "amd64",
    "operatingSystem": "linux",
    "osImage": "Debian GNU/Linux 12 (bookworm)",
    "kernelVersion": "6.1.0-41-amd64",
    "containerRuntimeVersion": "containerd://2.1.5",
    "kubeletVersion": "v1.36.3",
    "kubeProxyVersion": "",
}


def manager(managed_by_kwok: bool) -> str:
    return "kwok" if managed_by_kwok else "kubelet"


def labels_of(name: str) -> Mapping[str, str]:
    return {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "node.kubernetes.io/instance-type": "standard",
    }


def healthy(name: str, address: str) -> Body:
    """What a kubelet reports of its node when all is well."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    facts = (
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    )
    conditions = [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": now,
            "lastTransitionTime": now,
        }
        for kind, status, reason, message in facts
    ]
    addresses = [{"type": "Hostname", "address": name}]
    if address:
        addresses.insert(0, {"type": "InternalIP", "address": address})
    machine = {"machineID": _digits(name, 1), "systemUUID": _digits(name, 2), "bootID": _digits(name, 3)}
    return {"conditions": conditions, "addresses": addresses, "nodeInfo": {**_MACHINE, **machine}}


def _digits(name: str, which: int) -> str:
    return hashlib.sha256(f"{name}/{which}".encode()).hexdigest()[:32]


def closed(node: Body) -> bool:
    return any(taint["effect"] != "PreferNoSchedule" for taint in node["spec"].get("taints", []))
