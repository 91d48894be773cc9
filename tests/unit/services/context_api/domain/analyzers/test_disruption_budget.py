"""Budgets that can never be kept while anything moves."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import disruption_budget
from tests.support.kube import deployment, event, node, pods_in, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def budget(allowed: int = 0, healthy: int = 2, desired: int = 2):
    return thing(
        "PodDisruptionBudget", "api", api="policy/v1", spec={"minAvailable": 2, "selector": {"matchLabels": {"app": "api"}}},
        status={"disruptionsAllowed": allowed, "currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": 2},
    )  # fmt: skip


def test_a_drain_that_waits_for_it_makes_it_a_fault():
    objects = deployment("api")

    (found,) = seen(disruption_budget, objects, budget(), node(unschedulable=True))

    assert not found.latent
    assert "node node-1 is being drained" in found.text
    assert "minAvailable 2 with 2 pods" in found.text


def test_a_refused_eviction_makes_it_a_fault():
    objects = deployment("api")
    told = event(
        pods_in(objects)[0],
        "EvictionBlocked",
        "Cannot evict pod as it would violate the pod's disruption budget.",
    )

    assert first(causes(objects, budget(), told)) == ("PodDisruptionBudget/shop/api", "NoDisruptionAllowed")


def test_where_nobody_waits_it_counts_only_for_its_own_alert():
    objects = [deployment("api"), budget(), node()]

    assert causes(objects).no_cause
    assert first(causes(objects, target="PodDisruptionBudget/shop/api"))[1] == "NoDisruptionAllowed"


@pytest.mark.parametrize(
    "obj",
    [budget(allowed=1), budget(healthy=1), budget(desired=1)],
    ids=["allows one", "pods are missing", "asks for fewer"],
)
def test_budgets_that_allow_or_only_follow_their_workload_are_no_findings(obj):
    assert said(seen(disruption_budget, deployment("api"), obj)) == []


def named(name: str, **labels: str):
    return thing("PodDisruptionBudget", name, api="policy/v1", spec={"minAvailable": 1, "selector": {"matchLabels": labels}}, status={})  # fmt: skip


def test_two_budgets_over_one_pod_are_a_fault_while_it_has_to_move():
    budgets = [named("api", app="api"), named("everything", app="api")]

    (found,) = seen(disruption_budget, deployment("api"), budgets, node(unschedulable=True))

    assert said([found]) == [("PodDisruptionBudget/shop/everything", "BudgetsOverlap")]
    assert not found.latent
    assert [o.latent for o in seen(disruption_budget, deployment("api"), budgets, node())] == [True]


def test_a_budget_for_nobody_is_latent_and_one_for_a_workload_without_pods_is_meant():
    assert [
        (o.reason, o.latent) for o in seen(disruption_budget, deployment("api"), named("web", app="web"))
    ] == [("BudgetSelectsNothing", True)]
    assert seen(disruption_budget, deployment("api", replicas=0), named("api", app="api")) == []


def test_a_budget_the_controller_cannot_compute_is_a_fault():
    stuck = named("api", app="api")
    stuck["status"] = {
        "conditions": [
            {
                "type": "DisruptionAllowed",
                "status": "False",
                "reason": "SyncFailed",
                "message": "found no controllers for pod",
            }
        ]
    }

    assert first(causes(deployment("api"), stuck)) == ("PodDisruptionBudget/shop/api", "BudgetNotComputed")


def test_an_alert_about_the_node_that_cannot_be_drained_leads_to_the_budget():
    objects = [deployment("api"), budget(), node(unschedulable=True), node("node-2")]

    assert first(causes(objects, target="Node/_cluster/node-1")) == (
        "PodDisruptionBudget/shop/api",
        "NoDisruptionAllowed",
    )
    assert causes(objects, target="Node/_cluster/node-2").no_cause


def test_a_refusal_of_half_an_hour_ago_waits_for_nothing_any_more():
    objects = deployment("api")
    words = "Cannot evict pod as it would violate the pod's disruption budget."
    old = event(pods_in(objects)[0], "EvictionBlocked", words, first=50, last=30)

    assert [o.latent for o in seen(disruption_budget, objects, budget(), node(), old)] == [True]
