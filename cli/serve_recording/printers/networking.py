"""Rows of what leads to pods, and of what keeps away from them. Pure.

Source: `kubectl get` of Kubernetes 1.36; compared with an API server's own tables in the integration tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cli.serve_recording.printers.words import NONE, UNSET, labels_of, listed, selector_of
from cli.serve_recording.tables import Cell, Printer, age_of, columns, name_of
from services.context_api.domain.kube import at, entries, mapping, strings, text
from services.context_api.domain.snapshot import Body

MOST = 3
"""Entries of a list in a cell."""


def service(body: Body, now: datetime) -> Sequence[Cell]:
    spec = mapping(body.get("spec"))
    return (
        name_of(body),
        text(spec.get("type")),
        next(iter(strings(spec.get("clusterIPs"))), text(spec.get("clusterIP"))) or NONE,
        _outside(body),
        ",".join(map(_service_port, entries(spec.get("ports")))) or NONE,
        age_of(body, now),
        labels_of(spec.get("selector")),
    )


def _outside(body: Body) -> str:
    spec = mapping(body.get("spec"))
    kind, given = text(spec.get("type")), strings(spec.get("externalIPs"))
    if kind == "ExternalName":
        return text(spec.get("externalName"))
    if kind != "LoadBalancer":
        return ",".join(given) or NONE
    return ",".join((*_ingress(body), *given)) or "<pending>"


def _ingress(body: Body) -> list[str]:
    """Addresses a load balancer reports."""
    found = entries(at(body, "status", "loadBalancer", "ingress"))
    return [text(one.get("ip")) or text(one.get("hostname")) for one in found]


def _service_port(port: Body) -> str:
    node = text(port.get("nodePort"))
    return f"{text(port.get('port'))}{f':{node}' if node and node != '0' else ''}/{text(port.get('protocol')) or 'TCP'}"


def endpoints(body: Body, now: datetime) -> Sequence[Cell]:
    found = []
    for subset in entries(body.get("subsets")):
        addresses = [_host(text(one.get("ip"))) for one in entries(subset.get("addresses"))]
        ports = [text(one.get("port")) for one in entries(subset.get("ports"))]
        found += [f"{host}:{port}" for port in ports for host in addresses] if ports else addresses
    return name_of(body), listed(found, most=MOST) or NONE, age_of(body, now)


def _host(ip: str) -> str:
    return f"[{ip}]" if ":" in ip else ip


def endpoint_slice(body: Body, now: datetime) -> Sequence[Cell]:
    ports = [text(one.get("port")) or "*" for one in entries(body.get("ports"))]
    addresses = [
        address for one in entries(body.get("endpoints")) for address in strings(one.get("addresses"))
    ]
    return (
        name_of(body),
        text(body.get("addressType")),
        listed(ports, most=MOST) or UNSET,
        listed(addresses, most=MOST) or UNSET,
        age_of(body, now),
    )


def ingress(body: Body, now: datetime) -> Sequence[Cell]:
    spec = mapping(body.get("spec"))
    hosts = [text(rule.get("host")) or "*" for rule in entries(spec.get("rules"))]
    return (
        name_of(body),
        text(spec.get("ingressClassName")) or NONE,
        listed(hosts, most=MOST) or "*",
        ",".join(_ingress(body)),
        "80, 443" if entries(spec.get("tls")) else "80",
        age_of(body, now),
    )


def ingress_class(body: Body, now: datetime) -> Sequence[Cell]:
    spec = mapping(body.get("spec"))
    given = mapping(spec.get("parameters"))
    group = text(given.get("apiGroup"))
    kind = f"{text(given.get('kind'))}.{group}" if group else text(given.get("kind"))
    parameters = f"{kind}/{text(given.get('name'))}" if given else NONE
    return name_of(body), text(spec.get("controller")), parameters, age_of(body, now)


def network_policy(body: Body, now: datetime) -> Sequence[Cell]:
    return name_of(body), selector_of(at(body, "spec", "podSelector")), age_of(body, now)


def service_cidr(body: Body, now: datetime) -> Sequence[Cell]:
    return name_of(body), ",".join(strings(at(body, "spec", "cidrs"))), age_of(body, now)


def ip_address(body: Body, now: datetime) -> Sequence[Cell]:
    parent = mapping(at(body, "spec", "parentRef"))
    parts = [text(parent.get(key)) for key in ("group", "resource", "namespace", "name")]
    resource = f"{parts[1]}.{parts[0]}" if parts[0] else parts[1]
    return name_of(body), "/".join(part for part in (resource, *parts[2:]) if part)


def route(body: Body, now: datetime) -> Sequence[Cell]:
    """OpenShift's own table is wider; what one looks for is the host and what stands behind it."""
    spec = mapping(body.get("spec"))
    return (
        name_of(body),
        text(spec.get("host")),
        text(spec.get("path")),
        text(at(spec, "to", "name")),
        text(at(spec, "port", "targetPort")) or "<all>",
        text(at(spec, "tls", "termination")),
    )


SERVICE = Printer(
    columns("Name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", wide=("Selector",)), service
)
ENDPOINTS = Printer(columns("Name", "Endpoints", "Age"), endpoints)
ENDPOINT_SLICE = Printer(columns("Name", "AddressType", "Ports", "Endpoints", "Age"), endpoint_slice)
INGRESS = Printer(columns("Name", "Class", "Hosts", "Address", "Ports", "Age"), ingress)
INGRESS_CLASS = Printer(columns("Name", "Controller", "Parameters", "Age"), ingress_class)
NETWORK_POLICY = Printer(columns("Name", "Pod-Selector", "Age"), network_policy)
SERVICE_CIDR = Printer(columns("Name", "CIDRs", "Age"), service_cidr)
IP_ADDRESS = Printer(columns("Name", "ParentRef"), ip_address)
ROUTE = Printer(columns("Name", "Host", "Path", "Services", "Port", "Termination"), route)
