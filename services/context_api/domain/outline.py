"""What an object is asked to be, in one fact, as `kubectl describe` would begin.

Of a workload: how many pods, how they are replaced, where they may run, and of each container its image, what it may
use and how it is probed. Of anything else its spec, where that is short. Environment and arguments are left out: they
are long, and where they matter an analyzer cites them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.contracts.evidence import EvidenceItem, EvidenceKind
from services.context_api.domain import evidence
from services.context_api.domain.evidence import Fact
from services.context_api.domain.kube import WORKLOADS, containers, flat, leaves, mapping, pod_spec, text
from services.context_api.domain.logs import cut
from services.context_api.domain.redact import redact, value_of
from services.context_api.domain.snapshot import Body, KubeObject
from services.context_api.domain.wording import name_of

PATH = "spec in short"
MOST_CONTAINERS, MOST_LEAVES = 4, 16
LONGEST_OUTLINE = 500
"""Characters."""

_OF_THE_WORKLOAD = (
    "replicas",
    "schedule",
    "suspend",
    "concurrencyPolicy",
    "backoffLimit",
    "completions",
    "strategy",
    "updateStrategy",
)
_OF_THE_PODS = ("serviceAccountName", "priorityClassName", "nodeSelector")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_TIMES = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold")


def outline(obj: KubeObject) -> Fact | None:
    """None of what has no spec, of a long spec, and of a pod that something else made."""
    if obj.kind == "Pod" and obj.owners:
        return None
    # Bounded before it is put into words: a hostile spec is deep, and names secrets.
    value = evidence.bounded(_of_workload(obj) if obj.kind in WORKLOADS else _of_any(obj))
    if not value:
        return None
    return evidence.field(
        obj, PATH, value, f"{name_of(obj)} is to be: {cut(_in_words(value), LONGEST_OUTLINE)}"
    )


def is_outline(item: EvidenceItem) -> bool:
    return item.kind is EvidenceKind.object and item.body.get("path") == PATH


def _of_workload(obj: KubeObject) -> dict[str, Any]:
    pods = pod_spec(obj)
    own = {key: obj.spec[key] for key in _OF_THE_WORKLOAD if key in obj.spec}
    theirs = {key: pods[key] for key in _OF_THE_PODS if pods.get(key)}
    parts = {text(one.get("name")): _container(one) for one in list(containers(pods))[:MOST_CONTAINERS]}
    return {**own, **theirs, **parts} if parts else {}


def _container(raw: Body) -> dict[str, Any]:
    """Its image, and those of the other fields that are set."""
    resources = mapping(raw.get("resources"))
    shown: dict[str, Any] = {
        kind: amounts for kind in ("requests", "limits") if (amounts := flat(resources.get(kind)))
    }
    for probe in _PROBES:
        known = mapping(raw.get(probe))
        if times := {key: known[key] for key in _TIMES if key in known}:
            shown[probe] = times
    return {"image": redact(text(raw.get("image"))), **shown}


def _of_any(obj: KubeObject) -> dict[str, Any]:
    found = list(leaves(obj.spec, ""))
    return (
        {path.lstrip("."): value_of(path, value) for path, value in found}
        if len(found) <= MOST_LEAVES
        else {}
    )


def _in_words(value: Mapping[str, Any], path: str = "") -> str:
    return ", ".join(
        _in_words(inner, f"{path}{key}.") if isinstance(inner, Mapping) else f"{path}{key} {inner}"
        for key, inner in value.items()
        if inner != {}
    )
