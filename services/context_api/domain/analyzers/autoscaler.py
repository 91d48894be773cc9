"""Autoscalers that cannot scale: blind for lack of metrics, in each other's way, aimed at nothing, or at their maximum.

Sees the conditions of HorizontalPodAutoscalers, whether their target exists and its containers set the requests that
utilisation is reckoned from, replicas against the maximum, current against wanted metrics. Where the controller says
that several autoscalers count the same pods, whose pods another workload's selector takes in as well.
An autoscaler at its maximum is no fault by itself (latent; not even for an alert about it where its target answers as well
as before); where its target is overloaded (`saturation`,
`error_budget`, or recorded use of CPU beyond what the autoscaler aims at), one that does not scale is why nobody takes
part of the load. Cannot know which load was expected.

Rests on: https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/ (algorithm, conditions),
https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale-walkthrough/#appendix-horizontal-pod-autoscaler-status-conditions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.effect import unharmed
from services.context_api.domain.kube import (
    WORKLOADS,
    Condition,
    at,
    condition,
    containers,
    entries,
    listing,
    mapping,
    number,
    pod_spec,
    quantity,
    selects,
    template_labels,
    text,
)
from services.context_api.domain.logs import cut
from services.context_api.domain.names import resembles
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import Body, KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "autoscaler"
MEANT = 0.4
"""Certainty of one that is at its maximum, where that is its minimum too (somebody fixed the number with it), or where its
target is measured to serve as well as before. Below that of states that count by themselves."""

_MISSING = re.compile(r"missing request for ([a-z-]+)")
OVERLOAD = frozenset({"CpuThrottled", "CpuAtLimit", "ErrorBudgetBurning", "LoadBeyondTarget"})
_HELD_BACK = frozenset({"AtMaximum", "AutoscalersOverlap", "BlindAutoscaler", "CannotScale"})
BEYOND = 1.2
"""Times the wanted utilisation from which a working autoscaler would have added pods: twice its tolerance of a tenth."""

_USAGE = re.compile(r"container_cpu_usage_seconds_total")
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
        gone = _target_gone(scene, hpa, target)
        if gone:
            yield _aimless(hpa, f"{name_of(hpa)} scales {aimed}, which does not exist{gone}")
        elif able is not None and able.status == "False":
            yield _observation(hpa, able, "CannotScale", f"{name_of(hpa)} cannot scale {aimed}", 0.85)
        elif active is not None and active.status == "False" and active.reason == "AmbiguousSelector":
            yield _overlapping(scene, hpa, active, target, aimed)
            yield from _load_beyond(scene, hpa, target)
        elif active is not None and active.status == "False" and active.reason != "ScalingDisabled":
            yield _blind(scene, hpa, active, aimed)
            yield from _without_requests(scene, hpa, active)
            yield from _load_beyond(scene, hpa, target)
        elif limited is not None and limited.status == "True" and limited.reason == "TooManyReplicas":
            yield _observation(
                hpa,
                limited,
                "AtMaximum",
                f"{name_of(hpa)} wants more replicas of {aimed} than its maximum of {number(hpa.spec.get('maxReplicas'))}{_load(hpa)}",
                MEANT if _may_stay(scene, hpa, limited, target) else 0.75,
                latent=True,
            )


def _may_stay(scene: Scene, hpa: KubeObject, limited: Condition, target: Body) -> bool:
    """Whether its maximum is its minimum too, or what its target answers is measured and as well as before."""
    if number(hpa.spec.get("minReplicas"), 1) == number(hpa.spec.get("maxReplicas")):
        return True
    workload = scene.graph.get(text(target.get("kind")), hpa.namespace, text(target.get("name")))
    since = limited.since or scene.onset
    return (
        workload is not None
        and since is not None
        and unharmed(scene, scene.graph.top(workload), since) is not None
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


def _overlapping(scene: Scene, hpa: KubeObject, active: Condition, target: Body, aimed: str) -> Observation:
    """Several autoscalers find the same pods by their targets' selectors, and each refuses to count them."""
    workload = scene.graph.get(text(target.get("kind")), hpa.namespace, text(target.get("name")))
    selector = workload.spec.get("selector") if workload is not None else None
    others = [
        w
        for w in scene.graph.workloads_in(hpa.namespace)
        if workload is not None
        and w is not workload
        and (
            selects(selector, template_labels(w))
            or selects(w.spec.get("selector"), template_labels(workload))
        )
        and scene.graph.top(w) is w
        and w.kind in WORKLOADS
        and w.spec.get("selector")
    ]
    words = f"{name_of(hpa)} does not scale {aimed} at all: more than one autoscaler counts the same pods"
    for other in others[:2]:
        came = other.created_at
        when = f", there since {clock(came)}" if came is not None else ""
        words += (
            f"; the pods of {name_of(other)}{when} and of {aimed} carry labels that one selector takes in"
        )
    return _observation(hpa, active, "AutoscalersOverlap", words, 0.88)


def _load_beyond(scene: Scene, hpa: KubeObject, target: Body) -> Iterator[Observation]:
    """The CPU that an autoscaler's target is recorded to use, where that is clearly more than it aims at."""
    workload = scene.graph.get(text(target.get("kind")), hpa.namespace, text(target.get("name")))
    wanted = next(
        (
            number(at(m, "resource", "target", "averageUtilization"))
            for m in entries(hpa.spec.get("metrics"))
            if at(m, "resource", "name") == "cpu"
        ),
        0,
    )
    if workload is None or not wanted:
        return
    used = asked = 0.0
    facts: list[evidence.Fact] = []
    for pod in scene.graph.pods_of(scene.graph.top(workload)):
        requests = {
            text(c.get("name")): quantity(at(c, "resources", "requests", "cpu")) or 0.0
            for c in entries(pod.spec.get("containers"))
        }
        for series in scene.metrics.of_pod(pod.namespace, pod.name):
            rate = _USAGE.search(series.query) and "rate(" in series.query and "/" not in series.query
            if rate and series.labels.get("container") in requests:
                used += series.last
                asked += requests.pop(series.labels["container"])
                facts.append(evidence.metric(series, workload))
    if asked <= 0 or 100 * used / asked < BEYOND * wanted:
        return
    words = (
        f"{name_of(workload)} uses {used:.3g} CPU cores where it asked for {asked:.3g} ({100 * used / asked:.0f} %); "
        f"{name_of(hpa)} aims at {wanted} % and has not added pods"
    )
    yield Observation(
        about=scene.graph.top(workload),
        reason="LoadBeyondTarget",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.process,
        certainty=0.6,
        facts=tuple(facts[:2]),
        basis=("recorded use of CPU beside the requests and the autoscaler's target",),
        remediation=remedies.look(hpa, f"Look at why {name_of(hpa)} does not scale."),
        latent=True,
    )


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """What was seen of autoscalers again, tied to the overload of what they scale."""
    overloaded = {id(o.about): o.about for o in seen if o.reason in OVERLOAD}
    for one in seen:
        if one.analyzer != NAME or one.reason not in _HELD_BACK:
            continue
        tops = [e.to for e in scene.needs.of(one.about) if e.relation == "scales" and id(e.to) in overloaded]
        if tops:
            claims = [
                Explains(t, 0.85, f"{one.about.name} gives it no more pods", reasons=OVERLOAD) for t in tops
            ]
            yield replace(one, explains=(*one.explains, *claims))


def _target_gone(scene: Scene, hpa: KubeObject, target: Body) -> str:
    """What there is instead of a target that is surely not there; empty when it is, or nobody can tell."""
    kind, name = text(target.get("kind")), text(target.get("name"))
    if kind not in WORKLOADS or not name or scene.graph.get(kind, hpa.namespace, name) is not None:
        return ""
    others = [w for w in scene.graph.workloads_in(hpa.namespace) if w.kind == kind]
    near = next((w for w in others if resembles(w.name, name)), None)
    return (f"; there is {name_of(near)}" if near is not None else " in its namespace") if others else ""


def _aimless(hpa: KubeObject, words: str) -> Observation:
    return Observation(
        about=hpa,
        reason="ScaleTargetNotFound",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.88,
        facts=(evidence.field(hpa, "spec.scaleTargetRef", hpa.spec.get("scaleTargetRef"), words),),
        basis=("its scaleTargetRef beside the workloads there are",),
        remediation=remedies.edit(hpa, f"Let {name_of(hpa)} name a workload that exists."),
    )


def _without_requests(scene: Scene, hpa: KubeObject, active: Condition) -> Iterator[Observation]:
    """The workload whose containers set no requests for what the autoscaler reckons with."""
    said = _MISSING.search(active.message)
    target = mapping(hpa.spec.get("scaleTargetRef"))
    workload = scene.graph.get(text(target.get("kind")), hpa.namespace, text(target.get("name")))
    if said is None or workload is None:
        return
    lacking = [
        text(c.get("name"))
        for c in containers(pod_spec(workload))
        if c.get("restartPolicy") in (None, "Always") and at(c, "resources", "requests", said[1]) is None
    ]
    if not lacking:
        return
    words = f"{name_of(workload)}: container {listing(lacking)} sets no {said[1]} request, so its utilisation has no measure and {name_of(hpa)} does not scale it"
    yield Observation(
        about=scene.graph.top(workload),
        reason="RequestsMissing",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.88,
        facts=(evidence.field(workload, "spec.template.spec.containers[*].resources", lacking, words),),
        basis=("the autoscaler's condition names the request", "the pod template sets none"),
        onset=active.since,
        remediation=remedies.edit(workload, f"Set a {said[1]} request for container {listing(lacking)}."),
        explains=(Explains(hpa, 0.92, "utilisation is reckoned from requests", reasons=frozenset({"BlindAutoscaler"})),),
        latent=True,
    )  # fmt: skip


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
