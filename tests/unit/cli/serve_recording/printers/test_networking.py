from __future__ import annotations

from typing import Any

import pytest

from cli.serve_recording.printers import networking
from cli.serve_recording.tables import Printer
from tests.support.kube import NOW, Doc, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")


def row(printer: Printer, **body: Any) -> list[Any]:
    return list(printer.cells(thing("X", "x", age=60, **body), NOW))


BALANCED = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}, {"hostname": "lb.example.com"}]}}


@pytest.mark.parametrize(
    ("spec", "status", "outside"),
    [
        ({"type": "ClusterIP"}, {}, "<none>"),
        ({"type": "ClusterIP", "externalIPs": ["192.0.2.1"]}, {}, "192.0.2.1"),
        ({"type": "NodePort"}, BALANCED, "<none>"),
        ({"type": "LoadBalancer"}, {}, "<pending>"),
        ({"type": "LoadBalancer"}, BALANCED, "192.0.2.7,lb.example.com"),
        (
            {"type": "LoadBalancer", "externalIPs": ["192.0.2.1"]},
            BALANCED,
            "192.0.2.7,lb.example.com,192.0.2.1",
        ),
        ({"type": "ExternalName", "externalName": "db.example.com"}, {}, "db.example.com"),
    ],
)
def test_a_service_says_how_it_is_reached_from_outside(spec: Doc, status: Doc, outside: str):
    assert row(networking.SERVICE, spec=spec, status=status)[3] == outside


def test_a_service_says_its_ports_and_whom_it_selects():
    ports = [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    spec = {"type": "ClusterIP", "clusterIP": "10.0.0.7", "ports": ports, "selector": {"app": "x"}}

    assert row(networking.SERVICE, spec=spec)[1:] == [
        "ClusterIP",
        "10.0.0.7",
        "<none>",
        "80:30080/TCP,53/UDP",
        "60m",
        "app=x",
    ]
    assert row(networking.SERVICE, spec={"clusterIP": "None"})[2:5] == ["None", "<none>", "<none>"]


def test_endpoints_are_shown_up_to_three():
    subset = {"addresses": [{"ip": f"10.0.0.{n}"} for n in range(5)], "ports": [{"port": 80}]}

    assert row(networking.ENDPOINTS, subsets=[subset])[1] == "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."
    assert row(networking.ENDPOINTS, subsets=[{"addresses": [{"ip": "fd00::1"}]}])[1] == "[fd00::1]"
    assert row(networking.ENDPOINTS)[1] == "<none>"


def test_an_endpoint_slice_says_ports_and_addresses():
    endpoints = [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}]

    assert row(networking.ENDPOINT_SLICE, addressType="IPv4", ports=[{"port": 80}, {}], endpoints=endpoints)[1:4] == [
        "IPv4", "80,*", "10.0.0.1,10.0.0.2",
    ]  # fmt: skip
    assert row(networking.ENDPOINT_SLICE)[1:4] == ["", "<unset>", "<unset>"]


def test_an_ingress_says_its_hosts_and_where_it_is():
    spec = {"ingressClassName": "nginx", "rules": [{"host": "a.example.com"}, {}], "tls": [{}]}

    assert row(networking.INGRESS, spec=spec, status=BALANCED)[1:5] == ["nginx", "a.example.com,*", "192.0.2.7,lb.example.com", "80, 443"]  # fmt: skip
    assert row(networking.INGRESS)[1:5] == ["<none>", "*", "", "80"]


def test_classes_policies_and_addresses_say_whose_they_are():
    parameters = {"apiGroup": "k.example.com", "kind": "Config", "name": "c"}
    parent = {"resource": "services", "namespace": "shop", "name": "api"}

    assert row(networking.INGRESS_CLASS, spec={"controller": "c", "parameters": parameters})[1:3] == [
        "c",
        "Config.k.example.com/c",
    ]
    assert row(networking.INGRESS_CLASS)[2] == "<none>"
    assert row(networking.NETWORK_POLICY, spec={"podSelector": {"matchLabels": {"a": "1"}}})[1] == "a=1"
    assert row(networking.NETWORK_POLICY, spec={"podSelector": {}})[1] == "<none>"
    assert (
        row(networking.SERVICE_CIDR, spec={"cidrs": ["10.0.0.0/24", "fd00::/108"]})[1]
        == "10.0.0.0/24,fd00::/108"
    )
    assert row(networking.IP_ADDRESS, spec={"parentRef": parent})[1] == "services/shop/api"


def test_a_route_says_its_host_and_what_stands_behind_it():
    spec = {
        "host": "a.example.com",
        "to": {"name": "api"},
        "port": {"targetPort": "http"},
        "tls": {"termination": "edge"},
    }

    assert row(networking.ROUTE, spec=spec) == ["x", "a.example.com", "", "api", "http", "edge"]
