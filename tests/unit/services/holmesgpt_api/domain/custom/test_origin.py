"""An origin is scheme, host and port and can be read in one way; some addresses are never asked."""

from __future__ import annotations

import ipaddress

import pytest

from services.holmesgpt_api.domain.custom.errors import BadToolset
from services.holmesgpt_api.domain.custom.origin import address, may_be, origin, refused

pytestmark = pytest.mark.requirement("HAPI-012", "HAPI-079")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("https://cmdb.example.com", "https://cmdb.example.com"),
        ("HTTPS://CMDB.example.com:443/", "https://cmdb.example.com"),
        ("http://10.0.0.7:8080", "http://10.0.0.7:8080"),
        ("http://[2001:db8::1]:80", "http://[2001:db8::1]"),
        ("http://localhost:9000", "http://localhost:9000"),
        ("https://a_b.svc.cluster.local:8443", "https://a_b.svc.cluster.local:8443"),
    ],
)
def test_an_origin_is_read_in_one_way(text: str, read: str):
    assert str(origin(text)) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cmdb.example.com",
        "ftp://cmdb",
        "file:///etc/passwd",
        "https://",
        "https://cmdb:",
        "https://cmdb:99999",
        "https://cmdb/path",
        "https://cmdb?x",
        "https://cmdb#x",
        "https://user@cmdb",
        "https://user:pass@cmdb",
        "https://cmdb\\@evil",
        "https://cmdb evil",
        "https://cmdb\n",
        "https://cmdb%00",
        "https://cmdb.",
        "https://-cmdb",
        "https://cmdb..com",
        "https://cmdb.example.cоm",  # Cyrillic
        "https://ｅxample.com",
        "http://2130706433",
        "http://0x7f000001",
        "http://0x7f.1",
        "http://127.1",
        "http://017700000001",
        "http://1.2.3",
        "http://1.2.3.4.5",
        "http://0.0.0.0",
        "http://169.254.169.254",
        "http://[::ffff:169.254.169.254]",
        "http://[::ffff:a9fe:a9fe]",
        "http://[fd00:ec2::254]",
        "http://[fe80::1]",
        "http://100.100.100.200",
        "http://168.63.129.16",
        "http://[::]",
        "http://[64:ff9b::a9fe:a9fe]",
        "http://[2002:a9fe:a9fe::]",
        "http://[::169.254.169.254]",
        "http://224.0.0.1",
    ],
)
def test_what_is_none_or_never_asked_is_refused(text: str):
    with pytest.raises(BadToolset):
        origin(text)


@pytest.mark.parametrize("text", ["10.1.2.3", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd12::1"])
def test_private_and_public_addresses_may_be_what_a_listed_name_means(text: str):
    assert may_be(ipaddress.ip_address(text), origin("https://cmdb.example.com"))


@pytest.mark.parametrize(
    "text", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "169.254.1.1", "0.0.0.0"]
)
def test_a_name_that_comes_to_mean_this_machine_or_a_metadata_service_is_not_believed(text: str):
    found = address(text)

    assert found is not None
    assert not may_be(found, origin("https://cmdb.example.com"))


def test_this_machine_is_asked_where_the_origin_says_so():
    assert may_be(ipaddress.ip_address("127.0.0.1"), origin("http://localhost:9000"))
    assert may_be(ipaddress.ip_address("::1"), origin("http://[::1]:9000"))


def test_an_address_with_a_zone_is_link_local_and_refused():
    assert refused(ipaddress.ip_address("fe80::1%eth0"))
