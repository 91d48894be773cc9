"""What a workload is asked to be, in one fact: how many pods, and of each container its image, what it may use and how
it is probed.

Decides which fields of a pod template a reader needs in order to follow a cause about it. Environment and arguments
are left out: they are long, and where they matter an analyzer cites them. Pure.
"""

from __future__ import annotations

from typing import Any

from libs.contracts.evidence import EvidenceItem, EvidenceKind
from services.context_api.domain import evidence
from services.context_api.domain.evidence import Fact
from services.context_api.domain.kube import WORKLOADS, containers, flat, mapping, number, pod_spec, text
from services.context_api.domain.logs import cut
from services.context_api.domain.redact import redact
from services.context_api.domain.snapshot import Body, KubeObject
from services.context_api.domain.wording import name_of

PATH = "spec in short"
MOST_CONTAINERS = 4
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_TIMES = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold")


def outline(obj: KubeObject) -> Fact | None:
    """None of what carries no pod template, and of a pod that something else made."""
    if obj.kind not in WORKLOADS or (obj.kind == "Pod" and obj.owners):
        return None
    parts = [_container(one) for one in list(containers(pod_spec(obj)))[:MOST_CONTAINERS]]
    if not parts:
        return None
    value: dict[str, Any] = {"containers": parts}
    if isinstance(obj.spec.get("replicas"), int):
        value["replicas"] = number(obj.spec.get("replicas"))
    count = f"{value['replicas']} × " if "replicas" in value else ""
    words = "; ".join(f"{part['name']} {part['image']}" + _used(part) for part in parts)
    return evidence.field(obj, PATH, value, f"{name_of(obj)} is to run {count}{cut(words, 400)}")


def is_outline(item: EvidenceItem) -> bool:
    return item.kind is EvidenceKind.object and item.body.get("path") == PATH


def _container(raw: Body) -> dict[str, Any]:
    """Its name and image, and those of the other fields that are set."""
    resources = mapping(raw.get("resources"))
    shown: dict[str, Any] = {
        kind: amounts for kind in ("requests", "limits") if (amounts := flat(resources.get(kind)))
    }
    for probe in _PROBES:
        known = mapping(raw.get(probe))
        if times := {key: number(known.get(key)) for key in _TIMES if key in known}:
            shown[probe] = times
    return {"name": text(raw.get("name")), "image": redact(text(raw.get("image"))), **shown}


def _used(part: dict[str, Any]) -> str:
    told = [
        f"{kind} {', '.join(f'{name} {amount}' for name, amount in sorted(part[kind].items()))}"
        for kind in ("requests", "limits")
        if kind in part
    ]
    return f" ({'; '.join(told)})" if told else ""
