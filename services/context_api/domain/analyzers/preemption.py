"""Pods that had to go for more important ones, and whose successors find no place.

Sees "Preempted by" events, also of pods that are gone, and finds who took the place and whose the victims were.
Counts only while the victims' owner has pods no node takes. Cannot judge which of the two matters more.

Rests on: kubernetes.io/docs, "Pod Priority and Preemption".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.events import Event, about, read_event
from services.context_api.domain.kube import pod_spec, text
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.resolve import owner_by_name
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import clock, name_of

NAME = "preemption"
_BY = re.compile(r"[Pp]reempted by (?:a )?(?:pod )?(?:([a-z0-9-]+)/)?([a-z0-9][a-z0-9.-]*)")


def explain(scene: Scene, seen: Sequence[Observation]) -> Iterator[Observation]:
    """One observation per workload that took the place of another that now waits."""
    waiting = {id(o.about): o for o in seen if o.analyzer == "unschedulable"}
    if not waiting:
        return
    told: set[tuple[int, int]] = set()
    told_of = [(read_event(e), e) for e in scene.snapshot.events if e.body.get("reason") == "Preempted"]
    # The first of several is told, in whatever order they were recorded.
    for event, raw in sorted(told_of, key=lambda pair: (str(pair[0].first), pair[0].message, pair[1].name)):
        victim, winner = _victim(scene, raw), _winner(scene, event)
        stuck = waiting.get(id(victim))
        if winner is None or stuck is None or winner is victim or (id(winner), id(victim)) in told:
            continue
        told.add((id(winner), id(victim)))
        yield _observation(scene, winner, stuck, event)


def _victim(scene: Scene, raw: KubeObject) -> KubeObject | None:
    reference = about(raw)
    namespace, name = text(reference.get("namespace")) or raw.namespace, text(reference.get("name"))
    pod = scene.graph.get("Pod", namespace, name)
    owner = scene.graph.top(pod) if pod is not None else owner_by_name(scene.graph, "Pod", namespace, name)
    return scene.graph.top(owner) if owner is not None else None


def _winner(scene: Scene, event: Event) -> KubeObject | None:
    """The preemptor, which newer versions name by uid and older ones by namespace and name."""
    found = _BY.search(event.message)
    if found is None:
        return None
    pod = scene.snapshot.by_uid(found[2]) or (
        scene.graph.get("Pod", found[1], found[2]) if found[1] else None
    )
    return scene.graph.top(pod) if pod is not None else None


def _observation(scene: Scene, winner: KubeObject, stuck: Observation, event: Event) -> Observation:
    classes = [text(pod_spec(w).get("priorityClassName")) for w in scene.graph.workloads_of(winner)]
    priority = f" (priority class {classes[0]})" if classes and classes[0] else ""
    return Observation(
        about=winner,
        reason="PreemptedOthers",
        text=f"Pods of {name_of(stuck.about)} were preempted for {name_of(winner)}{priority} at {clock(event.last)}: `{quote(event.message)}`. {stuck.text}",
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.82,
        facts=(evidence.event(winner, event), *stuck.facts[:1]),
        basis=("the scheduler's event names who took the place", "the victims' owner has pods no node takes"),
        onset=event.first,
        remediation=remedies.look(
            winner,
            f"Decide which of {name_of(winner)} and {name_of(stuck.about)} should run, or add a node; priorities are set by priorityClassName.",
        ),
        explains=(
            Explains(
                stuck.about,
                0.88,
                f"{winner.kind} {winner.name} took its place",
                reasons=frozenset({stuck.reason}),
            ),
        ),
        latent=True,
    )
