"""Autoscalers that cannot scale: blind for lack of metrics, aimed at nothing, or at their maximum.

Sees the conditions of HorizontalPodAutoscalers, replicas against the maximum, current against wanted metrics.
An autoscaler at its maximum is no fault by itself (latent). Cannot know which load was expected.

Rests on: kubernetes.io/docs, "Horizontal Pod Autoscaling" (conditions).
"""

from __future__ import annotations

from collections.abc import Iterator

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import Condition, at, condition, entries, mapping, number, text
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Blame, Depth, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of

NAME = "autoscaler"
_METRICS = ("v1beta1.metrics.k8s.io", "v1beta1.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io")


def observe(scene: Scene) -> Iterator[Observation]:
    """At most one observation per autoscaler."""
    for hpa in scene.graph.of_kind("HorizontalPodAutoscaler"):
        if hpa.metadata.get("deletionTimestamp"):
            continue
        able, active, limited = (
            condition(hpa, kind) for kind in ("AbleToScale", "ScalingActive", "ScalingLimited")
        )
        target = mapping(hpa.spec.get("scaleTargetRef"))
        aimed = f"{text(target.get('kind'))} {text(target.get('name'))}"
        if able is not None and able.status == "False":
            yield _observation(hpa, able, "CannotScale", f"{name_of(hpa)} cannot scale {aimed}", 0.85)
        elif active is not None and active.status == "False" and active.reason != "ScalingDisabled":
            yield _blind(scene, hpa, active, aimed)
        elif limited is not None and limited.status == "True" and limited.reason == "TooManyReplicas":
            yield _observation(
                hpa,
                limited,
                "AtMaximum",
                f"{name_of(hpa)} wants more replicas of {aimed} than its maximum of {number(hpa.spec.get('maxReplicas'))}{_load(hpa)}",
                0.75,
                latent=True,
            )


def _blind(scene: Scene, hpa: KubeObject, active: Condition, aimed: str) -> Observation:
    services: list[KubeObject] = []
    for name in _METRICS:
        api = scene.graph.get("APIService", None, name)
        reference = mapping(api.spec.get("service")) if api is not None else {}
        service = scene.graph.get("Service", text(reference.get("namespace")), text(reference.get("name")))
        services += [service] if service is not None else []
    named = {
        id(s): s
        for s in services
        if "pods.metrics" in active.message
        or "resource metric" in active.message
        or active.reason.startswith("FailedGet")
    }
    lacks = (
        "; the containers set no requests for that resource" if "missing request" in active.message else ""
    )
    return _observation(
        hpa,
        active,
        "BlindAutoscaler",
        f"{name_of(hpa)} cannot read the metrics it scales {aimed} by{lacks}",
        0.8,
        blames=tuple(Blame(s, 0.85, "it serves the metrics the autoscaler reads") for s in named.values()),
    )


def _load(hpa: KubeObject) -> str:
    """Current against wanted utilisation, per metric."""
    wanted = {
        text(at(m, "resource", "name")): at(m, "resource", "target", "averageUtilization")
        for m in entries(hpa.spec.get("metrics"))
    }
    told = [
        f"{text(at(m, 'resource', 'name'))} at {at(m, 'resource', 'current', 'averageUtilization')} % of its requests (wanted {wanted.get(text(at(m, 'resource', 'name')))} %)"
        for m in entries(hpa.status.get("currentMetrics"))
        if at(m, "resource", "current", "averageUtilization") is not None
    ]
    return f": {', '.join(told[:3])}" if told else ""


def _observation(
    hpa: KubeObject,
    state: Condition,
    reason: str,
    words: str,
    certainty: float,
    *,
    blames: tuple[Blame, ...] = (),
    latent: bool = False,
) -> Observation:
    message = cut(redact(state.message), 260)
    return Observation(
        about=hpa,
        reason=reason,
        text=f"{words} ({state.reason}: `{message}`)",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(
            evidence.field(
                hpa,
                f"status.conditions[{state.type}]",
                {"status": state.status, "reason": state.reason, "message": message},
                f"{name_of(hpa)}: {state.type}={state.status} {state.reason}",
                state.since,
            ),
        ),
        basis=("the autoscaler's own conditions",),
        onset=state.since,
        remediation=remedies.edit(hpa, f"Let {name_of(hpa)} scale: its target, its metrics or its maximum."),
        blames=blames,
        latent=latent,
    )
