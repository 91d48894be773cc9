"""Webhooks that the API server does not trust, by the words of what it refuses."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import webhook_trust
from tests.support.kube import Doc, ago, deployment, log, pods_in, service, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-007")

UNTRUSTED = 'Internal error occurred: failed calling webhook "check.example.com": failed to call webhook: Post "https://guard.guard.svc:443/check?timeout=10s": tls: failed to verify certificate: x509: certificate signed by unknown authority'  # fmt: skip
SERVER = [deployment("guard", "guard"), service("guard", "guard", port=443, ready=2)]


def release(message: str) -> Doc:
    padding = "Upgrade failed for release shop/front with chart front@7.4.0: cannot patch the object of kind Ingress that is called by a name of some length " * 2  # fmt: skip
    return thing(
        "HelmRelease", "front", api="helm.toolkit.fluxcd.io/v2", spec={},
        status={"conditions": [{"type": "Ready", "status": "False", "reason": "UpgradeFailed", "message": padding + message + " and so it was rolled back" * 20, "lastTransitionTime": ago(20)}]},
    )  # fmt: skip


def configuration(name: str = "check.example.com", **annotations: str) -> Doc:
    return thing(
        "ValidatingWebhookConfiguration", "guard", None, api="admissionregistration.k8s.io/v1", annotations={f"cert-manager.io/{k.replace('_', '-')}": v for k, v in annotations.items()},
        webhooks=[{"name": name, "failurePolicy": "Fail", "clientConfig": {"caBundle": "QQ==", "service": {"namespace": "guard", "name": "guard"}}}],
    )  # fmt: skip


def certificate(name: str) -> Doc:
    return thing("Certificate", name, "guard", api="cert-manager.io/v1", spec={"secretName": name})


def test_a_refusal_leads_to_the_configuration_and_to_the_certificate_that_its_bundle_should_come_from():
    answer = causes(
        release(UNTRUSTED),
        configuration(inject_ca_from="gard/serving"),
        certificate("serving"),
        SERVER,
        target="HelmRelease/shop/front",
    )

    assert first(answer) == ("ValidatingWebhookConfiguration/_cluster/guard", "WebhookUntrusted")
    assert "gard/serving" in answer.ranked[0].text
    assert "signed by unknown authority" in answer.ranked[0].text


def test_a_bundle_from_a_certificate_that_is_there_is_not_said_to_lack_it():
    (found,) = seen(
        webhook_trust, release(UNTRUSTED), configuration(inject_ca_from="guard/serving"), certificate("serving"), SERVER
    )  # fmt: skip

    assert "does not exist" not in found.text


def test_a_controllers_log_tells_the_same_as_a_status():
    controller = deployment("applier", "system")
    logs = [log(pods_in(controller)[0], f'{{"level":"error","msg":"Reconciler error","error":"{UNTRUSTED.replace(chr(34), chr(92) + chr(34))}"}}')]  # fmt: skip

    answer = causes(controller, configuration(), SERVER, target="Deployment/system/applier", logs=logs)

    assert first(answer) == ("ValidatingWebhookConfiguration/_cluster/guard", "WebhookUntrusted")


@pytest.mark.parametrize(
    ("message", "hook"),
    [
        (UNTRUSTED, "other.example.com"),
        (UNTRUSTED.replace("tls: failed to verify certificate: x509: certificate signed by unknown authority", "EOF"), "check.example.com"),
        ("x509: certificate signed by unknown authority", "check.example.com"),
    ],
    ids=["another webhook", "no certificate", "no webhook"],
)  # fmt: skip
def test_other_refusals_and_other_certificates_are_not_the_webhooks(message: str, hook: str):
    assert said(seen(webhook_trust, release(message), configuration(hook), SERVER)) == []
