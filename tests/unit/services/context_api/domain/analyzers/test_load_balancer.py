"""Services that get no address from outside."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import load_balancer
from tests.support.kube import deployment, event, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def balanced(*, age: float = 60, kind: str = "LoadBalancer", **status):
    spec = {"type": kind, "selector": {"app": "api"}, "ports": [{"port": 80}]}
    return thing("Service", "api", spec=spec, status={"loadBalancer": status}, age=age)


def refused(service, reason: str = "SyncLoadBalancerFailed"):
    return event(
        service,
        reason,
        "Error syncing load balancer: failed to ensure load balancer: no free address in pool",
    )


def test_the_controllers_refusal_is_the_cause():
    one = balanced()

    answer = causes(deployment("api"), one, refused(one), target="Service/shop/api")

    assert first(answer) == ("Service/shop/api", "LoadBalancerPending")
    assert "no free address in pool" in answer.ranked[0].text


def test_without_a_word_from_anybody_it_counts_for_an_alert_about_it_only():
    assert [o.latent for o in seen(load_balancer, balanced())] == [True]
    assert causes(deployment("api"), balanced()).no_cause


@pytest.mark.parametrize(
    "one",
    [balanced(ingress=[{"ip": "203.0.113.7"}]), balanced(age=2), balanced(kind="ClusterIP")],
    ids=["has one", "just made", "asks for none"],
)
def test_services_that_have_or_need_no_address_are_no_findings(one):
    assert said(seen(load_balancer, one, refused(one))) == []


def test_another_warning_about_the_service_is_not_taken_for_a_refusal():
    one = balanced()

    assert [o.latent for o in seen(load_balancer, one, refused(one, "FailedToUpdateEndpoint"))] == [True]
