"""Who took the room that somebody else's pods do not find: runs that overlap, jobs with many pods, what was just scaled up.

Sees, for pods no node takes for want of a resource (a driver's volumes are one), and for quotas that are full, what came
on those nodes or in that namespace before the room was gone: jobs of a CronJob that run at the same time, pods of one
Job, pods of a workload whose replicas were raised. Where the record says from how many to how many, that may be days
before somebody needs the room: when it was gone the pods' own times tell. The one that asks for most is the cause if there would be room without it, unless who finds no
room had just begun to ask for more, or the quota was just edited.
Cannot see usage, only requests; nor what ran before and is gone.

Rests on: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#concurrency-policy,
https://kubernetes.io/docs/concepts/policy/resource-quotas/, https://kubernetes.io/docs/concepts/storage/storage-limits/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.capacity import VOLUMES, requests_of, volumes_of
from services.context_api.domain.changes import Edit, applied_changes, last_applied, last_edit, writer_of
from services.context_api.domain.kube import at, entries, listing, number, quantity, replicas, text
from services.context_api.domain.logs import cut
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.placement import may_go_to
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of, size

NAME = "room_taken"
LATELY = timedelta(hours=2)
"""Pods older than this before the trouble were there when there was room. A guess: long enough for overlapping runs to pile up."""

LONG_AGO = timedelta(days=7)
"""Room that was gone longer than this before the trouble is the cluster's size, and nobody's growth. A guess."""

SLACK = timedelta(minutes=1)
_SHORT = re.compile(r"\d Insufficient ([a-z][\w./-]*\w)")
_QUOTA = re.compile(r"is full: (?:requests\.)?([a-z][\w./-]*)=(\w[\w.]*)(?: requested|,)")
_RUNS = ("CronJob", "Job")


@dataclass(frozen=True, slots=True)
class _Want:
    """Who finds no room, for how much of what."""

    seen: Observation
    resource: str
    amount: float
    spec: KubeObject | None
    """A pod that waits for a node; None where a quota is full."""


@dataclass(frozen=True, slots=True)
class _Taker:
    """What one workload took lately."""

    top: KubeObject
    pods: tuple[KubeObject, ...]
    amount: float
    how: str


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """At most one observation per workload that took room, for all whom it left none."""
    found: dict[int, tuple[_Taker, list[_Want]]] = {}
    for want in _wants(scene, seen):
        if _has_room(scene, want):
            continue
        takers = [t for t in _takers(scene, want) if t.top is not want.seen.about]
        most = max(takers, key=lambda t: (t.amount, t.top.name), default=None)
        if most is not None and _would_fit(scene, want, most):
            found.setdefault(id(most.top), (most, []))[1].append(want)
    for taker, wants in found.values():
        yield _observation(taker, wants, seen)


def _wants(scene: Scene, seen: Sequence[Observation]) -> Iterator[_Want]:
    for one in seen:
        if one.reason == "InsufficientResources":
            pod = next((p for p in scene.graph.pods_of(one.about) if not text(p.spec.get("nodeName"))), None)
            if pod is None or _asks_for_more(scene, scene.graph.workload(pod)):
                continue
            asks = requests_of(pod.spec)
            for resource in dict.fromkeys(_SHORT.findall(one.text)):
                if asks.get(resource):
                    yield _Want(one, resource, asks[resource], pod)
        elif one.reason == "TooManyVolumes":
            pod = next((p for p in scene.graph.pods_of(one.about) if not text(p.spec.get("nodeName"))), None)
            for resource, claims in volumes_of(scene.graph, pod).items() if pod is not None else ():
                yield _Want(one, resource, float(len(claims)), pod)
        elif one.reason == "QuotaExceeded" and (asked := _QUOTA.search(one.text)):
            edit, amount = last_edit(one.about), quantity(asked[2])
            if amount and (edit is None or one.onset is None or one.onset - edit.at > LATELY):
                yield _Want(one, asked[1], amount, None)


def _has_room(scene: Scene, want: _Want) -> bool:
    """Whether a volume has a free slot by what was recorded: then nobody took it.

    Of requests this is not asked: pods that were not recorded (of namespaces one may not read) hold some as well.
    """
    if want.spec is None or not want.resource.startswith(VOLUMES):
        return False
    may = {n.name for n in scene.graph.of_kind("Node") if may_go_to(want.spec.spec, n)}
    return any(
        free >= want.amount for node, free in scene.capacity.left(want.resource).items() if node in may
    )


def _asks_for_more(scene: Scene, workload: KubeObject) -> bool:
    rollout = scene.rollouts.of(workload)
    return rollout is not None and bool(rollout.changed("resources"))


def _takers(scene: Scene, want: _Want) -> Iterator[_Taker]:
    began = want.seen.onset or scene.now
    held = _held(scene, want)
    gone = _room_gone(scene, want, held, began)
    fresh: dict[int, list[KubeObject]] = {}
    for pod in held:
        created = pod.created_at
        if created is not None and gone - LATELY <= created <= began + SLACK:
            fresh.setdefault(id(scene.graph.top(pod)), []).append(pod)
    for pods in fresh.values():
        top = scene.graph.top(pods[0])
        how, counted = _how(scene, top, pods, gone, began)
        amount = sum(_takes(scene, p, want.resource) for p in counted)
        if how and amount >= want.amount:
            yield _Taker(top, tuple(counted), amount, how)


def _room_gone(scene: Scene, want: _Want, held: Sequence[KubeObject], began: datetime) -> datetime:
    """When the last pod came after which nobody had room for what is wanted; `began` where the pods do not tell."""
    if want.spec is None:
        return began
    nodes = {text(p.spec.get("nodeName")) for p in held}
    free = {node: left for node, left in scene.capacity.left(want.resource).items() if node in nodes}
    for pod in sorted((p for p in held if p.created_at), key=lambda p: (p.created_at, p.name), reverse=True):
        node, came = text(pod.spec.get("nodeName")), pod.created_at
        if node not in free or came is None:
            continue
        free[node] += _takes(scene, pod, want.resource)
        if free[node] >= want.amount:
            return min(came, began) if began - came <= LONG_AGO else began
    return began


def _held(scene: Scene, want: _Want) -> list[KubeObject]:
    """Pods that hold what is wanted: on nodes the waiting pod could use, or in the quota's namespace."""
    living = [p for p in scene.graph.pods if p.status.get("phase") not in ("Succeeded", "Failed")]
    if want.spec is None:
        return [p for p in living if p.namespace == want.seen.about.namespace]
    spec = want.spec.spec
    nodes = {n.name for n in scene.graph.of_kind("Node") if may_go_to(spec, n)}
    return [p for p in living if text(p.spec.get("nodeName")) in nodes]


def _takes(scene: Scene, pod: KubeObject, resource: str) -> float:
    if resource.startswith(VOLUMES):
        return float(len(volumes_of(scene.graph, pod).get(resource, ())))
    if resource == "pods":
        return 1.0
    if resource.startswith("limits."):
        name = resource.removeprefix("limits.")
        return sum(
            quantity(at(c, "resources", "limits", name)) or 0.0 for c in entries(pod.spec.get("containers"))
        )
    return requests_of(pod.spec).get(resource, 0.0)


def _how(
    scene: Scene, top: KubeObject, pods: list[KubeObject], gone: datetime, began: datetime
) -> tuple[str, list[KubeObject]]:
    """In which way it came to more than it had, and the pods that are more; nothing for pods that replace others."""
    lately = began - LATELY
    recent = [p for p in pods if p.created_at is not None and p.created_at >= lately]
    if top.kind in _RUNS:
        pods = recent
    if top.kind == "CronJob":
        runs = {id(owner) for p in pods if (owner := scene.graph.owner(p)) is not None}
        policy = text(top.spec.get("concurrencyPolicy")) or "Allow"
        many = f"{len(runs)} runs at once (schedule `{text(top.spec.get('schedule'))}`, concurrencyPolicy {policy})"
        return (many, pods) if len(runs) > 1 else ("", [])
    if top.kind in _RUNS:
        return (f"{len(pods)} pods at once", pods) if len(pods) > 1 else ("", [])
    raised = writer_of(top, "spec.replicas") or _by_scaling(scene, top, pods)
    asked = number(at(last_applied(top), "spec", "replicas"))
    known = 0 < asked < replicas(top)
    since = gone - LATELY if known else lately
    if raised is None or not since <= raised.at <= began + SLACK:
        return "", []
    if top.created_at is not None and raised.at - top.created_at < SLACK:
        return "", []
    rollout = scene.rollouts.of(top)
    if rollout is not None and rollout.at >= since:
        return "", []  # its new pods replace old ones
    added = [p for p in pods if p.created_at is not None and p.created_at >= raised.at - SLACK]
    more = f" ({asked} → {replicas(top)})" if known else ""
    by = f"{raised.by} set" if raised.by else "somebody raised"
    return f"{len(added)} pods more since {by} its replicas at {clock(raised.at)}{more}", added


def _by_scaling(scene: Scene, top: KubeObject, pods: list[KubeObject]) -> Edit | None:
    """That it was scaled up, which leaves no time: it has more replicas than the last apply asked for, and as many young pods."""
    asked = number(at(last_applied(top), "spec", "replicas"))
    more = replicas(top) - asked if asked > 0 else 0
    moments = sorted((p.created_at for p in scene.graph.pods_of(top) if p.created_at), reverse=True)
    young = {p.created_at for p in pods}
    if more <= 0 or len(moments) < more or moments[more - 1] not in young:
        return None
    return Edit(moments[more - 1], "", ("spec.replicas",))


def _would_fit(scene: Scene, want: _Want, taker: _Taker) -> bool:
    """Whether the waiting pod would have room if the taker's pods were not there."""
    if want.spec is None:
        return True  # it took at least as much as is asked for
    freed: dict[str, float] = {}
    for pod in taker.pods:
        node = text(pod.spec.get("nodeName"))
        freed[node] = freed.get(node, 0.0) + _takes(scene, pod, want.resource)
    left = scene.capacity.left(want.resource)
    return any(left[node] + amount >= want.amount for node, amount in freed.items() if node in left)


def _observation(taker: _Taker, wants: list[_Want], seen: Sequence[Observation]) -> Observation:
    first, top = wants[0], taker.top
    edit = last_edit(top)
    changes = applied_changes(top, edit) if edit is not None else []
    resource = first.resource
    where = "in its namespace" if first.spec is None else "on nodes that it could use"
    words = (
        f"{name_of(top)} has {taker.how}, which ask for {_amount(resource, taker.amount)} {resource} {where}; without them "
        f"{name_of(first.seen.about)} would find the {_amount(resource, first.amount)} it lacks"
    )
    if edit is not None:
        shown = listing([str(c) for c in changes] or list(edit.paths), 4)
        words += f". It was edited at {clock(edit.at)} by {edit.by}: {shown}"
    words += f". {cut(first.seen.text, 300)}"
    victims = {id(w.seen.about): w.seen.about for w in wants}
    own = [o for o in seen if o.about is top and o.reason in ("InsufficientResources", "QuotaExceeded")]
    return Observation(
        about=top,
        reason="TakesTheRoom",
        text=words,
        severity=FindingSeverity.critical,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.92 if changes else 0.82 if top.kind in _RUNS else 0.75,
        facts=(
            evidence.field(
                top,
                "spec",
                {k: top.spec[k] for k in ("schedule", "concurrencyPolicy", "parallelism", "replicas") if k in top.spec},
                f"{name_of(top)} has {taker.how}",
            ),
            *first.seen.facts[:2],
        ),
        basis=(
            "what its pods ask for beside what is left",
            "its pods came before others found no room",
            *(("what was changed about it is recorded",) if changes else ()),
        ),
        onset=min((p.created_at for p in taker.pods if p.created_at), default=None),
        remediation=remedies.edit(
            top, f"Let less of {name_of(top)} run at once: {_advice(top)}", risk="What it does takes longer, or is left out."
        ),
        explains=(
            *(Explains(v, 0.92, f"{name_of(top)} took the room") for v in victims.values()),
            *(Explains(top, 0.92, "its own pods find no room either", reasons=frozenset({o.reason})) for o in own[:1]),
        ),
    )  # fmt: skip


def _amount(resource: str, value: float) -> str:
    in_bytes = resource.removeprefix("limits.") in ("memory", "ephemeral-storage")
    return size(value) if in_bytes else f"{value:.4g}"


def _advice(top: KubeObject) -> str:
    if top.kind == "CronJob":
        return "put its schedule back, or set concurrencyPolicy to Forbid."
    return "lower its parallelism." if top.kind == "Job" else "lower its replicas, or add nodes."
