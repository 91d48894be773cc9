"""Pods the API server refuses to make: quota, limit range, pod security, SCC, webhooks, a missing account.

Sees the ReplicaFailure condition and FailedCreate events of whatever makes pods, as long as it has fewer than
it wants. Blames the quota, the limit range, the namespace's pod security level or the webhook where the
message names one and the workload did not just ask for more; else the workload.
Cannot see what a webhook would say to another pod.

Rests on: kubernetes.io/docs, "Resource Quotas", "Limit Ranges", "Pod Security Admission", "Dynamic Admission
Control"; docs.openshift.com, "Managing security context constraints".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from libs.contracts.causes import FindingSeverity, Remediation
from services.context_api.domain import evidence, remedies
from services.context_api.domain.changes import last_edit
from services.context_api.domain.evidence import Fact
from services.context_api.domain.kube import condition, entries, flat, listing, number, replicas, text
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Blame, Depth, Explains, Observation
from services.context_api.domain.redact import redact
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "pod_rejected"
_MAKERS = ("ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "Job")
_QUOTA = re.compile(r"exceeded quota: ([^,\s]+), requested: (\S+?), used: (\S+?), limited: (\S+?)(?:$|[\s;])")
_QUOTA_FAILED = re.compile(r"failed quota: ([^:\s]+): (must specify [^;]+)")
_LIMIT_RANGE = re.compile(r"(?:maximum|minimum) [\w./-]+ usage per \w+ is [^,]+, but \w+ is [^,.\s]+")
_POD_SECURITY = re.compile(r"violates PodSecurity \"([^\"]+)\": (.+)", re.DOTALL)
_WEBHOOK_DOWN = re.compile(r"failed calling webhook \"([^\"]+)\"")
_CALLS = frozenset({"WebhookUnreachable", "WebhookUntrusted"})
_WEBHOOK_NO = re.compile(r"admission webhook \"([^\"]+)\" denied the request:? ?(.*)", re.DOTALL)
_SERVICE_URL = re.compile(r"https://([a-z0-9-]+)\.([a-z0-9-]+)\.svc")
_ACCOUNT = re.compile(r"serviceaccount \"?([^\"\s]+)\"? not found", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """That pods are not made, by what, and the API server's words."""

    maker: KubeObject
    message: str
    fact: Fact
    since: datetime | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What an admission error says."""

    reason: str
    words: str
    refuser: KubeObject | None = None
    """The object whose rule refuses, when the message names one that was recorded."""


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per workload whose pods are refused, and one on what refuses them."""
    told: set[tuple[int, str]] = set()
    for maker in scene.graph.of_kind(*_MAKERS):
        refusal = _refusal(scene, maker)
        if refusal is None:
            continue
        reading = read(scene, maker, refusal.message)
        top = scene.graph.top(maker)
        if (id(top), reading.reason) not in told:
            told.add((id(top), reading.reason))
            yield from _observations(scene, top, refusal, reading)


def _refusal(scene: Scene, maker: KubeObject) -> _Refusal | None:
    """Why its pods are not made, if it still lacks some."""
    if maker.metadata.get("deletionTimestamp") or not _lacks(maker):
        return None
    failure = condition(maker, "ReplicaFailure")
    if failure is not None and failure.status == "True" and failure.message:
        fact = evidence.field(
            maker,
            "status.conditions[ReplicaFailure]",
            {"reason": failure.reason, "message": redact(failure.message)},
            f"{name_of(maker)}: {quote(failure.message)}",
            failure.since,
        )
        return _Refusal(maker, failure.message, fact, failure.since)
    events = [e for e in scene.graph.events_about(maker) if e.reason == "FailedCreate"]
    return (
        _Refusal(maker, events[-1].message, evidence.event(maker, events[-1]), events[-1].first)
        if events
        else None
    )


def _lacks(maker: KubeObject) -> bool:
    status = maker.status
    if maker.kind == "DaemonSet":
        return number(status.get("currentNumberScheduled")) < number(status.get("desiredNumberScheduled"))
    if maker.kind == "Job":
        return not number(status.get("active")) and not number(status.get("succeeded"))
    return number(status.get("replicas")) < replicas(maker)


def read(scene: Scene, maker: KubeObject, message: str) -> Reading:
    """Take apart the API server's refusal."""
    message, space = message[:8000], maker.namespace
    if quota := _QUOTA.search(message):
        found = scene.graph.get("ResourceQuota", space, quota[1])
        return Reading(
            "QuotaExceeded",
            f"ResourceQuota {quota[1]} is full: {quota[2]} requested, {quota[3]} used of {quota[4]}",
            found,
        )
    if quota := _QUOTA_FAILED.search(message):
        return Reading("QuotaNeedsRequests", f"ResourceQuota {quota[1]} demands that pods {quota[2].strip()}")
    if limit := _LIMIT_RANGE.search(message):
        ranges = [r for r in scene.graph.of_kind("LimitRange") if r.namespace == space]
        return Reading(
            "LimitRangeViolated",
            f"LimitRange{f' {ranges[0].name}' if ranges else ''}: {limit[0]}",
            ranges[0] if ranges else None,
        )
    if level := _POD_SECURITY.search(message):
        words = f"namespace {space} enforces PodSecurity `{level[1]}`: {quote(level[2])}"
        return Reading("PodSecurityViolated", words, scene.graph.get("Namespace", None, space or ""))
    if "security context constraint" in message:
        return Reading(
            "SecurityContextConstraint",
            "no security context constraint (SCC) its service account may use allows what it asks for",
        )
    if down := _WEBHOOK_DOWN.search(message):
        reason, words = _unanswered(message)
        return Reading(reason, f"admission webhook {down[1]} {words}", _webhook(scene, down[1]))
    if refused := _WEBHOOK_NO.search(message):
        return Reading("WebhookDenied", f"admission webhook {refused[1]} refuses it: {quote(refused[2])}")
    if account := _ACCOUNT.search(message):
        return Reading(
            "ServiceAccountNotFound", f"its ServiceAccount {account[1].rpartition('/')[2]} does not exist"
        )
    return Reading("FailedCreate", "the API server refuses its pods")


def _unanswered(message: str) -> tuple[str, str]:
    """Reason and words for a call that failed: the API server reached nobody, or does not trust whom it reached."""
    if "x509" in message or "tls:" in message:
        return "WebhookUntrusted", "has a certificate that its configuration's caBundle does not vouch for"
    if "deadline exceeded" in message or "timeout" in message.lower().replace("?timeout=", ""):
        return "WebhookUnreachable", "does not answer in time"
    return "WebhookUnreachable", "does not answer"


def _webhook(scene: Scene, name: str) -> KubeObject | None:
    """The configuration that registers the webhook."""
    for config in scene.graph.of_kind("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        if any(text(webhook.get("name")) == name for webhook in entries(config.body.get("webhooks"))):
            return config
    return None


def _observations(
    scene: Scene, top: KubeObject, refusal: _Refusal, reading: Reading
) -> Iterator[Observation]:
    maker = refusal.maker
    workload = scene.graph.workload(maker)
    asked = _asked_for_more(scene, workload)
    has, wants = number(maker.status.get("replicas")), replicas(maker)
    sentence = f"No more pods of {name_of(top)} can be made ({has} of {wants}): {reading.words} (`{quote(refusal.message)}`)"
    sentence += f"; {asked}" if asked else ""
    refuser = _blamed(reading, asked)
    yield Observation(
        about=top,
        reason=reading.reason if refuser is None else "FailedCreate",
        text=sentence,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism if refuser is None else Depth.process,
        certainty=0.9 if refuser is None else 0.6,
        facts=(refusal.fact,),
        basis=("the API server's refusal, word for word", *([asked] if asked else [])),
        onset=refusal.since,
        remediation=remedies.edit(
            workload, f"Let the pods of {workload.name} fit what is allowed: {reading.words}."
        ),
    )
    if refuser is not None:
        yield _about_refuser(scene, refuser, top, refusal, reading.reason, sentence)


def _blamed(reading: Reading, asked: str) -> KubeObject | None:
    """What refuses, unless it always stood like this and the workload is what changed."""
    if reading.refuser is None or reading.reason in _CALLS:
        return reading.refuser
    edit = last_edit(reading.refuser)
    if reading.reason == "PodSecurityViolated":
        tightened = edit is not None and any("pod-security" in path for path in edit.paths)
        return reading.refuser if tightened and not asked else None
    if edit is not None:
        return reading.refuser
    return None if asked or reading.reason == "LimitRangeViolated" else reading.refuser


def _about_refuser(
    scene: Scene, refuser: KubeObject, top: KubeObject, refusal: _Refusal, reason: str, sentence: str
) -> Observation:
    edit, since = last_edit(refuser), refusal.since
    told = f"; {name_of(refuser)} was edited at {clock(edit.at)} by {edit.by}" if edit is not None else ""
    hard = [f"{k}={v}" for k, v in flat(refuser.spec.get("hard")).items()]
    summary = name_of(refuser) + (f": {listing(hard, 6)}" if hard else "")
    services = [
        scene.graph.get("Service", namespace, name)
        for name, namespace in _SERVICE_URL.findall(refusal.message)
    ]
    return Observation(
        about=refuser,
        reason=reason,
        text=sentence + told,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.9,
        facts=(refusal.fact, evidence.field(refuser, "spec", dict(refuser.spec), summary)),
        basis=("the refusal names it",),
        onset=edit.at if edit is not None and since is not None and edit.at < since else since,
        remediation=_remedy(refuser, reason),
        blames=tuple(
            Blame(s, 0.95, "the API server calls the webhook there") for s in services if s is not None
        ),
        explains=(Explains(top, 0.95, f"{name_of(refuser)} keeps its pods from being made"),),
    )


def _remedy(culprit: KubeObject, reason: str) -> Remediation:
    if reason == "WebhookUntrusted":
        return remedies.edit(
            culprit,
            f"Put the authority that signed the webhook's certificate into caBundle of {culprit.name}.",
        )
    if reason == "WebhookUnreachable":
        return remedies.edit(
            culprit,
            f"Bring the Service behind {culprit.name} back; until then failurePolicy Ignore lets pods pass unchecked.",
            risk="With failurePolicy Ignore, pods pass that the webhook would have refused or changed.",
        )
    return remedies.edit(
        culprit,
        f"Raise what {name_of(culprit)} allows, or free some of it.",
        risk="More may then be used than the cluster has.",
    )


def _asked_for_more(scene: Scene, workload: KubeObject) -> str:
    """The workload was just rolled out with other resources, security settings or account."""
    rollout = scene.rollouts.of(workload)
    if rollout is None:
        return ""
    changes = [
        c
        for c in rollout.changed("resources", "securityContext", "host", "serviceAccount", "volumes")
        if c.before or c.after
    ]
    return (
        f"changed by the rollout at {clock(rollout.at)}: " + "; ".join(str(c) for c in changes[:3])
        if changes
        else ""
    )
