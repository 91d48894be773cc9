"""Facts that say nothing out of the ordinary: the routine of a pod's life, conditions that are as they should be.

Decides only whether one would be surprised to read it. It is no proof that all is well: a condition can be late.

Rests on: kubernetes.io/docs, "Pod Lifecycle" and "Node Status" (what their conditions mean); Kubernetes API
conventions, "Typical status properties" (a condition's polarity is its author's choice).
"""

from __future__ import annotations

import re

from libs.contracts.evidence import EvidenceItem, EvidenceKind
from services.context_api.domain.kube import mapping, text

ROUTINE = frozenset(
    {
        "Scheduled",
        "Pulling",
        "Pulled",
        "Created",
        "Started",
        "Killing",
        "SuccessfulCreate",
        "SuccessfulDelete",
        "SuccessfulAttachVolume",
        "NodeReady",
        "RegisteredNode",
        "NodeHasSufficientMemory",
        "NodeHasNoDiskPressure",
        "NodeHasSufficientPID",
        "LeaderElection",
        "Completed",
        "SawCompletedJob",
    }
)
"""Reasons of Normal events that come with every rollout and every node."""

_CONDITION = re.compile(r"^status\.conditions\[(\w+)\]$")
_BAD_WHEN_TRUE = re.compile(
    r"(?:Pressure|Problem|Degraded|Failure|Failed|Failing|Stalled|Unavailable|Unhealthy|Deadlock|Error|Denied|Paused"
    r"|Remaining|Terminating|Restart|Disruption|DisruptionTarget|Conflicted|Fallback|ScalingLimited|Overlay2|Filesystem)$",
    re.IGNORECASE,
)
"""Types of conditions that tell of trouble when they hold."""


def is_everyday(item: EvidenceItem) -> bool:
    """Whether nobody would stop at it."""
    if item.kind is EvidenceKind.event:
        return text(item.body.get("type")) == "Normal" and text(item.body.get("reason")) in ROUTINE
    if item.kind is EvidenceKind.object:
        found = _CONDITION.match(text(item.body.get("path")))
        state = text(mapping(item.body.get("value")).get("status"))
        return found is not None and state == ("False" if _BAD_WHEN_TRUE.search(found[1]) else "True")
    return False
