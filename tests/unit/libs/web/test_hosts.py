"""Host headers: what is ours, what cannot be rebound, and nothing else."""

from __future__ import annotations

import pytest

from libs.web.hosts import AllowedHosts

pytestmark = pytest.mark.requirement("INT-BR-WH-022", "HAPI-105")

HOSTS = AllowedHosts(["console.example", "*.svc.cluster.local"])


@pytest.mark.parametrize(
    "host",
    [
        "console.example",
        "CONSOLE.example",
        "console.example:8080",
        "alerts.kubernaut.svc.cluster.local",
        "alerts",
        "localhost:8092",
        "127.0.0.1",
        "10.0.0.7:8092",
        "[::1]",
        "[::1]:8092",
    ],
)
def test_our_names_bare_names_and_addresses_are_answered_to(host):
    assert HOSTS.allows(host.encode())


@pytest.mark.parametrize(
    "host",
    [
        "attacker.example",
        "sub.console.example",
        "console.example.attacker.example",
        "svc.cluster.local.attacker.example",
        "console.example:8080:1",
        "console.example:http",
        "1.2.3.4.attacker.example",
        "[::1",
        "[evil]x.example",
        "",
        ":80",
        "a b",
        "ä.example",
    ],
)
def test_every_other_name_is_not(host):
    assert not HOSTS.allows(host.encode())


def test_a_missing_host_is_not():
    assert not HOSTS.allows(None)


def test_a_star_alone_is_no_pattern():
    assert not AllowedHosts(["*"]).allows(b"anything.example")


def test_an_attacker_who_varies_the_host_fills_no_memory():
    hosts = AllowedHosts(["console.example"])

    for number in range(5_000):
        assert not hosts.allows(b"%d.attacker.example" % number)

    assert len(hosts._seen) <= 1_024
    assert hosts.allows(b"console.example")
