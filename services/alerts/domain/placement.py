"""Decide which incident an alert belongs to: one per owner of what it speaks of.

Which object the labels name is the Context API's to say. When it does not answer in time, the labels that
identify an object serve as the key, and the incident is keyed again later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from libs.contracts.alerts import Decision
from libs.contracts.context import Resolution
from libs.contracts.target import Target

# Only for grouping: alerts that agree in all of these speak of the same object, whichever of the labels
# the Context API then goes by.
IDENTIFYING = (
    *("cluster", "namespace", "exported_namespace"),
    *("horizontalpodautoscaler", "hpa", "poddisruptionbudget", "pdb", "persistentvolumeclaim", "pvc"),
    *("deployment", "statefulset", "daemonset", "replicaset", "node", "service"),
    *("job_name", "cronjob", "pod", "exported_pod", "exported_service"),
)
_WHERE_ONLY = frozenset({"cluster", "namespace", "exported_namespace"})

_LONGEST_KEY = 500

Identity = tuple[tuple[str, str], ...]


def identity(labels: Mapping[str, str]) -> Identity:
    """The labels that identify what an alert speaks of; without any, its name and namespace."""
    found = tuple((name, labels[name]) for name in IDENTIFYING if labels.get(name))
    if all(name in _WHERE_ONLY for name, _ in found):
        found += (("alertname", labels.get("alertname", "")),)
    return found


def namespace_of(labels: Mapping[str, str]) -> str | None:
    """The namespace an alert itself claims. `exported_namespace` is the scraped object's own."""
    return labels.get("exported_namespace") or labels.get("namespace") or None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The Context API gave no resolution; why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Placement:
    """The incident an alert goes to."""

    key: str
    target: Target | None
    """What the incident is about: the owner."""
    named: Target | None
    """What the labels name: the pod, say."""
    provisional: bool
    """Keyed on labels for want of an answer; to be keyed again."""
    decision: Decision


def place(labels: Mapping[str, str], answer: Resolution | Unanswered) -> Placement:
    """Which incident alerts with these labels belong to, and why."""
    if isinstance(answer, Unanswered):
        key = label_key(identity(labels))
        why = _decision(key, "keyed-on-labels", f"the Context API did not say in time ({answer.reason})")
        return Placement(key, None, None, True, why)
    owner = answer.owner or answer.target
    if owner is None:
        key = label_key(identity(labels))
        why = _decision(key, answer.reason, answer.detail or "the labels name no object")
        return Placement(key, None, None, False, why)
    why = _decision(str(owner), answer.reason, answer.detail)
    return Placement(owner_key(owner), owner, answer.target, False, why)


def label_key(found: Identity) -> str:
    """Readable, and short enough to be indexed whatever the labels hold."""
    key = "labels:" + ",".join(f"{name}={_escaped(value)}" for name, value in found)
    if len(key) <= _LONGEST_KEY:
        return key
    return f"{key[: _LONGEST_KEY // 2]}…{hashlib.sha256(key.encode()).hexdigest()}"


def owner_key(owner: Target) -> str:
    """The object, whichever version of its API named it."""
    group = owner.api_version.rpartition("/")[0]
    return f"owner:{owner.cluster}/{owner.kind}.{group}/{owner.namespace or ''}/{owner.name}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(",", "\\,")


def _decision(outcome: str, reason: str, detail: str) -> Decision:
    return Decision(subject="target", outcome=outcome, reason=reason, detail=detail)
