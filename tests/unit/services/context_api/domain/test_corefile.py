"""Corefiles taken apart."""

from __future__ import annotations

import pytest

from services.context_api.domain.corefile import read

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

USUAL = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready  # for the kubelet
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
    }
    template ANY A corp.example.com {
       answer "{{ .Name }} 60 IN A 10.0.0.9"
    }
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
}
corp.example.com:53 {
    forward . 10.9.8.7
}
"""


def test_blocks_and_directives_are_told_apart_from_their_options():
    core = read(USUAL)

    assert core.fault == ""
    assert core.zones == (".:53", "corp.example.com:53")
    assert core.strangers == []
    assert [d.words for d in core.all("forward")] == [(".", "/etc/resolv.conf"), (".", "10.9.8.7")]
    assert core.all("kubernetes")[0].words == ("cluster.local", "in-addr.arpa", "ip6.arpa")
    assert core.all("lameduck") == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (".:53 {\n  errors\n", "the block opened in line 1 is never closed"),
        (".:53 {\n  errors\n}\n}\n", "line 4 closes a block that none opened"),
        ("", ""),
        ("# nothing {\n", ""),
    ],
)
def test_braces_that_do_not_fit_are_named_by_their_line(text: str, fault: str):
    assert read(text).fault == fault


def test_a_directive_no_plugin_serves_is_a_stranger():
    assert [(d.line, d.name) for d in read(".:53 {\n  errors\n  forwrad . 10.0.0.2\n}\n").strangers] == [
        (3, "forwrad")
    ]
