from __future__ import annotations

import pytest
from pydantic import ValidationError

from libs.auth.networks import TrustedNetwork, TrustedNetworks
from libs.auth.permissions import Role

pytestmark = pytest.mark.requirement("HAPI-079", "INT-BR-SEC-006")


def network(name: str, **fields) -> TrustedNetwork:
    return TrustedNetwork.model_validate({"principal": name, "roles": ["viewer"], **fields})


def name_at(networks: TrustedNetworks, address: str) -> str | None:
    principal = networks.principal_at(address)
    return principal.name if principal else None


def test_an_address_in_the_network_gets_its_principal_roles_and_tenant():
    networks = TrustedNetworks({"10.1.0.0/16": network("go-app", roles=["api_user"], tenant="acme")})

    principal = networks.principal_at("10.1.2.3")

    assert principal is not None
    assert (principal.name, principal.tenant, set(principal.roles)) == ("go-app", "acme", {Role.api_user})
    assert principal.method == "trusted-network"
    assert principal.credential == "10.1.0.0/16"


@pytest.mark.parametrize(
    "address", ["10.2.0.1", "::1", None, "", "testclient", "/run/kubernaut.sock", "10.1.0"]
)
def test_everything_else_gets_none(address):
    networks = TrustedNetworks({"10.1.0.0/16": network("go-app")})

    assert networks.principal_at(address) is None


def test_no_networks_trust_nobody():
    networks = TrustedNetworks({})

    assert not networks
    assert networks.principal_at("127.0.0.1") is None


def test_the_narrowest_network_decides():
    networks = TrustedNetworks(
        {"10.0.0.0/8": network("wide"), "10.1.2.0/24": network("narrow"), "0.0.0.0/0": network("anybody")}
    )

    found = {at: name_at(networks, at) for at in ("10.1.2.3", "10.9.9.9", "192.0.2.1")}

    assert found == {"10.1.2.3": "narrow", "10.9.9.9": "wide", "192.0.2.1": "anybody"}


def test_an_ipv4_address_on_a_dual_stack_socket_is_the_same_address():
    networks = TrustedNetworks({"127.0.0.0/8": network("loopback")})

    assert name_at(networks, "::ffff:127.0.0.1") == "loopback"


def test_ipv6_networks_work_too():
    networks = TrustedNetworks({"fd00::/8": network("cluster")})

    assert name_at(networks, "fd12:3456::1") == "cluster"
    assert networks.principal_at("2001:db8::1") is None


def test_remembered_answers_stay_right_beyond_the_bound():
    networks = TrustedNetworks({"10.0.0.0/16": network("inside")})

    for third in range(20):
        for fourth in range(256):
            assert networks.principal_at(f"10.0.{third}.{fourth}") is not None
            assert networks.principal_at(f"10.1.{third}.{fourth}") is None

    assert len(networks._seen) <= 4096


@pytest.mark.parametrize("cidr", ["10.1.2.3/8", "nonsense", "10.0.0.0/40"])
def test_what_is_no_network_is_refused_at_start(cidr):
    with pytest.raises(ValueError, match=r".+"):
        TrustedNetworks({cidr: network("x")})


@pytest.mark.parametrize(
    "fields",
    [{"roles": []}, {"roles": ["root"]}, {"tenant": "Acme!"}, {"principal": ""}, {"rolse": ["viewer"]}],
)
def test_a_network_without_a_known_role_or_with_a_typing_error_is_refused(fields):
    with pytest.raises(ValidationError):
        network("x", **fields) if "principal" not in fields else TrustedNetwork.model_validate(
            {"roles": ["viewer"], **fields}
        )
