"""Hosts that two routes claim."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.domain.analyzers import host_taken
from tests.support.kube import ago, deployment, service, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

HOST = "tickets.example.com"
REAL = [deployment("portal", "office"), service("portal", "office", ready=2)]
TRIAL = [deployment("portal", "trial", replicas=0), service("portal", "trial", ready=0)]


def route(name: str, namespace: str, *, admitted: bool = True, age: float = 60, to: str = "portal"):
    said = {"type": "Admitted", "status": str(admitted), "lastTransitionTime": ago(30)}
    if not admitted:
        said |= {
            "reason": "HostAlreadyClaimed",
            "message": f"a route in another namespace holds {HOST} and is older than {name}",
        }
    return thing(
        "Route", name, namespace, api="route.openshift.io/v1", age=age, spec={"host": HOST, "to": {"kind": "Service", "name": to}},
        status={"ingress": [{"host": HOST, "conditions": [said]}]},
    )  # fmt: skip


def ingress(name: str, namespace: str, *, age: float, kind: str = "nginx"):
    paths = [{"path": "/", "backend": {"service": {"name": "portal", "port": {"number": 80}}}}]
    return thing(
        "Ingress", name, namespace, api="networking.k8s.io/v1", age=age,
        spec={"ingressClassName": kind, "rules": [{"host": HOST, "http": {"paths": paths}}]},
    )  # fmt: skip


CANARY = ingress("b", "office", age=30)
OLD, NEW = route("tickets", "trial", age=9000), route("public", "office", admitted=False, age=30)


@pytest.mark.parametrize("target", ["Route/trial/tickets", "Route/office/public"])
def test_a_forgotten_trial_that_holds_a_host_is_why_nobody_is_served_there(target: str):
    answer = causes(REAL, TRIAL, OLD, NEW, target=target)

    assert first(answer) == ("Route/trial/tickets", "HostHeldByOtherRoute")
    for words in (HOST, "HostAlreadyClaimed", "Route office/public gets none", "has no ready endpoint"):
        assert words in answer.ranked[0].text


def test_whoever_claims_a_host_that_serves_others_came_too_late():
    other = [deployment("portal", "trial"), service("portal", "trial", ready=2)]

    assert said(seen(host_taken, REAL, other, OLD, NEW)) == [("Route/office/public", "HostHeldByOtherRoute")]


def test_without_a_controllers_word_the_ages_tell_if_only_the_younger_has_pods():
    (found,) = seen(
        host_taken, REAL, TRIAL, ingress("old", "trial", age=9000), ingress("new", "office", age=30)
    )

    assert said([found]) == [("Ingress/trial/old", "HostHeldByOtherRoute")]
    assert found.certainty == host_taken.SUPPOSED


@pytest.mark.parametrize(
    "objects",
    [
        [ingress("a", "trial", age=90), ingress("b", "office", age=30), deployment("portal", "trial"), service("portal", "trial", ready=1)],
        [ingress("a", "trial", age=90, kind="inside"), ingress("b", "office", age=30), TRIAL],
        [ingress("a", "office", age=90), ingress("b", "office", age=30)],
        [ingress("a", "office", age=90), ingress("b", "trial", age=30), TRIAL],
        [route("a", "office", age=90)],
        [ingress("a", "trial", age=90), {**CANARY, "metadata": {**CANARY["metadata"], "annotations": {"nginx.ingress.kubernetes.io/canary": "true"}}}, TRIAL],
    ],
    ids=["both have pods", "two doors", "the same Service", "the older one serves", "one alone", "a canary"],
)  # fmt: skip
def test_routes_that_share_a_host_and_do_no_harm_are_no_fault(objects: list[Any]):
    assert seen(host_taken, REAL, objects) == []
