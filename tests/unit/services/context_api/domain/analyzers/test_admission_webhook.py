"""Webhooks nobody answers: the configuration, or what should stand behind it, is the cause."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import admission_webhook
from tests.support.kube import Doc, ago, config_map, crashing, deployment, edit, log, pods_in, service, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

HOOK = "pods.admit.example.com"
DOWN = (
    f'Internal error occurred: failed calling webhook "{HOOK}": failed to call webhook: '
    'Post "https://admit.platform.svc:443/check?timeout=10s": no endpoints available for service "admit"'
)


def refused(message: str = DOWN, name: str = "api", namespace: str = "shop") -> list[Doc]:
    """A Deployment none of whose pods is made."""
    objects = deployment(name, namespace, replicas=2, pods=0)
    objects[1]["spec"]["replicas"] = 2
    objects[1]["status"] = {
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


def config(
    policy: str = "Fail", port: int = 443, kind: str = "ValidatingWebhookConfiguration", **more
) -> Doc:
    place = {"namespace": "platform", "name": "admit", "port": port}
    return thing(
        kind, "admit", None, api="admissionregistration.k8s.io/v1",
        webhooks=[{"name": HOOK, "failurePolicy": policy, "clientConfig": {"service": place}}], **more,
    )  # fmt: skip


OTHERS = service("other", "platform", ready=1)


@pytest.mark.parametrize("kind", admission_webhook.KINDS)
def test_a_configuration_left_behind_by_what_was_removed_is_the_cause(kind: str):
    answer = causes(refused(), config(kind=kind), OTHERS, target="Deployment/shop/api")

    assert first(answer) == (f"{kind}/_cluster/admit", "WebhookServiceNotFound")
    for words in (HOOK, "Service platform/admit, which does not exist", "failurePolicy Fail"):
        assert words in answer.ranked[0].text
    assert answer.ranked[0].path[-1] == "Deployment/shop/api"
    assert "Deployment/shop/api: FailedCreate" in answer.ranked[0].explains


def test_the_namespace_of_the_service_may_be_gone_altogether():
    namespaces = [thing("Namespace", "shop", None)]

    answer = causes(refused(), config(), namespaces, service("api"), target="Deployment/shop/api")

    assert first(answer)[1] == "WebhookServiceNotFound"


def test_what_keeps_the_webhooks_own_pods_down_is_the_cause_rather_than_the_configuration():
    behind = [
        deployment("admit", "platform", statuses=[crashing(code=137, reason="OOMKilled")]),
        service("admit", "platform", port=443, not_ready=2),
    ]

    answer = causes(refused(), config(), behind, target="Deployment/shop/api")

    assert first(answer) == ("Deployment/platform/admit", "OOMKilled")
    assert "Deployment/shop/api: FailedCreate" in answer.ranked[0].explains


def test_a_webhook_that_must_admit_its_own_pods_is_told_to_wait_for_itself():
    behind = [
        refused(name="admit", namespace="platform"),
        service("admit", "platform", port=443, not_ready=0),
    ]

    answer = causes(refused(), config(), behind, target="Deployment/shop/api")

    assert first(answer) == ("ValidatingWebhookConfiguration/_cluster/admit", "WebhookBlocksItself")
    assert "neither can start before the other" in answer.ranked[0].text


def test_a_port_the_service_does_not_serve_is_told():
    answer = causes(
        refused(), config(port=8443, edits=[edit(10, "webhooks")]), deployment("admit", "platform"),
        service("admit", "platform", port=443, ready=2), target="Deployment/shop/api",
    )  # fmt: skip

    assert first(answer)[1] == "WebhookPortNotFound"
    assert "port 8443 of Service platform/admit, which serves 443" in answer.ranked[0].text


def test_a_conversion_webhook_is_judged_alike():
    definition = thing(
        "CustomResourceDefinition", "queues.mq.example.com", None, api="apiextensions.k8s.io/v1",
        spec={
            "group": "mq.example.com", "names": {"kind": "Queue"}, "versions": [{"name": "v2", "storage": True}],
            "conversion": {"strategy": "Webhook", "webhook": {"clientConfig": {"service": {"namespace": "platform", "name": "mq"}}}},
        },
    )  # fmt: skip
    owner = thing(
        "Pipeline", "p", api="ci.example.com/v1",
        status={"conditions": [{"type": "Ready", "status": "False", "reason": "Error", "lastTransitionTime": ago(30),
                                "message": "conversion webhook for mq.example.com/v2, Kind=Queue failed: no endpoints available"}]},
    )  # fmt: skip

    answer = causes(owner, definition, OTHERS, target="Pipeline/shop/p")

    assert first(answer) == (
        "CustomResourceDefinition/_cluster/queues.mq.example.com",
        "WebhookServiceNotFound",
    )


def test_policy_ignore_lets_pods_pass_so_it_explains_nothing():
    (found,) = seen(admission_webhook, deployment("api"), config("Ignore"), OTHERS)

    assert found.latent
    assert found.explains == ()


@pytest.mark.parametrize(
    "others",
    [
        [deployment("admit", "platform"), service("admit", "platform", port=443, ready=2)],
        [],
        [thing("Namespace", "platform", None)],
        [config_map("x", "platform")],
    ],
    ids=[
        "answered",
        "no Service recorded anywhere",
        "namespace there, nothing in it recorded",
        "only other kinds",
    ],
)
def test_a_webhook_that_is_answered_or_not_recorded_is_no_finding(others):
    assert said(seen(admission_webhook, refused(), config(), others)) == []


def test_a_webhook_reached_by_url_is_left_alone():
    by_url = config()
    by_url["webhooks"][0]["clientConfig"] = {"url": "https://admit.example.com/check"}

    assert seen(admission_webhook, refused(), by_url, OTHERS) == []


def test_a_log_that_speaks_of_a_webhook_makes_no_fault_of_one_that_answers():
    api = deployment("api", statuses=[crashing()])
    logs = [log(pods_in(api)[0], f'FATAL: failed calling webhook "{HOOK}": no endpoints available')]
    behind = [deployment("admit", "platform"), service("admit", "platform", port=443, ready=2)]

    answer = causes(api, config(), behind, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Deployment/shop/api", "CrashLoopBackOff")


def test_nobody_was_refused_yet_so_it_is_told_but_no_cause_of_an_alert_elsewhere():
    objects = [deployment("api"), config(), OTHERS]

    assert first(causes(objects))[1] == "WebhookServiceNotFound"
    assert causes(objects, target="Deployment/shop/api").no_cause
