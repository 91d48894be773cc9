"""Secrets that another object was to write."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import not_written
from services.context_api.domain.scene import Scene
from services.context_api.domain.triage import observe
from tests.support.kube import (
    Doc,
    ago,
    container,
    crashing,
    deployment,
    log,
    pods_in,
    snapshot,
    thing,
    waiting,
)
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


REFUSED = 'FATAL: password authentication failed for user "api"'


def refused(line: str = REFUSED):
    """A workload that reads Secret db, crashes since about 20 minutes, and says this."""
    objects = deployment(
        "api", containers=[container(envFrom=[{"secretRef": {"name": "db"}}])], statuses=[crashing()]
    )
    return [*objects, thing("Secret", "db")], [log(pods_in(objects)[0], line)]


def test_a_secret_that_grew_old_leads_to_the_object_that_no_longer_renews_it():
    objects, logs = refused()

    answer = causes(external(status=FAILED), store(), objects, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("ExternalSecret/shop/db", "SecretNotRenewed")
    for words in ("has not renewed Secret shop/db", "could not get secret data from provider", REFUSED):
        assert words in answer.ranked[0].text


def test_the_store_that_is_not_well_is_why_a_secret_grew_old():
    objects, logs = refused()

    answer = causes(external(status=FAILED), store("False"), objects, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("SecretStore/shop/vault", "ReadyFalse")


LATE = {"conditions": [{**FAILED["conditions"][0], "lastTransitionTime": ago(1)}]}


@pytest.mark.parametrize(
    ("writer", "line"),
    [
        (external(status=FAILED), "FATAL: relation orders does not exist"),
        (external(status=LATE), REFUSED),
        (external(), REFUSED),
        (external("other", status=FAILED), REFUSED),
    ],
    ids=["another complaint", "it failed later", "it is well", "it writes another Secret"],
)
def test_a_secret_that_is_not_why_it_is_refused_leads_nowhere(writer: Doc, line: str):
    objects, logs = refused(line)

    assert "SecretNotRenewed" not in {
        o.reason for o in observe(Scene(snapshot(writer, store(), objects, logs=logs)))
    }


def claimed(version: str = "16.40", writes: str = "db") -> list[Doc]:
    """A claim, what a platform composes of it, and what the provider says of the part that it cannot make."""
    refused = (
        f"create failed: api error InvalidParameterCombination: Cannot find version {version} for postgres"
    )
    wish = thing(
        "Database", "orders", api="platform.example.com/v1",
        spec={"parameters": {"version": "16.40", "sizeGB": 50}, "resourceRef": {"kind": "XDatabase", "name": "orders-x1"}, "writeConnectionSecretToRef": {"name": writes}},
        status={"conditions": [{"type": "Ready", "status": "False", "reason": "Waiting", "message": "Claim is waiting for composite resource to become Ready", "lastTransitionTime": ago(30)}]},
    )  # fmt: skip
    composite = thing(
        "XDatabase", "orders-x1", api="platform.example.com/v1", namespace=None,
        spec={"claimRef": {"kind": "Database", "name": "orders", "namespace": "shop"}, "resourceRefs": [{"kind": "Instance", "name": "orders-x1-i"}]},
        status={"conditions": [{"type": "Ready", "status": "False", "reason": "Creating", "message": "Unready resources: instance", "lastTransitionTime": ago(30)}]},
    )  # fmt: skip
    managed = thing(
        "Instance", "orders-x1-i", api="rds.cloud.example.com/v1", namespace=None, owner=composite,
        status={"conditions": [{"type": "Synced", "status": "False", "reason": "ReconcileError", "message": refused, "lastTransitionTime": ago(30)}]},
    )  # fmt: skip
    return [wish, composite, managed]


def test_a_missing_secret_leads_to_the_claim_that_promises_it_in_the_words_of_its_last_part():
    answer = causes(claimed(), user(), OTHER, target="Deployment/shop/api")

    assert first(answer) == ("Database/shop/orders", "SecretNotWritten")
    assert "Cannot find version 16.40" in answer.ranked[0].text
    assert "spec.parameters.version is `16.40`" in answer.ranked[0].text


def test_a_claim_that_writes_another_secret_is_left_alone():
    assert seen(not_written, claimed(writes="elsewhere"), user()) == []


def test_a_value_that_the_words_do_not_quote_is_not_shown():
    answer = causes(claimed(version="15.1"), user(), OTHER, target="Deployment/shop/api")

    assert first(answer) == ("Database/shop/orders", "SecretNotWritten")
    assert "spec.parameters" not in answer.ranked[0].text


@pytest.mark.parametrize(("replicas", "found"), [(0, False), (2, True)], ids=["runs nothing", "runs"])
def test_a_workload_that_is_asked_to_run_no_pod_misses_nothing(replicas: int, found: bool):
    parts = user()
    for one in parts:
        if one["kind"] in ("Deployment", "ReplicaSet"):
            one["spec"]["replicas"] = replicas
    parked = [one for one in parts if one["kind"] != "Pod"]

    assert bool(seen(not_written, external(), parked)) is found


@pytest.mark.parametrize(
    ("age", "status", "found"),
    [(2, {}, False), (30, {}, True), (2, FAILED, True)],
    ids=["made a moment ago", "made long ago", "says that it cannot"],
)
def test_a_writer_is_given_a_few_minutes_for_the_first_time(age: float, status: Doc, found: bool):
    writer = external(status=status)
    writer["metadata"]["creationTimestamp"] = ago(age)

    assert bool(seen(not_written, writer, user())) is found
