"""Custom resources, claims on other systems and platform objects that say themselves that they are not well.

Sees `status.conditions` of any kind this product has no analyzer for: Ready, Available, Synced, Accepted and the
like that are False, Degraded, Failed and Stalled that are True, and phases that mean failure. Covers operators,
cert-manager, GitOps controllers, OLM, OpenShift cluster operators, routes and gateways at once.
Believes only conditions (written through the status subresource), never other text. Cannot know what an
unknown condition type means; those are left alone.

Rests on: Kubernetes API conventions, "Typical status properties"; gateway-api.sigs.k8s.io; docs.openshift.com
(ClusterOperator); olm.operatorframework.io; argo-cd.readthedocs.io (health); fluxcd.io (conditions).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import (
    WORKLOADS,
    Condition,
    at,
    conditions,
    entries,
    read_condition,
    text,
)
from services.context_api.domain.logs import cut, is_narrative
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject, parse_time
from services.context_api.domain.wording import clock, name_of

NAME = "unhealthy_condition"
PATIENCE = timedelta(minutes=2)
"""A resource may be not ready this long after its last transition; controllers work in steps."""

RUN = timedelta(hours=6)
"""A failed run older than this has been seen, repeated or given up."""

_OTHERS = WORKLOADS | {"Node", "PersistentVolumeClaim", "PersistentVolume", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget",
                       "Namespace", "APIService", "Event", "CustomResourceDefinition", "EndpointSlice", "Endpoints", "ConfigMap", "Secret", "Lease"}  # fmt: skip
_MUST_HOLD = frozenset(
    {
        "Ready",
        "Available",
        "Synced",
        "Healthy",
        "Accepted",
        "Programmed",
        "ResolvedRefs",
        "Admitted",
        "Established",
        "Valid",
        "Deployed",
        "Installed",
        "Reconciled",
    }
)
_MUST_NOT_HOLD = frozenset(
    {
        "Degraded",
        "Failed",
        "Failing",
        "Stalled",
        "ReconcileError",
        "ErrorOccurred",
        "CatalogSourcesUnhealthy",
        "BundleUnpackFailed",
        "ResolutionFailed",
        "InvalidSpec",
    }
)
_BAD_PHASES = frozenset(
    {"failed", "error", "degraded", "crashloopbackoff", "unhealthy", "missing", "unknown", "invalid"}
)


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per object, about the condition that says most."""
    for obj in scene.snapshot.objects:
        if obj.kind in _OTHERS or not obj.body.get("status") or obj.metadata.get("deletionTimestamp"):
            continue
        bad = [c for c in _conditions(obj) if _is_bad(c)]
        if bad:
            yield replace(_from_condition(obj, bad[0]), latent=not _settled(scene, bad[0]))
        else:
            phase = _phase(obj)
            if phase.lower() in _BAD_PHASES and not _long_over(scene, obj):
                yield _from_phase(obj, phase)


def _conditions(obj: KubeObject) -> Iterator[Condition]:
    """Conditions, Degraded-like ones first: they carry the reason where Ready only says no."""
    found = conditions(obj)
    for place in ("ingress", "parents", "listeners"):
        for entry in entries(obj.status.get(place)):
            found += [read_condition(c) for c in entries(entry.get("conditions"))]
    yield from sorted(found, key=lambda c: (c.type not in _MUST_NOT_HOLD, not c.message, c.type))


def _is_bad(state: Condition) -> bool:
    if state.reason in ("Completed", "PodCompleted", "NotRequired", "Paused", "Disabled", "Suspended"):
        return False
    return (state.type in _MUST_HOLD and state.status == "False") or (
        state.type in _MUST_NOT_HOLD and state.status == "True"
    )


def _settled(scene: Scene, state: Condition) -> bool:
    return state.since is None or scene.now - state.since >= PATIENCE


def _long_over(scene: Scene, obj: KubeObject) -> bool:
    """Whether it is a run (a build, a pipeline) that ended hours ago: history, not a state."""
    ended = next(
        (
            m
            for f in ("completionTimestamp", "completionTime", "finishedAt", "endTime")
            if (m := parse_time(obj.status.get(f)))
        ),
        None,
    )
    return ended is not None and scene.now - ended > RUN


def _phase(obj: KubeObject) -> str:
    """The one word some controllers sum themselves up with."""
    health = text(at(obj.status, "health", "status"))
    return health or text(obj.status.get("phase")) or text(obj.status.get("state"))


def _from_condition(obj: KubeObject, state: Condition) -> Observation:
    message = "" if is_narrative(state.message) else cut(redact(state.message), 300)
    words = f"{name_of(obj)} reports {state.type}={state.status}"
    words += f" ({state.reason})" if state.reason else ""
    words += f" since {clock(state.since)}" if state.since else ""
    words += f": `{message}`" if message else ""
    fact = evidence.field(
        obj,
        f"status.conditions[{state.type}]",
        {"status": state.status, "reason": state.reason, "message": message},
        f"{name_of(obj)}: {state.type}={state.status} {state.reason}",
        state.since,
    )
    return _observation(obj, f"{state.type}{state.status}", words, state, fact, 0.7 if message else 0.55)


def _from_phase(obj: KubeObject, phase: str) -> Observation:
    message = (
        text(obj.status.get("message"))
        or text(at(obj.status, "health", "message"))
        or text(obj.status.get("reason"))
    )
    message = "" if is_narrative(message) else cut(redact(message), 300)
    words = f"{name_of(obj)} is {phase}" + (f": `{message}`" if message else "")
    fact = evidence.field(obj, "status.phase", {"phase": phase, "message": message}, words)
    return _observation(obj, f"{phase[:1].upper()}{phase[1:]}", words, None, fact, 0.6)


def _observation(
    obj: KubeObject, reason: str, words: str, state: Condition | None, fact: evidence.Fact, certainty: float
) -> Observation:
    return Observation(
        about=obj,
        reason=reason,
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.process,
        certainty=certainty,
        facts=(fact,),
        basis=("the object's own status",),
        onset=state.since if state is not None else None,
        remediation=remedies.look(obj, f"Read the conditions and events of {name_of(obj)}."),
    )
