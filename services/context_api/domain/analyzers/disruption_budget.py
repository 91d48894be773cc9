"""Disruption budgets that allow no disruption although every pod is well: evictions and drains wait for ever.

Sees budgets whose allowed disruptions are zero with all expected pods healthy, and who waits: nodes being drained,
eviction events of the last minutes. Latent where nobody waits: a strict budget is no fault until something must move.
Sees too budgets whose selector matches no pod and no workload, several budgets over one pod (evictions of it are then
refused as such), and budgets the controller cannot compute. A budget that allows none because pods are not ready
follows its workload. Cannot see evictions that left no event.

Rests on: https://kubernetes.io/docs/tasks/run-application/configure-pdb/,
https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/ (429, and 500 for several budgets).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.events import Event
from services.context_api.domain.kube import (
    condition,
    label_selector,
    listing,
    mapping,
    number,
    selects,
    show_labels,
    template_labels,
    text,
)
from services.context_api.domain.logs import quote
from services.context_api.domain.observation import Depth, Explains, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of

NAME = "disruption_budget"
RETRIED = timedelta(minutes=15)
"""Whoever drains a node asks again every few seconds: a refusal this old waits for nothing any more. A guess, generous."""


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per budget that can never be kept while anything moves."""
    closed = {n.name for n in scene.graph.of_kind("Node") if n.spec.get("unschedulable") is True}
    for budget in scene.graph.of_kind("PodDisruptionBudget"):
        if budget.metadata.get("deletionTimestamp"):
            continue
        yield from _misaimed(scene, budget, closed)
        status = budget.status
        expected = number(status.get("expectedPods"))
        if not expected or number(status.get("disruptionsAllowed"), 1) > 0:
            continue
        if number(status.get("currentHealthy")) < expected or number(status.get("desiredHealthy")) < expected:
            continue
        yield _observation(budget, expected, *_waiting(scene, budget, closed))


def _misaimed(scene: Scene, budget: KubeObject, closed: set[str]) -> Iterator[Observation]:
    """A budget for nobody, one of several for the same pods, or one the controller cannot work out."""
    state = condition(budget, "DisruptionAllowed")
    if state is not None and state.status == "False" and state.reason == "SyncFailed":
        words = f"{name_of(budget)} cannot be computed: `{quote(state.message)}`"
        yield _plain(budget, "BudgetNotComputed", words, 0.8, latent=False)
    selector = budget.spec.get("selector")
    protected = [e.to for e in scene.needs.of(budget) if e.relation == "protects"]
    if not protected:
        meant = [
            w for w in scene.graph.workloads_in(budget.namespace) if selects(selector, template_labels(w))
        ]
        if not meant and mapping(selector) and scene.graph.workloads_in(budget.namespace):
            labels, _ = label_selector(selector)
            words = f"{name_of(budget)} selects no pod and no workload (`{show_labels(labels)}`): it protects nothing"
            yield _plain(budget, "BudgetSelectsNothing", words, 0.7, latent=True)
        return
    rivals = [
        other
        for other in scene.graph.of_kind("PodDisruptionBudget")
        if other is not budget
        and other.namespace == budget.namespace
        and any(e.to in protected for e in scene.needs.of(other) if e.relation == "protects")
    ]
    if rivals and budget.name > max(r.name for r in rivals):
        pods = [p for top in protected for p in scene.graph.pods_of(top)]
        waits = [p for p in pods if text(p.spec.get("nodeName")) in closed]
        words = f"{name_of(budget)} and {listing([name_of(r) for r in rivals])} select the same pods: evictions of them are refused for that alone"
        words += (
            f"; pod {waits[0].name} has to leave node {text(waits[0].spec.get('nodeName'))}" if waits else ""
        )
        yield _plain(budget, "BudgetsOverlap", words, 0.85, latent=not waits)


def _plain(budget: KubeObject, reason: str, words: str, certainty: float, *, latent: bool) -> Observation:
    return Observation(
        about=budget,
        reason=reason,
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=certainty,
        facts=(evidence.field(budget, "spec", dict(budget.spec), words),),
        basis=("the budget's selector beside the pods there are" if reason != "BudgetNotComputed" else "the budget's own condition",),
        remediation=remedies.edit(budget, f"Correct the selector of {name_of(budget)}, or delete it."),
        latent=latent,
    )  # fmt: skip


def _waiting(scene: Scene, budget: KubeObject, closed: set[str]) -> tuple[list[str], list[KubeObject]]:
    """Nodes being drained that still hold its pods, and evictions that were refused: in words, and the nodes."""
    waits: set[str] = set()
    nodes: dict[str, KubeObject] = {}
    for edge in scene.needs.of(budget):
        for pod in scene.graph.pods_of(edge.to) if edge.relation == "protects" else ():
            place = text(pod.spec.get("nodeName"))
            node = scene.graph.get("Node", None, place)
            if place in closed and node is not None:
                nodes[place] = node
                waits.add(f"node {text(pod.spec.get('nodeName'))} is being drained")
            if any(
                "disruption budget" in e.message and _lately(scene, e) for e in scene.graph.events_about(pod)
            ):
                waits.add(f"the eviction of pod {pod.name} was refused")
    return sorted(waits), [nodes[name] for name in sorted(nodes)]


def _lately(scene: Scene, event: Event) -> bool:
    return event.last is None or scene.now - event.last <= RETRIED


def _observation(budget: KubeObject, expected: int, waits: list[str], nodes: list[KubeObject]) -> Observation:
    rule = next(
        (f"{k} {text(budget.spec[k])}" for k in ("minAvailable", "maxUnavailable") if k in budget.spec),
        "its rule",
    )
    words = f"{name_of(budget)} allows no disruption: {rule} with {expected} pods, all healthy"
    if waits:
        words += f"; {listing(waits)}"
    return Observation(
        about=budget,
        reason="NoDisruptionAllowed",
        text=words,
        severity=FindingSeverity.warning,
        analyzer=NAME,
        depth=Depth.mechanism,
        certainty=0.85,
        facts=(
            evidence.field(
                budget,
                "status",
                {k: budget.status.get(k) for k in ("disruptionsAllowed", "desiredHealthy", "expectedPods")},
                words,
            ),
        ),
        basis=("the budget's own numbers", *waits[:2]),
        remediation=remedies.edit(
            budget,
            f"Let {name_of(budget)} spare one pod (minAvailable below the replicas), or add a replica.",
        ),
        explains=tuple(Explains(n, 0.85, f"node {n.name} cannot be emptied") for n in nodes),
        latent=not waits,
    )
