"""Rules of a mesh that lead nowhere, and rules that refuse what somebody misses."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.context_api.domain.analyzers import mesh_rule
from services.context_api.domain.scene import Scene
from services.context_api.domain.snapshot import ContainerLog
from services.context_api.domain.triage import observe
from tests.support.kube import (
    Doc,
    container,
    deployment,
    edit,
    env,
    event,
    log,
    pods_in,
    running,
    service,
    snapshot,
    thing,
)
from tests.support.triage import causes, first, said

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

NET, SEC = "networking.istio.io/v1", "security.istio.io/v1"
SERVICE = service("api", port=8080, ready=2)


def server(*, proxied: bool = True, version: str = "v1") -> list[Doc]:
    inside = [container(), *([container("istio-proxy")] if proxied else [])]
    return deployment("api", containers=inside, labels={"app": "api", "version": version})


def client(line: str, *, proxied: bool = True) -> tuple[list[Doc], list[ContainerLog]]:
    """A workload that is not ready and says why."""
    probe = {"httpGet": {"path": "/", "port": 80}}
    inside = [container(env=env(API_URL="http://api:8080"), readinessProbe=probe)]
    states = [running(ready=False)]
    if proxied:
        inside, states = [*inside, container("istio-proxy")], [*states, running("istio-proxy")]
    objects = deployment("desk", containers=inside, statuses=states)
    told = [
        event(p, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
        for p in pods_in(objects)
    ]
    return [*objects, *told], [log(p, line) for p in pods_in(objects)]


def of_mesh(*objects: object, logs: Sequence[ContainerLog] = ()) -> list[tuple[str, str]]:
    everything = observe(Scene(snapshot(*objects, logs=logs)))
    return said([o for o in everything if o.analyzer == mesh_rule.NAME])


def virtual(*destinations: Doc, **spec: object) -> Doc:
    return thing(
        "VirtualService",
        "api",
        api=NET,
        spec={"hosts": ["api"], "http": [{"route": list(destinations)}], **spec},
    )


def to(subset: str, weight: int | None = None) -> Doc:
    return {
        "destination": {"host": "api", "subset": subset},
        **({} if weight is None else {"weight": weight}),
    }


def rule(*subsets: str, **spec: object) -> Doc:
    return thing("DestinationRule", "api", api=NET, spec={"host": "api.shop.svc.cluster.local", "subsets": [{"name": s, "labels": {"version": s}} for s in subsets], **spec})  # fmt: skip


def test_a_subset_nobody_defines_is_the_routes_fault():
    assert of_mesh(virtual(to("v3")), rule("v1"), SERVICE, server()) == [
        ("VirtualService/shop/api", "SubsetNotDefined")
    ]


def test_a_subset_no_pod_carries_is_the_destination_rules_fault():
    assert of_mesh(virtual(to("v2")), rule("v1", "v2"), SERVICE, server()) == [
        ("DestinationRule/shop/api", "SubsetWithoutPods")
    ]


def test_it_is_the_routes_when_that_was_changed_last():
    moved = virtual(to("v2"))
    moved["metadata"]["managedFields"] = [edit(9, "spec/http")]

    assert of_mesh(moved, rule("v1", "v2"), SERVICE, server()) == [
        ("VirtualService/shop/api", "SubsetWithoutPods")
    ]


@pytest.mark.parametrize(
    "objects",
    [
        [virtual(to("v1")), rule("v1"), SERVICE, server()],
        [virtual(to("v1", 100), to("v2", 0)), rule("v1", "v2"), SERVICE, server()],
        [virtual({"destination": {"host": "api"}}), SERVICE, server()],
        [virtual({"destination": {"host": "partner.example.com", "subset": "x"}}), SERVICE, server()],
        [virtual(to("v2")), rule("v1", "v2"), SERVICE],
    ],
    ids=["served", "idle-weight", "no-subset", "outside", "pods-not-recorded"],
)
def test_routes_that_lead_somewhere_are_no_findings(objects: list[object]):
    assert of_mesh(*objects) == []


def test_a_gateway_that_does_not_exist_and_one_without_proxies_are_told():
    proxy = deployment("ingress", "istio-system", labels={"istio": "ingressgateway"})
    public = thing("Gateway", "public", api=NET, spec={"selector": {"istio": "ingresgateway"}, "servers": []})

    found = of_mesh(virtual(gateways=["edge", "mesh"]), public, proxy, SERVICE, server())

    assert sorted(found) == [
        ("Gateway/shop/public", "GatewayWithoutPods"),
        ("VirtualService/shop/api", "GatewayNotFound"),
    ]
    public["spec"]["selector"] = {"istio": "ingressgateway"}
    assert of_mesh(virtual(gateways=["public"]), public, proxy, SERVICE, server()) == []


def policy(action: str = "ALLOW", *rules: Doc, selector: Doc | None = None) -> Doc:
    spec = {"action": action, "rules": list(rules), "selector": {"matchLabels": selector or {"app": "api"}}}
    return thing("AuthorizationPolicy", "access", api=SEC, spec=spec)


def whence(**source: list[str]) -> Doc:
    return {"from": [{"source": source}]}


DENIED = "GET http://api:8080/x answered 403: RBAC: access denied"
MINE = "cluster.local/ns/shop/sa/default"


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


RESET = "GET http://api:8080/x: read: connection reset by peer"


def peer(mode: str, name: str = "default", namespace: str = "shop", **selector: Doc) -> Doc:
    return thing("PeerAuthentication", name, namespace, api=SEC, spec={"mtls": {"mode": mode}, **selector})


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


def test_a_destination_rule_for_nothing_is_harmless():
    lost = thing("DestinationRule", "api", api=NET, spec={"host": "apy"})

    assert causes(lost, SERVICE, server()).no_cause


@pytest.mark.parametrize(
    ("listens", "found"),
    [
        (["shop.example.org"], [("VirtualService/shop/api", "HostnameNotServed")]),
        (["*.example.org", "./other.example.com"], [("VirtualService/shop/api", "HostnameNotServed")]),
        (["shop.example.com"], []),
        (["*"], []),
        (["*/*.example.com"], []),
    ],
)
def test_a_host_no_server_of_the_gateway_listens_for_is_told(
    listens: list[str], found: list[tuple[str, str]]
):
    public = thing("Gateway", "public", api=NET, spec={"servers": [{"hosts": listens}]})
    outside = virtual({"destination": {"host": "api"}}, hosts=["shop.example.com"], gateways=["public"])

    assert of_mesh(public, outside, SERVICE, server()) == found
