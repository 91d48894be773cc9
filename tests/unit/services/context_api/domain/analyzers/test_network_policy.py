"""Policies that forbid a connection somebody misses; those that do not are left in peace."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import network_policy
from tests.support.kube import (
    ago,
    container,
    crashing,
    deployment,
    edit,
    env,
    log,
    moment,
    pods_in,
    service,
    stateful_set,
    thing,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")

DB = [stateful_set("db"), service("db", "shop-data", port=5432, ready=1)]
SHOP = thing("Namespace", "shop", None, labels={"kubernetes.io/metadata.name": "shop", "team": "web"})


def client(text: str = "dial tcp db.shop-data:5432: i/o timeout"):
    objects = deployment(
        "api", containers=[container(env=env(DB_HOST="db.shop-data:5432"))], statuses=[crashing()]
    )
    return objects, [log(pods_in(objects)[0], text)]


def policy(namespace: str = "shop-data", edits=(), **spec):
    return thing(
        "NetworkPolicy",
        "guard",
        namespace,
        api="networking.k8s.io/v1",
        edits=edits,
        spec={"podSelector": {}, "policyTypes": ["Ingress"], **spec},
    )


def test_a_policy_that_does_not_let_the_client_in_is_the_cause():
    objects, logs = client()
    only_admins = policy(
        ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "admin"}}}]}],
        edits=[edit(25, "spec/ingress")],
    )

    answer = causes(objects, DB, SHOP, only_admins, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("NetworkPolicy/shop-data/guard", "NetworkPolicyBlocks")
    for words in ("StatefulSet shop-data/db", "port 5432", "kubectl-edit"):
        assert words in answer.ranked[0].text


def test_an_egress_policy_without_dns_is_the_cause_of_failed_lookups():
    objects, logs = client("dial tcp: lookup db.shop-data on 10.96.0.10:53: i/o timeout")
    dns = deployment("coredns", "kube-system", labels={"k8s-app": "kube-dns"})
    no_dns = policy(
        "shop",
        policyTypes=["Egress"],
        egress=[{"to": [{"namespaceSelector": {}}], "ports": [{"port": 5432}]}],
    )

    answer = causes(objects, DB, SHOP, dns, no_dns, target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("NetworkPolicy/shop/guard", "NetworkPolicyBlocks")
    assert "port 53" in answer.ranked[0].text


@pytest.mark.parametrize(
    "spec",
    [
        {"ingress": [{}]},
        {"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "web"}}}], "ports": [{"port": 5432}]}]},
        {"ingress": [{"from": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["web"]}]}, "podSelector": {"matchLabels": {"app": "api"}}}]}]},
        {"podSelector": {"matchLabels": {"app": "else"}}},
        {"policyTypes": ["Egress"], "egress": []},
    ],
    ids=["allows all", "allows the namespace", "allows these pods", "selects others", "other direction"],
)  # fmt: skip
def test_a_policy_that_allows_or_does_not_concern_the_connection_is_not_blamed(spec):
    objects, logs = client()

    assert seen(network_policy, objects, DB, SHOP, policy(**spec), logs=logs) == []


def test_two_policies_add_up_so_one_that_allows_is_enough():
    objects, logs = client()
    allow = policy(ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "web"}}}]}])
    allow["metadata"]["name"] = "allow-web"

    assert seen(network_policy, objects, DB, SHOP, policy(ingress=[]), allow, logs=logs) == []


def test_a_refused_connection_was_answered_so_no_policy_dropped_it():
    objects, logs = client("dial tcp db.shop-data:5432: connect: connection refused")

    assert said(seen(network_policy, objects, DB, SHOP, policy(ingress=[]), logs=logs)) == []


def test_nobody_complains_so_a_strict_policy_is_no_finding():
    assert seen(network_policy, deployment("api"), DB, SHOP, policy(ingress=[])) == []


def test_without_a_log_a_new_policy_that_forbids_a_configured_connection_is_the_lead():
    objects, _ = client()

    answer = causes(
        objects, DB, SHOP, policy(edits=[edit(22, "spec/podSelector")]), target="Deployment/shop/api"
    )

    assert first(answer) == ("NetworkPolicy/shop-data/guard", "NetworkPolicyBlocks")
    assert any("no log of it was recorded" in basis for basis in answer.ranked[0].confidence.basis)


@pytest.mark.parametrize("minutes", [60 * 24, 60 * 5], ids=["as old as the cluster", "hours before"])
def test_without_a_log_a_policy_that_was_there_long_before_is_left_in_peace(minutes: float):
    objects, _ = client()

    assert seen(network_policy, objects, DB, SHOP, policy(edits=[edit(minutes, "spec/podSelector")])) == []


def test_a_new_policy_is_left_in_peace_where_the_log_speaks_of_something_else():
    objects, logs = client("panic: no licence")

    assert (
        seen(network_policy, objects, DB, SHOP, policy(edits=[edit(22, "spec/podSelector")]), logs=logs) == []
    )


OUTER = 'Get "https://rates.partner.example/v1": context deadline exceeded'
TO_DNS = {"ports": [{"port": 53, "protocol": "UDP"}]}


def egress(*rules: object):
    return policy("shop", edits=[edit(25, "spec/egress")], policyTypes=["Egress"], egress=[TO_DNS, *rules])


def test_a_policy_that_lets_nothing_out_is_why_a_host_outside_does_not_answer():
    objects, logs = client(OUTER)

    answer = causes(objects, egress({"to": [{"podSelector": {}}]}), target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("NetworkPolicy/shop/guard", "NetworkPolicyBlocks")
    assert "connect to rates.partner.example on port 443" in answer.ranked[0].text
    assert "it allows on 53/UDP; to pods of its namespace" in answer.ranked[0].text


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ({"ports": [{"port": 443}]}, OUTER),
        ({"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}, OUTER),
        ({"to": [{"podSelector": {}}]}, 'Get "https://rates.partner.example/v1": 503 Service Unavailable'),
        ({"to": [{"podSelector": {}}]}, "dial rates.partner.example:443: connection refused"),
    ],
    ids=["the port is open", "a range may hold it", "it answers", "it refuses"],
)
def test_a_policy_that_lets_something_out_or_a_host_that_answers_is_no_case_of_it(rule: object, line: str):
    objects, logs = client(line)

    assert seen(network_policy, objects, egress(rule), logs=logs) == []


def without(*minutes: float):
    """A ready client that complained so many minutes ago, and serves."""
    objects = deployment("api", containers=[container(env=env(DB_HOST="db.shop-data:5432"))])
    said = [f"{ago(m)} ERROR report: dial tcp db.shop-data:5432: i/o timeout" for m in minutes]
    return objects, [
        log(pods_in(objects)[0], "\n".join([*said, *(f"{ago(40 - n)} INFO served {n}" for n in range(38))]))
    ]


def test_a_connection_that_a_ready_program_has_long_done_without_is_no_fault():
    shut = policy(ingress=[{"from": [{"namespaceSelector": {"matchLabels": {"team": "admin"}}}]}])

    def asked(*minutes: float):
        objects, logs = without(*minutes)
        return causes(objects, DB, SHOP, shut, target="Deployment/shop/api", onset=moment(10), logs=logs)

    assert asked(599, 130, 70, 15).no_cause
    assert first(asked(12, 8, 4))[0] == "NetworkPolicy/shop-data/guard"
