"""Rules of a mesh that lead nowhere."""

from __future__ import annotations

import pytest

from tests.support.kube import (
    deployment,
    edit,
    thing,
)
from tests.support.mesh import (
    NET,
    SERVICE,
    of_mesh,
    rule,
    server,
    to,
    virtual,
)
from tests.support.triage import causes

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def test_a_subset_nobody_defines_is_the_routes_fault():
    assert of_mesh(virtual(to("v3")), rule("v1"), SERVICE, server()) == [
        ("VirtualService/shop/api", "SubsetNotDefined")
    ]


def test_a_subset_no_pod_carries_is_the_destination_rules_fault():
    assert of_mesh(virtual(to("v2")), rule("v1", "v2"), SERVICE, server()) == [
        ("DestinationRule/shop/api", "SubsetWithoutPods")
    ]


def test_it_is_the_routes_when_that_was_changed_last():
    moved = virtual(to("v2"))
    moved["metadata"]["managedFields"] = [edit(9, "spec/http")]

    assert of_mesh(moved, rule("v1", "v2"), SERVICE, server()) == [
        ("VirtualService/shop/api", "SubsetWithoutPods")
    ]


@pytest.mark.parametrize(
    "objects",
    [
        [virtual(to("v1")), rule("v1"), SERVICE, server()],
        [virtual(to("v1", 100), to("v2", 0)), rule("v1", "v2"), SERVICE, server()],
        [virtual({"destination": {"host": "api"}}), SERVICE, server()],
        [virtual({"destination": {"host": "partner.example.com", "subset": "x"}}), SERVICE, server()],
        [virtual(to("v2")), rule("v1", "v2"), SERVICE],
    ],
    ids=["served", "idle-weight", "no-subset", "outside", "pods-not-recorded"],
)
def test_routes_that_lead_somewhere_are_no_findings(objects: list[object]):
    assert of_mesh(*objects) == []


def test_a_gateway_that_does_not_exist_and_one_without_proxies_are_told():
    proxy = deployment("ingress", "istio-system", labels={"istio": "ingressgateway"})
    public = thing("Gateway", "public", api=NET, spec={"selector": {"istio": "ingresgateway"}, "servers": []})

    found = of_mesh(virtual(gateways=["edge", "mesh"]), public, proxy, SERVICE, server())

    assert sorted(found) == [
        ("Gateway/shop/public", "GatewayWithoutPods"),
        ("VirtualService/shop/api", "GatewayNotFound"),
    ]
    public["spec"]["selector"] = {"istio": "ingressgateway"}
    assert of_mesh(virtual(gateways=["public"]), public, proxy, SERVICE, server()) == []


def test_a_destination_rule_for_nothing_is_harmless():
    lost = thing("DestinationRule", "api", api=NET, spec={"host": "apy"})

    assert causes(lost, SERVICE, server()).no_cause


@pytest.mark.parametrize(
    ("listens", "found"),
    [
        (["shop.example.org"], [("VirtualService/shop/api", "HostnameNotServed")]),
        (["*.example.org", "./other.example.com"], [("VirtualService/shop/api", "HostnameNotServed")]),
        (["shop.example.com"], []),
        (["*"], []),
        (["*/*.example.com"], []),
    ],
)
def test_a_host_no_server_of_the_gateway_listens_for_is_told(
    listens: list[str], found: list[tuple[str, str]]
):
    public = thing("Gateway", "public", api=NET, spec={"servers": [{"hosts": listens}]})
    outside = virtual({"destination": {"host": "api"}}, hosts=["shop.example.com"], gateways=["public"])

    assert of_mesh(public, outside, SERVICE, server()) == found
