"""Secrets that another object was to write."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import not_written
from tests.support.kube import Doc, ago, container, deployment, thing, waiting
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

FAILED = {"conditions": [{"type": "Ready", "status": "False", "reason": "SecretSyncedError", "message": "could not get secret data from provider", "lastTransitionTime": ago(40)}]}  # fmt: skip


def external(called: str = "db", status: Doc | None = None, **target: str) -> Doc:
    return thing("ExternalSecret", called, api="external-secrets.io/v1", spec={"secretStoreRef": {"name": "vault"}, "target": target}, status=status or {})  # fmt: skip


def store(ready: str = "True") -> Doc:
    status = {"conditions": [{"type": "Ready", "status": ready, "reason": "InvalidProviderConfig", "message": "permission denied", "lastTransitionTime": ago(50)}]}  # fmt: skip
    return thing("SecretStore", "vault", api="external-secrets.io/v1", status=status)


def user(secret: str = "db", optional: bool = False) -> list[Doc]:
    lacks = waiting(reason="CreateContainerConfigError", message=f'secret "{secret}" not found')
    uses = container(envFrom=[{"secretRef": {"name": secret, "optional": optional}}])
    return deployment("api", containers=[uses], statuses=[lacks])


OTHER = thing("Secret", "other")


def test_a_missing_secret_leads_to_the_object_that_should_write_it():
    answer = causes(external(status=FAILED), store(), user(), OTHER, target="Deployment/shop/api")

    assert first(answer) == ("ExternalSecret/shop/db", "SecretNotWritten")
    assert "could not get secret data from provider" in answer.ranked[0].text


def test_the_store_it_names_is_the_cause_when_that_is_not_well():
    answer = causes(external(status=FAILED), store("False"), user(), OTHER, target="Deployment/shop/api")

    assert first(answer) == ("SecretStore/shop/vault", "ReadyFalse")


@pytest.mark.parametrize(
    "writer",
    [
        external("any", name="db"),
        thing("Certificate", "db-tls", api="cert-manager.io/v1", spec={"secretName": "db"}),
        thing("SealedSecret", "db", api="bitnami.com/v1alpha1"),
    ],
    ids=["named-target", "certificate", "sealed"],
)
def test_writers_of_several_sorts_are_known(writer: Doc):
    assert [str(o.about) for o in seen(not_written, writer, user())] == [
        f"{writer['kind']}/shop/{writer['metadata']['name']}"
    ]


@pytest.mark.parametrize(
    "objects",
    [
        [external(), user(), thing("Secret", "db")],
        [external(), user(optional=True)],
        [external("elsewhere"), user()],
        [external("db", name="elsewhere"), user()],
        [external()],
    ],
    ids=["written", "optional", "writes-another", "under-another-name", "nobody-needs-it"],
)
def test_what_is_there_or_not_needed_is_no_finding(objects: list[Doc]):
    assert seen(not_written, *objects) == []


def test_an_ingress_waits_for_its_certificate():
    route = thing("Ingress", "web", api="networking.k8s.io/v1", spec={"tls": [{"secretName": "web-tls"}]})
    certificate = thing("Certificate", "web-tls", api="cert-manager.io/v1", spec={"secretName": "web-tls"})

    assert said(seen(not_written, route, certificate)) == [("Certificate/shop/web-tls", "SecretNotWritten")]
