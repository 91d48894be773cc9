"""Aggregated APIs that do not answer, and who misses them."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import api_service
from tests.support.kube import ago, crashing, deployment, service, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

DISCOVERY = (
    "Discovery failed for some groups, 1 failing: unable to retrieve the complete list of server APIs: "
    "metrics.k8s.io/v1beta1: stale GroupVersion discovery: metrics.k8s.io/v1beta1"
)


def api(status: str = "False", reason: str = "MissingEndpoints"):
    state = {
        "type": "Available",
        "status": status,
        "reason": reason,
        "message": "endpoints have no addresses",
        "lastTransitionTime": ago(50),
    }
    return thing(
        "APIService", "v1beta1.metrics.k8s.io", None, api="apiregistration.k8s.io/v1",
        spec={"group": "metrics.k8s.io", "version": "v1beta1", "service": {"namespace": "kube-system", "name": "meter"}},
        status={"conditions": [state]},
    )  # fmt: skip


def leaving(message: str = DISCOVERY):
    gone = thing(
        "Namespace", "old", None, spec={"finalizers": ["kubernetes"]},
        status={"conditions": [{"type": "NamespaceDeletionDiscoveryFailure", "status": "True", "reason": "DiscoveryFailed", "message": message}]},
    )  # fmt: skip
    gone["metadata"]["deletionTimestamp"] = ago(40)
    return gone


BLIND = thing(
    "HorizontalPodAutoscaler", "api", api="autoscaling/v2",
    spec={"maxReplicas": 4, "scaleTargetRef": {"kind": "Deployment", "name": "api"}},
    status={"conditions": [{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "lastTransitionTime": ago(40),
                            "message": "unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"}]},
)  # fmt: skip


def test_a_namespace_that_cannot_be_deleted_leads_to_the_api_that_does_not_answer():
    answer = causes(leaving(), api(), service("other", "kube-system"), target="Namespace/_cluster/old")

    assert first(answer) == ("APIService/_cluster/v1beta1.metrics.k8s.io", "ApiNotAvailable")
    assert "Service kube-system/meter, which should answer for it, does not exist" in answer.ranked[0].text
    assert "Namespace/_cluster/old: FinalizerStuck" in answer.ranked[0].explains


def test_what_keeps_the_apis_own_pods_down_is_the_cause():
    behind = [
        deployment("meter", "kube-system", statuses=[crashing(code=137, reason="OOMKilled")]),
        service("meter", "kube-system", not_ready=2),
    ]

    answer = causes(leaving(), api(), behind, target="Namespace/_cluster/old")

    assert first(answer) == ("Deployment/kube-system/meter", "OOMKilled")


def test_a_blind_autoscaler_leads_to_it():
    answer = causes(deployment("api"), BLIND, api(), target="HorizontalPodAutoscaler/shop/api")

    assert first(answer) == ("APIService/_cluster/v1beta1.metrics.k8s.io", "ApiNotAvailable")


def test_an_api_that_answers_is_no_finding():
    assert said(seen(api_service, api("True", "Passed"), BLIND, leaving())) == []


def test_a_namespace_that_waits_for_another_group_is_not_its_doing():
    other = DISCOVERY.replace("metrics.k8s.io", "packages.example.com")

    assert (
        first(causes(leaving(other), api(), target="Namespace/_cluster/old"))[0] == "Namespace/_cluster/old"
    )
