"""KEDA scalers that are paused, fall back, or scaled a workload to nothing because they cannot see their source.

Sees the pause annotations of ScaledObjects and ScaledJobs, their Ready, Active and Fallback conditions beside the
replicas of what they scale, and secrets a TriggerAuthentication names that do not exist.
Being paused or inactive is no fault by itself (latent), nor for an alert about it where whoever paused it wrote why.
Cannot see the queue or the metric behind a trigger.

Rests on: keda.sh/docs, "Scaling Deployments, StatefulSets & Custom Resources" (pausing, fallback) and
"Authentication".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import last_edit
from services.context_api.domain.kube import condition, entries, listing, mapping, number, replicas, text
from services.context_api.domain.logs import quote
from services.context_api.domain.notes import MEANT, is_noted
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "event_scaler"
GROUP = "keda.sh"
_PAUSED, _PAUSED_AT = "autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas"


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one observation per scaler, and one per authentication that lacks its secret."""
    for kind in ("ScaledObject", "ScaledJob"):
        for scaler in scene.snapshot.of_kind(kind):
            if scaler.group == GROUP and not scaler.metadata.get("deletionTimestamp"):
                yield from _scaler(scene, scaler)
    for authentication in scene.snapshot.of_kind("TriggerAuthentication"):
        yield from _authentication(scene, authentication)


def _scaler(scene: Scene, scaler: KubeObject) -> Iterator[Observation]:
    target = _target(scene, scaler)
    at_zero = target is not None and target.kind in ("Deployment", "StatefulSet") and replicas(target) == 0
    edit = last_edit(scaler)
    fixed = text(scaler.annotations.get(_PAUSED_AT))
    if fixed or text(scaler.annotations.get(_PAUSED)) == "true":
        when = edit.at if edit is not None and any("paused" in p for p in edit.paths) else None
        words = f"{name_of(scaler)} is paused" + (f" at {fixed} replicas" if fixed else "")
        words += f" since {clock(when)} (by {edit.by})" if when is not None and edit is not None else ""
        words += f": {name_of(target)} is not scaled whatever its triggers say" if target is not None else ""
        yield _observation(
            scaler,
            "ScalerPaused",
            words,
            MEANT if _is_meant(scene, scaler, target) else 0.84,
            {k: v for k, v in scaler.annotations.items() if "keda" in k},
            when,
            _accounts(target, at_zero, "is paused"),
        )
        return
    ready = condition(scaler, "Ready")
    if at_zero and ready is not None and ready.status == "False":
        message = quote(ready.message)
        words = f"{name_of(scaler)} cannot read its triggers ({ready.reason}: `{message}`), and {name_of(target) if target else ''} stays at 0 replicas"
        yield _observation(
            scaler,
            "ScalerBlind",
            words,
            0.86,
            {"Ready": "False", "reason": ready.reason, "message": message},
            ready.since,
            _accounts(target, at_zero, "cannot read its triggers"),
        )


def _is_meant(scene: Scene, scaler: KubeObject, target: KubeObject | None) -> bool:
    """Whether whoever paused it wrote why, and the alert is about it or what it scales: nobody else misses it there."""
    noted = is_noted(scaler, *(f"metadata.annotations.{key}" for key in (_PAUSED, _PAUSED_AT)))
    return noted and scene.target is not None and any(scene.target is one for one in (scaler, target))


def _target(scene: Scene, scaler: KubeObject) -> KubeObject | None:
    reference = mapping(scaler.spec.get("scaleTargetRef"))
    return scene.graph.get(
        text(reference.get("kind")) or "Deployment", scaler.namespace, text(reference.get("name"))
    )


def _accounts(target: KubeObject | None, at_zero: bool, why: str) -> tuple[Explains, ...]:
    if target is None:
        return ()
    words = f"the scaler that should scale it {why}"
    loaded = frozenset(
        {"ScaledToZero", "CpuThrottled", "CpuAtLimit", "MemoryNearLimit", "PoolExhausted", "AtMaximum"}
    )
    return (Explains(target, 0.92 if at_zero else 0.75, words, reasons=loaded),)


def _authentication(scene: Scene, authentication: KubeObject) -> Iterator[Observation]:
    if not any(True for _ in scene.snapshot.of_kind("Secret", authentication.namespace)):
        return
    names = {text(r.get("name")) for r in entries(authentication.spec.get("secretTargetRef"))} - {""}
    lacking = sorted(n for n in names if scene.graph.get("Secret", authentication.namespace, n) is None)
    if lacking:
        users = [
            s
            for kind in ("ScaledObject", "ScaledJob")
            for s in scene.snapshot.of_kind(kind, authentication.namespace)
            if any(link.to is authentication for link in scene.platforms.needs(s))
        ]
        yield _observation(
            authentication,
            "AuthenticationSecretNotFound",
            f"{name_of(authentication)} takes credentials from Secret {listing(lacking)}, which does not exist",
            0.9,
            {"secretTargetRef": lacking},
            None,
            tuple(
                Explains(s, 0.92, f"TriggerAuthentication {authentication.name} lacks its secret")
                for s in users
            ),
            latent=False,
        )


def _observation(
    about: KubeObject,
    reason: str,
    words: str,
    certainty: float,
    shown: dict[str, object],
    onset: datetime | None,
    explains: tuple[Explains, ...],
    *,
    latent: bool = True,
) -> Observation:
    number_of = number(about.spec.get("minReplicaCount"))
    return Observation(
        about=about,
        reason=reason,
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(evidence.field(about, "scaler", {**shown, "minReplicaCount": number_of}, words),),
        basis=("the scaler's own annotations and conditions",),
        onset=onset,
        remediation=remedies.edit(about, f"Let {name_of(about)} scale again."),
        explains=explains,
        latent=latent,
    )
