"""Rules of a mesh that refuse what somebody misses."""

from __future__ import annotations

import pytest

from tests.support.kube import Doc, ago, container, deployment, env, log, moment, pods_in
from tests.support.mesh import (
    DENIED,
    MINE,
    RESET,
    SERVICE,
    client,
    of_mesh,
    peer,
    policy,
    rule,
    server,
    virtual,
    whence,
)
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (policy("DENY", whence(namespaces=["shop"])), "AuthorizationDenied"),
        (policy("DENY", whence(principals=["cluster.local/ns/shop/*"])), "AuthorizationDenied"),
        (policy("DENY", whence(notNamespaces=["audit"])), "AuthorizationDenied"),
        (policy("ALLOW"), "AuthorizationNotAllowed"),
        (policy("ALLOW", whence(namespaces=["audit"])), "AuthorizationNotAllowed"),
        (policy("ALLOW", {**whence(principals=[MINE]), "to": [{"operation": {"methods": ["POST"]}}]}), "AuthorizationNotAllowed"),
    ],
)  # fmt: skip
def test_a_policy_that_refuses_a_caller_who_complains_is_told(rules: Doc, reason: str):
    objects, logs = client(DENIED)

    assert of_mesh(rules, SERVICE, server(), objects, logs=logs) == [
        ("AuthorizationPolicy/shop/access", reason)
    ]
    answer = causes(rules, SERVICE, server(), objects, target="Deployment/shop/desk", logs=logs)
    assert first(answer) == ("AuthorizationPolicy/shop/access", reason)


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        (policy("DENY", whence(namespaces=["shop"])), "GET http://api:8080/x: connection refused"),
        (policy("DENY", whence(namespaces=["other"])), DENIED),
        (policy("ALLOW", whence(principals=[MINE])), DENIED),
        (policy("ALLOW", whence(namespaces=["audit"]), selector={"app": "other"}), DENIED),
        (policy("AUDIT", whence(namespaces=["shop"])), DENIED),
    ],
    ids=["another-complaint", "denies-others", "allows-it", "for-another-workload", "audit-only"],
)
def test_a_policy_that_does_not_refuse_it_is_not_named(rules: Doc, line: str):
    objects, logs = client(line)

    assert of_mesh(rules, SERVICE, server(), objects, logs=logs) == []


def test_a_policy_that_keeps_strangers_out_is_no_fault():
    assert of_mesh(policy("ALLOW", whence(namespaces=["audit"])), SERVICE, server()) == []


def test_strict_mutual_tls_cuts_off_a_caller_without_a_sidecar():
    objects, logs = client(RESET, proxied=False)

    assert of_mesh(peer("STRICT"), SERVICE, server(), objects, logs=logs) == [
        ("PeerAuthentication/shop/default", "StrictMutualTls")
    ]
    assert of_mesh(peer("PERMISSIVE"), SERVICE, server(), objects, logs=logs) == []
    assert of_mesh(peer("STRICT"), SERVICE, server(proxied=False), objects, logs=logs) == []


def test_the_nearest_peer_authentication_decides():
    objects, logs = client(RESET, proxied=False)
    own = peer("PERMISSIVE", "api", selector={"matchLabels": {"app": "api"}})

    assert of_mesh(peer("STRICT", namespace="istio-system"), own, SERVICE, server(), objects, logs=logs) == []


def test_a_destination_rule_that_contradicts_strict_mutual_tls_is_at_fault():
    objects, logs = client(
        "GET http://api:8080/x: 503 upstream connect error or disconnect/reset before headers"
    )
    plain = rule(trafficPolicy={"tls": {"mode": "DISABLE"}})

    assert of_mesh(plain, peer("STRICT"), SERVICE, server(), objects, logs=logs) == [
        ("DestinationRule/shop/api", "MutualTlsConflict")
    ]
    assert (
        of_mesh(
            rule(trafficPolicy={"tls": {"mode": "ISTIO_MUTUAL"}}),
            peer("STRICT"),
            SERVICE,
            server(),
            objects,
            logs=logs,
        )
        == []
    )


def test_an_injected_fault_and_an_overflowing_pool_are_told_where_somebody_complains():
    faulty = virtual(
        http=[
            {
                "fault": {"abort": {"httpStatus": 503, "percentage": {"value": 100}}},
                "route": [{"destination": {"host": "api"}}],
            }
        ]
    )
    objects, logs = client("GET http://api:8080/x: 503 fault filter abort")
    assert of_mesh(faulty, SERVICE, server(), objects, logs=logs) == [
        ("VirtualService/shop/api", "FaultInjected")
    ]
    assert of_mesh(faulty, SERVICE, server()) == []

    small = rule(trafficPolicy={"connectionPool": {"http": {"http1MaxPendingRequests": 1}}})
    objects, logs = client(
        "GET http://api:8080/x: 503 upstream connect error or disconnect/reset before headers. reset reason: overflow"
    )
    assert of_mesh(small, SERVICE, server(), objects, logs=logs) == [
        ("DestinationRule/shop/api", "ConnectionPoolOverflow")
    ]


def test_a_refusal_that_a_ready_program_has_long_done_without_is_no_fault():
    inside = [container(env=env(API_URL="http://api:8080")), container("istio-proxy")]
    objects = deployment("desk", containers=inside)
    shut = policy("DENY", whence(namespaces=["shop"]))

    def asked(*minutes: float):
        said = [f"{ago(m)} {DENIED}" for m in minutes]
        text = "\n".join([*said, *(f"{ago(40 - n)} INFO served {n}" for n in range(38))])
        logs = [log(pods_in(objects)[0], text)]
        return causes(
            shut, SERVICE, server(), objects, target="Deployment/shop/desk", onset=moment(10), logs=logs
        )

    assert "AuthorizationDenied" not in [c.reason for c in asked(599, 130, 70, 15).ranked]
    assert "AuthorizationDenied" in [c.reason for c in asked(12, 8, 4).ranked]
