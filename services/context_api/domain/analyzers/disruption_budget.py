"""Disruption budgets that allow no disruption although every pod is well: evictions and drains wait for ever.

Sees budgets whose allowed disruptions are zero with all expected pods healthy, and who waits: nodes being drained,
eviction events. Latent where nobody waits: a strict budget is no fault until something must move.
A budget that allows none because pods are not ready follows its workload. Cannot see evictions that left no event.

Rests on: kubernetes.io/docs, "Disruptions", "Specifying a Disruption Budget".
"""

from __future__ import annotations

from collections.abc import Iterator

from libs.contracts.causes import FindingSeverity
from services.context_api.domain import evidence, remedies
from services.context_api.domain.kube import listing, number, text
from services.context_api.domain.observation import Depth, Observation
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import KubeObject
from services.context_api.domain.wording import name_of

NAME = "disruption_budget"


def observe(scene: Scene) -> Iterator[Observation]:
    """One observation per budget that can never be kept while anything moves."""
    closed = {n.name for n in scene.graph.of_kind("Node") if n.spec.get("unschedulable") is True}
    for budget in scene.graph.of_kind("PodDisruptionBudget"):
        status = budget.status
        expected = number(status.get("expectedPods"))
        if not expected or number(status.get("disruptionsAllowed"), 1) > 0:
            continue
        if number(status.get("currentHealthy")) < expected or number(status.get("desiredHealthy")) < expected:
            continue
        yield _observation(budget, expected, _waiting(scene, budget, closed))


def _waiting(scene: Scene, budget: KubeObject, closed: set[str]) -> list[str]:
    """Nodes being drained that still hold its pods, and evictions that were refused."""
    waits: set[str] = set()
    for edge in scene.needs.of(budget):
        for pod in scene.graph.pods_of(edge.to) if edge.relation == "protects" else ():
            if text(pod.spec.get("nodeName")) in closed:
                waits.add(f"node {text(pod.spec.get('nodeName'))} is being drained")
            if any("disruption budget" in e.message for e in scene.graph.events_about(pod)):
                waits.add(f"the eviction of pod {pod.name} was refused")
    return sorted(waits)


def _observation(budget: KubeObject, expected: int, waits: list[str]) -> Observation:
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
        latent=not waits,
    )
