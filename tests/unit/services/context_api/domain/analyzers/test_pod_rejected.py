"""Pods the API server refuses: read from its own words, blamed on what must change."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import pod_rejected
from tests.support.kube import Doc, ago, container, deployment, edit, event, service, stateful_set, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

QUOTA = 'pods "api-7c9d5b6f8-x2k9d" is forbidden: exceeded quota: compute, requested: limits.memory=1Gi, used: limits.memory=4Gi, limited: limits.memory=4Gi'


def refused(message: str, **more) -> list[Doc]:
    objects = deployment("api", replicas=2, pods=0, **more)
    for replica_set in [o for o in objects if o["kind"] == "ReplicaSet"][-1:]:
        replica_set["spec"]["replicas"] = 2
        replica_set["status"] = {
            "replicas": 0,
            "conditions": [
                {
                    "type": "ReplicaFailure",
                    "status": "True",
                    "reason": "FailedCreate",
                    "message": message,
                    "lastTransitionTime": ago(9),
                }
            ],
        }
    return objects


def test_a_full_quota_is_the_cause_with_its_numbers():
    quota = thing("ResourceQuota", "compute", spec={"hard": {"limits.memory": "4Gi"}}, status={})

    answer = causes(refused(QUOTA), quota, target="Deployment/shop/api")

    assert first(answer) == ("ResourceQuota/shop/compute", "QuotaExceeded")
    for words in ("limits.memory=1Gi requested", "limits.memory=4Gi used of limits.memory=4Gi"):
        assert words in answer.ranked[0].text


def test_a_workload_that_was_just_rolled_out_with_more_is_blamed_rather_than_the_quota():
    quota = thing("ResourceQuota", "compute", spec={"hard": {"limits.memory": "4Gi"}}, status={})
    small, large = (container(resources={"limits": {"memory": m}}) for m in ("256Mi", "1Gi"))

    answer = causes(
        refused(QUOTA, containers=[large], before=[small], rolled_out=10), quota, target="Deployment/shop/api"
    )

    assert first(answer) == ("Deployment/shop/api", "QuotaExceeded")
    assert "`256Mi` → `1Gi`" in answer.ranked[0].text


@pytest.mark.parametrize(
    ("message", "reason", "words"),
    [
        ("pods \"x\" is forbidden: failed quota: compute: must specify limits.cpu for: app", "QuotaNeedsRequests", "limits.cpu"),
        ("pods \"x\" is forbidden: maximum memory usage per Container is 512Mi, but limit is 1Gi", "LimitRangeViolated", "512Mi"),
        ("pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"app\" must set it)", "PodSecurityViolated", "allowPrivilegeEscalation"),
        ("pods \"x\" is forbidden: unable to validate against any security context constraint: [provider anyuid: Forbidden]", "SecurityContextConstraint", "SCC"),
        ("admission webhook \"images.policy.example\" denied the request: image tag latest is not allowed", "WebhookDenied", "tag latest"),
        ('Internal error occurred: failed calling webhook "h.example.com": failed to call webhook: Post "https://h.p.svc:443/c?timeout=10s": tls: failed to verify certificate: x509: certificate signed by unknown authority', "WebhookUntrusted", "caBundle"),
        ('Internal error occurred: failed calling webhook "h.example.com": failed to call webhook: Post "https://h.p.svc:443/c?timeout=10s": context deadline exceeded', "WebhookUnreachable", "does not answer in time"),
        ('Internal error occurred: failed calling webhook "h.example.com": failed to call webhook: Post "https://h.p.svc:443/c?timeout=10s": connect: connection refused', "WebhookUnreachable", "does not answer ("),
        ("pods \"x\" is forbidden: error looking up service account shop/builder: serviceaccount \"builder\" not found", "ServiceAccountNotFound", "builder"),
    ],
)  # fmt: skip
def test_each_refusal_is_read(message: str, reason: str, words: str):
    (found,) = seen(pod_rejected, refused(message))

    assert said([found]) == [("Deployment/shop/api", reason)]
    assert words in found.text


def test_a_webhook_nobody_answers_behind_leads_to_the_workload_behind_it():
    message = 'Internal error occurred: failed calling webhook "pods.guard.example": failed to call webhook: Post "https://guard.guard-system.svc:443/check?timeout=10s": no endpoints available for service "guard"'
    config = thing(
        "ValidatingWebhookConfiguration",
        "guard",
        None,
        api="admissionregistration.k8s.io/v1",
        webhooks=[{"name": "pods.guard.example"}],
    )
    behind = [
        deployment("guard", "guard-system", replicas=0, edits=[edit(30, "spec/replicas")]),
        service("guard", "guard-system", port=443),
    ]

    answer = causes(refused(message), config, behind, target="Deployment/shop/api")

    assert first(answer) == ("Deployment/guard-system/guard", "ScaledToZero")
    assert answer.ranked[0].path[-1] == "Deployment/shop/api"


def test_a_stateful_set_is_read_from_its_event():
    objects = stateful_set("db", replicas=1)[:1]
    objects[0]["status"] = {"replicas": 0}

    assert said(seen(pod_rejected, objects, event(objects[0], "FailedCreate", QUOTA))) == [
        ("StatefulSet/shop-data/db", "QuotaExceeded")
    ]


def test_an_old_refusal_of_a_workload_that_has_all_its_pods_is_history():
    objects = deployment("api")

    assert seen(pod_rejected, objects, event(objects[1], "FailedCreate", QUOTA)) == []
