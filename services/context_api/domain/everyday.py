"""Facts that say nothing out of the ordinary: the routine of a pod's life, conditions that are as they should be.

Decides only whether one would be surprised to read it. It is no proof that all is well: a condition can be late.

Rests on: kubernetes.io/docs, "Pod Lifecycle" and "Node Status" (what their conditions mean); Kubernetes API
conventions, "Typical status properties" (a condition's polarity is its author's choice).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from libs.contracts.evidence import EvidenceItem, EvidenceKind
from services.context_api.domain.kube import Condition, mapping, text
from services.context_api.domain.logs import weigh

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


_GOOD_WHEN_TRUE = re.compile(r"(?<!Not)(?:Ready|Healthy|Available|Reachable|Online|Synced|UpToDate|OK)$")
"""Types of conditions that affirm what should be."""


def tells_of_trouble(kind: str) -> bool:
    """Whether a condition of that type is bad news while it holds, by its name."""
    return _BAD_WHEN_TRUE.search(kind) is not None


def affirms(kind: str) -> bool:
    """Whether a condition of that type is good news while it holds, by its name: `KernelReady`, but not `CniNotReady`."""
    return _GOOD_WHEN_TRUE.search(kind) is not None and not kind.startswith(("Not", "Un"))


_UNDER_WAY = re.compile(
    r"(?:Progressing|InProgress|Creating|Provisioning|Reconciling|Updating|Upgrading|Installing|Initializing|Deploying"
    r"|Starting|Scaling|Resizing|Restoring)$"
)
BUILDING = timedelta(minutes=30)
"""What is made outside of the cluster takes up to this long: databases of clouds a quarter of an hour. A guess."""


def is_under_way(state: Condition, now: datetime) -> bool:
    """Whether a condition that should hold is only not there yet: work goes on, not for long, and no error is told."""
    young = state.since is not None and now - state.since <= BUILDING
    going_on = state.status == "False" and _UNDER_WAY.search(state.reason) is not None
    return going_on and young and not weigh(state.message)


def is_everyday(item: EvidenceItem) -> bool:
    """Whether nobody would stop at it."""
    if item.kind is EvidenceKind.event:
        return text(item.body.get("type")) == "Normal" and text(item.body.get("reason")) in ROUTINE
    if item.kind is EvidenceKind.object:
        found = _CONDITION.match(text(item.body.get("path")))
        state = text(mapping(item.body.get("value")).get("status"))
        return found is not None and state == ("False" if tells_of_trouble(found[1]) else "True")
    return False
