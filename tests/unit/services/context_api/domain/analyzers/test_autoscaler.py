"""Autoscalers that cannot scale."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.contracts.target import Target
from services.context_api.domain.analyzers import autoscaler
from services.context_api.domain.snapshot import MetricAnswer
from services.context_api.domain.triage import find_causes
from tests.support.kube import (
    NOW,
    ago,
    container,
    crashing,
    deployment,
    pods_in,
    service,
    snapshot,
    thing,
)
from tests.support.series import answered, recorded
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def hpa(kind: str, status: str, reason: str, message: str = "", **more):
    state = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": ago(20),
    }
    return thing(
        "HorizontalPodAutoscaler",
        "api",
        api="autoscaling/v2",
        spec={
            "maxReplicas": 4,
            "scaleTargetRef": {"kind": "Deployment", "name": "api"},
            **more.pop("spec", {}),
        },
        status={"conditions": [state], **more},
    )


def test_an_autoscaler_that_sees_no_metrics_leads_to_who_serves_them():
    blind = hpa(
        "ScalingActive",
        "False",
        "FailedGetResourceMetric",
        "unable to fetch metrics from resource metrics API: the server is currently unable to handle the request (get pods.metrics.k8s.io)",
    )
    api = thing(
        "APIService",
        "v1beta1.metrics.k8s.io",
        None,
        api="apiregistration.k8s.io/v1",
        spec={"service": {"namespace": "kube-system", "name": "metrics-server"}},
    )
    server = [
        deployment("metrics-server", "kube-system", statuses=[crashing(code=137, reason="OOMKilled")]),
        service("metrics-server", "kube-system", not_ready=2),
    ]

    assert said(seen(autoscaler, blind)) == [("HorizontalPodAutoscaler/shop/api", "BlindAutoscaler")]
    assert first(
        causes(deployment("api"), blind, api, server, target="HorizontalPodAutoscaler/shop/api")
    ) == ("Deployment/kube-system/metrics-server", "OOMKilled")


def test_missing_requests_and_a_missing_target_are_told():
    no_requests = hpa(
        "ScalingActive", "False", "FailedGetResourceMetric", "missing request for cpu in container app"
    )
    no_target = hpa("AbleToScale", "False", "FailedGetScale", 'deployments.apps "api" not found')

    assert "set no requests" in seen(autoscaler, no_requests)[0].text
    assert seen(autoscaler, no_target)[0].reason == "CannotScale"


def test_the_maximum_counts_only_when_the_alert_is_about_it():
    full = hpa(
        "ScalingLimited", "True", "TooManyReplicas", "the desired replica count is more than the maximum replica count",
        spec={"metrics": [{"resource": {"name": "cpu", "target": {"averageUtilization": 70}}}]}, currentMetrics=[{"resource": {"name": "cpu", "current": {"averageUtilization": 240}}}],
    )  # fmt: skip

    assert causes(deployment("api"), full).no_cause
    answer = causes(deployment("api"), full, target="HorizontalPodAutoscaler/shop/api")
    assert first(answer) == ("HorizontalPodAutoscaler/shop/api", "AtMaximum")
    assert "cpu at 240 %" in answer.ranked[0].text
    assert "maximum of 4" in answer.ranked[0].text


@pytest.mark.parametrize(
    "obj",
    [
        hpa("ScalingActive", "True", "ValidMetricFound"),
        hpa("ScalingActive", "False", "ScalingDisabled"),
        hpa("ScalingLimited", "True", "TooFewReplicas"),
    ],
    ids=["active", "its target is scaled to zero", "at its minimum"],
)
def test_autoscalers_at_work_or_rest_are_no_findings(obj):
    assert seen(autoscaler, obj) == []


def test_the_workload_that_sets_no_requests_is_the_cause_of_a_blind_autoscaler():
    blind = hpa(
        "ScalingActive",
        "False",
        "FailedGetResourceMetric",
        "failed to get cpu utilization: missing request for cpu in container app of Pod api-7c9d5b6f8-x2k9d",
    )
    measured = [container(resources={"requests": {"cpu": "100m"}})]

    answer = causes(deployment("api"), blind, target="HorizontalPodAutoscaler/shop/api")

    assert first(answer) == ("Deployment/shop/api", "RequestsMissing")
    assert "container app sets no cpu request" in answer.ranked[0].text
    assert [o.reason for o in seen(autoscaler, deployment("api", containers=measured), blind)] == [
        "BlindAutoscaler"
    ]
    assert (
        causes(deployment("api"), blind, target="Deployment/shop/api").ranked[0].reason == "RequestsMissing"
    )


def test_a_target_that_does_not_exist_is_told_with_one_spelled_alike():
    lost = hpa(
        "AbleToScale",
        "False",
        "FailedGetScale",
        'deployments.apps "orders" not found',
        spec={"scaleTargetRef": {"kind": "Deployment", "name": "orders"}},
    )

    (found,) = seen(autoscaler, lost, deployment("order"))

    assert found.reason == "ScaleTargetNotFound"
    assert "there is Deployment shop/order" in found.text


def overloaded(*objects, used: float = 0.49):
    """The answer to an alert about a workload whose container uses that much of its 500m."""
    api = deployment(
        "api", containers=[container(resources={"limits": {"cpu": "500m"}, "requests": {"cpu": "250m"}})]
    )
    labels = {"namespace": "shop", "pod": pods_in(api)[0]["metadata"]["name"], "container": "app"}
    sample = {"metric": labels, "value": [NOW.timestamp(), str(used)]}
    usage = MetricAnswer("rate(container_cpu_usage_seconds_total[5m])", "instant", NOW, {"result": [sample]})
    whole = replace(snapshot(api, *objects), metrics=[usage])
    return find_causes(whole, target=Target.parse("Deployment/shop/api"))


FULL = hpa(
    "ScalingLimited",
    "True",
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
)


def test_an_overloaded_workload_whose_autoscaler_is_at_its_maximum_leads_to_the_autoscaler():
    answer = overloaded(FULL)

    assert first(answer) == ("HorizontalPodAutoscaler/shop/api", "AtMaximum")
    assert answer.ranked[0].explains == []  # the overload itself is latent; it is told below
    assert [c.reason for c in answer.ranked] == ["AtMaximum", "CpuAtLimit"]


def test_an_autoscaler_that_may_still_scale_is_not_why():
    able = hpa("ScalingLimited", "False", "DesiredWithinRange")

    assert first(overloaded(able)) == ("Deployment/shop/api", "CpuAtLimit")


def test_a_workload_with_room_has_nothing_to_do_with_its_autoscalers_maximum():
    assert overloaded(FULL, used=0.1).no_cause


def test_autoscalers_that_count_the_same_pods_are_told_with_the_workload_whose_labels_overlap():
    message = "pods by selector app=api are controlled by multiple HPAs: [shop/api shop/api-next]"
    torn = hpa("ScalingActive", "False", "AmbiguousSelector", message)
    trial = deployment("api-next", labels={"app": "api", "track": "next"})

    (found,) = seen(autoscaler, torn, deployment("api"), trial, deployment("web"))

    assert said([found]) == [("HorizontalPodAutoscaler/shop/api", "AutoscalersOverlap")]
    assert "Deployment shop/api-next" in found.text
    assert "shop/web" not in found.text


def busy(cores: float, *objects, condition=None):
    """The answer about a workload without CPU limits that uses so much of the 250m each of its two pods asks for."""
    api = deployment("api", containers=[container(resources={"requests": {"cpu": "250m"}})])
    aims = {
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 65}}}]
    }
    blind = condition or hpa(
        "ScalingActive", "False", "FailedGetResourceMetric", "no metrics returned", spec=aims
    )
    samples = [
        {"metric": {"namespace": "shop", "pod": p["metadata"]["name"], "container": "app"}, "value": [NOW.timestamp(), str(cores)]}
        for p in pods_in(api)
    ]  # fmt: skip
    usage = MetricAnswer("rate(container_cpu_usage_seconds_total[5m])", "instant", NOW, {"result": samples})
    whole = replace(snapshot(api, blind, *objects), metrics=[usage])
    return find_causes(whole, target=Target.parse("Deployment/shop/api"))


def test_use_beyond_what_a_blind_autoscaler_aims_at_leads_to_it_though_no_limit_is_met():
    answer = busy(0.5)

    assert first(answer) == ("HorizontalPodAutoscaler/shop/api", "BlindAutoscaler")
    assert any(
        f.reason == "LoadBeyondTarget" and "uses 1 CPU cores where it asked for 0.5 (200 %)" in f.text
        for f in answer.findings
    )


def test_use_about_what_an_autoscaler_aims_at_is_no_load_beyond_it():
    answer = busy(0.17)

    assert "LoadBeyondTarget" not in {f.reason for f in answer.findings}


def test_load_is_not_told_of_an_autoscaler_at_work():
    able = hpa("ScalingActive", "True", "ValidMetricFound", spec={"metrics": [{"resource": {"name": "cpu", "target": {"averageUtilization": 65}}}]})  # fmt: skip

    assert "LoadBeyondTarget" not in {f.reason for f in busy(0.5, condition=able).findings}


def test_a_maximum_that_is_the_minimum_too_was_fixed_by_somebody():
    fixed = hpa("ScalingLimited", "True", "TooManyReplicas", "x", spec={"minReplicas": 4})

    assert causes(deployment("api"), fixed, target="HorizontalPodAutoscaler/shop/api").no_cause
    assert first(overloaded(fixed))[0] == "HorizontalPodAutoscaler/shop/api"


SHARE = 'sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))'


@pytest.mark.parametrize(("now", "told"), [(0.0004, False), (0.2, True)], ids=["as ever", "it fails"])
def test_a_maximum_at_which_all_is_answered_as_ever_is_no_fault(now: float, told: bool):
    share = recorded(SHARE, [0.0004] * 25 + [now] * 25, namespace="shop", service="api")

    answer = answered(
        "HorizontalPodAutoscaler/shop/api", deployment("api"), service("api", ready=2), FULL, metrics=[share]
    )

    assert ("AtMaximum" in [cause.reason for cause in answer.ranked]) is told
