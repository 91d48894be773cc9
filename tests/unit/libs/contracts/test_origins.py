"""Origins and hosts are exact, written as browsers write them, and never everybody's."""

from __future__ import annotations

import pytest

from libs.contracts.origins import hosts, origins

pytestmark = pytest.mark.requirement("HAPI-102", "HAPI-079", "API-BR-SEC-008")


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("https://console.example", "https://console.example"),
        ("HTTPS://Console.Example", "https://console.example"),
        (" https://console.example:443 ", "https://console.example"),
        ("http://console.example:80", "http://console.example"),
        ("http://console.example:443", "http://console.example:443"),
        ("http://localhost:03000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
    ],
)
def test_an_origin_is_what_a_browser_sends(given: str, read: str):
    assert origins([given]) == [read]


@pytest.mark.parametrize(
    "wrong",
    [
        *("*", "https://*", "https://*.example", "null", "", "console.example", "//console.example"),
        *("https://console.example/", "https://console.example/a", "https://console.example?a"),
        *("https://user:word@console.example", "https://console.example:0", "https://console.example:65536"),
        *(
            "https://console.example:port",
            "https://",
            "https://a..example",
            "https://console.example\n"[:-1] + " x",
        ),
    ],
)
def test_what_is_no_origin_is_refused_by_its_place_and_not_repeated(wrong: str):
    with pytest.raises(ValueError, match=r"^entry 2: .*https://console\.example") as refused:
        origins(["https://first.example", wrong])

    assert "word" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["localhost", "console.example", "*.apps.example", "*.svc", "10.0.0.7", "[::1]", "a_b.example."]
)
def test_a_host_is_a_name_or_all_below_one(name: str):
    assert hosts([name.upper()]) == [name]


@pytest.mark.parametrize(
    "wrong",
    ["*", "*.", "a.*", "*a.example", "https://a.example", "a.example:443", "a.example/x", "", "*.*.a"],
)
def test_what_is_no_host_is_refused_with_the_remedy(wrong: str):
    with pytest.raises(ValueError, match=r"^entry 1: .*console\.example"):
        hosts([wrong])
