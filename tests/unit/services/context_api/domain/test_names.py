"""Host names in text, and what they mean in cluster DNS."""

from __future__ import annotations

import pytest

from services.context_api.domain.names import Host, NameIndex, hosts_in, resembles
from tests.support.kube import pod, service, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def found_in(text: str, **how) -> set[tuple[str, int | None]]:
    return {(h.name, h.port) for h in hosts_in(text, **how)}


@pytest.mark.parametrize(
    ("text", "how", "host"),
    [
        ("postgres://app:x@db.shop-data.svc:5432/orders", {}, ("db.shop-data.svc", 5432)),
        ("http://api/v1", {}, ("api", None)),
        ("db.shop-data:5432", {}, ("db.shop-data", 5432)),
        ("db.shop-data.svc.cluster.local", {}, ("db.shop-data.svc.cluster.local", None)),
        ("db", {"key": "DB_HOST"}, ("db", None)),
        ("bootstrap.servers=kafka-0.kafka:9092,kafka-1.kafka:9092", {}, ("kafka-1.kafka", 9092)),
        ("host: db\nport: 5432", {}, ("db", None)),
        ("dial tcp 10.96.0.7:5432: connect: connection refused", {"spoken": True}, ("10.96.0.7", 5432)),
        ('could not translate host name "db" to address', {"spoken": True}, ("db", None)),
        ("getaddrinfo ENOTFOUND cache", {"spoken": True}, ("cache", None)),
        ("lookup db.shop-data on 10.96.0.10:53: no such host", {"spoken": True}, ("db.shop-data", None)),
        ("Connection to db:5432 refused", {"spoken": True}, ("db", 5432)),
    ],
)
def test_hosts_are_found_where_the_text_says_so(text: str, how, host):
    assert host in found_in(text, **how)


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("api", {"key": "APP_NAME"}),
        ("debug", {}),
        ("the api is slow", {"spoken": True}),
        ("true", {"key": "CACHE"}),
    ],
)
def test_bare_words_are_no_hosts(text: str, how):
    assert found_in(text, **how) == set()


INDEX = NameIndex(
    snapshot(service("db", "shop-data", address="10.96.0.7"), service("api"), service("orders"), pod("x"))
)


@pytest.mark.parametrize(
    ("host", "asked_from", "means"),
    [
        ("db.shop-data.svc.cluster.local", "shop", "db"),
        ("db.shop-data", "shop", "db"),
        ("db", "shop-data", "db"),
        ("db", "shop", None),
        ("db-0.db.shop-data.svc", "shop", "db"),
        ("db-0.db", "shop-data", "db"),
        ("10.96.0.7", "shop", "db"),
        ("api.example.com", "shop", None),
    ],
)
def test_names_mean_what_cluster_dns_makes_of_them(host: str, asked_from: str, means: str | None):
    found = INDEX.find(host, asked_from)

    assert (found.name if found else None) == means


def test_a_pod_is_found_by_its_address_unless_it_shares_its_nodes():
    plain, shared = pod("a"), pod("b", spec={"hostNetwork": True})
    plain["status"]["podIP"], shared["status"]["podIP"] = "10.1.0.1", "192.168.0.1"
    index = NameIndex(snapshot(plain, shared))

    found = index.find("10.1.0.1", "shop")

    assert found
    assert found.name == "a"
    assert index.find("192.168.0.1", "shop") is None


def test_what_was_meant_is_the_same_name_elsewhere_or_one_spelled_alike():
    assert (INDEX.similar("shop", "db") or Host("", 0)).name == "db"
    assert (INDEX.similar("shop", "ordres") or Host("", 0)).name == "orders"
    assert INDEX.similar("shop", "kafka") is None


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("db_url", "DB-URL", True),
        ("DATABASE_URL", "DATABSE_URL", True),
        ("api", "web", False),
        ("postgres", "postgresql", True),
        ("orders", "users", False),
    ],
)
def test_spelling(one: str, other: str, alike: bool):
    assert resembles(one, other) is alike


def test_hosts_in_enormous_text_are_found_in_bounded_time():
    assert ("db", 5432) in found_in("db:5432 " + "x" * 5_000_000)


@pytest.mark.parametrize(
    "line", ["13:40:02.551 ERROR request timed out", "at 5:21:44 AM: no answer", "took 12:34 min"]
)
def test_a_time_of_day_is_no_host(line: str):
    assert list(hosts_in(line, spoken=True)) == []


def test_a_name_that_begins_with_a_digit_is_one():
    assert list(hosts_in("dial 3scale:8080", spoken=True)) == [Host("3scale", 8080)]


def test_an_address_as_java_prints_it_names_the_host_and_not_only_what_it_resolved_to():
    line = "Connection to node -1 (bus.streams/10.96.31.8:9093) failed authentication"

    assert Host("bus.streams", 9093) in list(hosts_in(line, spoken=True))
    assert Host("bus.streams", 9093) not in list(hosts_in("path bus.streams/10.96.31.8", spoken=True))
