"""Callers without credentials: which networks they may come from, and who they are then."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from pydantic import BaseModel, ConfigDict, Field

from libs.auth.permissions import Role
from libs.auth.principal import DEFAULT_TENANT, NamespaceGlob, Principal, Tenant, principal_for

_REMEMBERED = 4096
"""Addresses kept with their answer; a guess at what one process sees in a day behind a service network."""


class TrustedNetwork(BaseModel):
    """Who a caller from one network is taken for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    principal: str = Field(min_length=1, max_length=128)
    roles: tuple[Role, ...] = Field(min_length=1)
    tenant: Tenant = DEFAULT_TENANT
    namespaces: tuple[NamespaceGlob, ...] | None = None


class TrustedNetworks:
    """Finds the principal of an address; the narrowest network that holds it decides."""

    def __init__(self, networks: Mapping[str, TrustedNetwork]) -> None:
        """Raises ValueError when a key is not a CIDR."""
        parsed = [(ip_network(cidr), _principal(cidr, network)) for cidr, network in networks.items()]
        self._networks: list[tuple[IPv4Network | IPv6Network, Principal]] = sorted(
            parsed, key=lambda pair: pair[0].prefixlen, reverse=True
        )
        self._seen: dict[str, Principal | None] = {}

    def __bool__(self) -> bool:
        return bool(self._networks)

    def principal_at(self, client_ip: str | None) -> Principal | None:
        """The principal for this socket address; None when no network holds it or it is no address."""
        if client_ip is None or not self._networks:
            return None
        try:
            return self._seen[client_ip]
        except KeyError:
            if len(self._seen) >= _REMEMBERED:
                self._seen.clear()
            found = self._seen[client_ip] = self._find(client_ip)
            return found

    def _find(self, client_ip: str) -> Principal | None:
        try:
            address = ip_address(client_ip)
        except ValueError:
            return None  # a unix socket, or a test client's "testclient": no network holds it
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return next((principal for network, principal in self._networks if address in network), None)


def _principal(cidr: str, network: TrustedNetwork) -> Principal:
    return principal_for(
        network.principal,
        tenant=network.tenant,
        roles=network.roles,
        namespaces=network.namespaces,
        method="trusted-network",
        credential=cidr,
    )
