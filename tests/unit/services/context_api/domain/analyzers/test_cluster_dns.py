"""Cluster DNS: a Corefile that cannot be read or serves too little, upstreams, and pods that ask somebody else."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import cluster_dns
from tests.support.kube import (
    Doc,
    config_map,
    container,
    crashing,
    deployment,
    edit,
    env,
    log,
    pods_in,
    running,
    service,
    thing,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

USUAL = """.:53 {
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
    }
    forward . /etc/resolv.conf
    loop
    reload
}
"""
MISSED = "FATAL: lookup orders.shop.svc.cluster.local on 10.96.0.10:53: no such host"
OUTSIDE = "FATAL: getaddrinfo EAI_AGAIN api.partner.example.com"
DOWN = [crashing("coredns")]


def dns(corefile: str = USUAL, *, statuses=None, edited: bool = False) -> list[Doc]:
    """Cluster DNS as Kubernetes' own manifests make it."""
    server = deployment(
        "coredns", "kube-system", containers=[container("coredns", args=["-conf", "/etc/coredns/Corefile"])],
        statuses=statuses or [running("coredns")], labels={"k8s-app": "kube-dns"},
        spec={"volumes": [{"name": "c", "configMap": {"name": "coredns", "items": [{"key": "Corefile"}]}}]},
    )  # fmt: skip
    config = config_map(
        "coredns",
        "kube-system",
        data={"Corefile": corefile},
        edits=[edit(25, "data/Corefile")] if edited else [],
    )
    front = service(
        "kube-dns", "kube-system", selector={"k8s-app": "kube-dns"}, port=53, address="10.96.0.10",
        ready=0 if statuses else 2, not_ready=2 if statuses else 0,
    )  # fmt: skip
    return [*server, config, *front]


def client(line: str = MISSED, **spec) -> tuple[list[Doc], list]:
    """A workload that ends because it cannot look up a name."""
    api = deployment(
        "api", containers=[container(env=env(ORDERS="http://orders.shop.svc.cluster.local:80"))],
        statuses=[crashing()], spec=spec,
    )  # fmt: skip
    orders = [*deployment("orders"), *service("orders", ready=2)]
    return [*api, *orders], [log(pods_in(api)[0], line)]


def server_log(objects: list[Doc], text: str):
    return log(
        next(p for p in pods_in(objects) if "coredns" in p["metadata"]["name"]), text, container="coredns"
    )


CONFIG = "ConfigMap/kube-system/coredns"


def test_a_corefile_that_cannot_be_read_explains_dns_and_who_needs_it():
    typo = USUAL.replace("forward", "forwrad")
    objects, logs = client()
    objects += dns(typo, statuses=DOWN)
    logs.append(
        server_log(objects, "/etc/coredns/Corefile:6 - Error during parsing: Unknown directive 'forwrad'")
    )

    answer = causes(objects, target="Deployment/shop/api", logs=logs)

    assert first(answer) == (CONFIG, "CorefileInvalid")
    for words in ("line 6", "forwrad"):
        assert words in answer.ranked[0].text
    assert {
        "Deployment/shop/api: CrashLoopBackOff",
        "Deployment/kube-system/coredns: CrashLoopBackOff",
    } <= set(answer.ranked[0].explains)


def test_an_edit_that_broke_it_stays_the_cause_and_is_told_with_what_it_broke():
    objects, logs = client()
    objects += dns(USUAL.replace("forward", "forwrad"), statuses=DOWN, edited=True)
    logs.append(
        server_log(objects, "/etc/coredns/Corefile:6 - Error during parsing: Unknown directive 'forwrad'")
    )

    best = causes(objects, target="Deployment/shop/api", logs=logs).ranked[0]

    assert str(best.target) == CONFIG
    assert "forwrad" in best.text


def test_a_corefile_whose_braces_do_not_fit_needs_no_log_to_be_told():
    objects, logs = client()

    answer = causes(objects, dns(USUAL.rstrip("}\n"), statuses=DOWN), target="Deployment/shop/api", logs=logs)

    assert first(answer) == (CONFIG, "CorefileInvalid")
    assert "never closed" in answer.ranked[0].text


@pytest.mark.parametrize(
    ("corefile", "words"),
    [
        (USUAL.replace("kubernetes cluster.local", "kubernetes corp.local"), "serves corp.local"),
        (".:53 {\n  errors\n  forward . /etc/resolv.conf\n}\n", "no `kubernetes` plugin"),
    ],
)
def test_dns_that_is_well_and_serves_another_domain_is_the_cause(corefile: str, words: str):
    objects, logs = client()

    answer = causes(objects, dns(corefile), target="Deployment/shop/api", logs=logs)

    assert first(answer) == (CONFIG, "CorefileLacksClusterZone")
    assert words in answer.ranked[0].text


def test_an_upstream_that_does_not_answer_is_the_cause_of_missing_outside_names():
    objects, logs = client(OUTSIDE)
    objects += dns(USUAL.replace("/etc/resolv.conf", "10.9.8.7"), edited=True)
    logs.append(
        server_log(
            objects,
            "[ERROR] plugin/errors: 2 api.partner.example.com. A: read udp 10.244.0.5:39813->10.9.8.7:53: i/o timeout",
        )
    )

    answer = causes(objects, target="Deployment/shop/api", logs=logs)

    assert first(answer) == (CONFIG, "DnsUpstreamUnreachable")
    assert "10.9.8.7, named in its Corefile" in answer.ranked[0].text


def test_an_upstream_that_only_logs_name_is_no_cause_while_everything_runs():
    api = deployment("api")
    objects = [*api, *dns()]
    logs = [
        log(pods_in(api)[0], OUTSIDE),
        server_log(
            objects,
            "[ERROR] plugin/errors: 2 api.partner.example.com. A: read udp 10.2.0.5:1->10.0.0.2:53: i/o timeout",
        ),
    ]

    assert all(o.latent for o in seen(cluster_dns, objects, logs=logs))
    assert causes(objects, target="Deployment/shop/api", logs=logs).no_cause


def test_a_forwarding_loop_ends_dns():
    objects, logs = client()
    objects += dns(statuses=DOWN)
    logs.append(
        server_log(
            objects, '[FATAL] plugin/loop: Loop (127.0.0.1:34614 -> :53) detected for zone ".", see docs'
        )
    )

    assert first(causes(objects, target="Deployment/shop/api", logs=logs)) == (CONFIG, "DnsLoop")


def test_dns_that_is_down_for_another_reason_is_told_by_that_reason():
    objects, logs = client()
    objects += dns(statuses=[crashing("coredns", 137, reason="OOMKilled")])

    assert first(causes(objects, target="Deployment/shop/api", logs=logs)) == (
        "Deployment/kube-system/coredns",
        "OOMKilled",
    )


def test_a_service_of_another_name_is_found_by_its_label():
    objects, logs = client()
    made = dns(statuses=[crashing("coredns", 137, reason="OOMKilled")])
    for doc in made:
        if doc["kind"] == "Service":
            doc["metadata"].update(name="rke2-coredns", labels={"k8s-app": "kube-dns"})
    made = [d for d in made if d["kind"] != "EndpointSlice"]

    assert first(causes(objects, made, target="Deployment/shop/api", logs=logs))[1] == "OOMKilled"


def test_a_missing_dns_service_is_told_about_the_server():
    objects, logs = client()
    made = [d for d in dns() if d["kind"] not in ("Service", "EndpointSlice")]

    answer = causes(objects, made, service("metrics", "kube-system"), target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Deployment/kube-system/coredns", "DnsServiceMissing")


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"hostNetwork": True}, "ClusterFirstWithHostNet"),
        ({"dnsPolicy": "Default"}, "dnsPolicy Default"),
        ({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.0.0.2"]}}, "10.0.0.2"),
    ],
)
def test_a_pod_whose_policy_asks_somebody_else_is_its_own_cause(spec, words: str):
    objects, logs = client(**spec)

    answer = causes(objects, dns(), target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Deployment/shop/api", "DnsPolicyMissesCluster")
    assert words in answer.ranked[0].text


@pytest.mark.parametrize(
    ("line", "spec"),
    [
        (OUTSIDE, {"hostNetwork": True}),
        (MISSED, {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}),
        (MISSED, {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["10.96.0.10"]}}),
        (MISSED, {}),
    ],
    ids=["an outside name", "asks cluster DNS", "asks it by address", "the usual policy"],
)
def test_policies_that_reach_cluster_dns_are_no_findings(line: str, spec):
    objects, logs = client(line, **spec)

    assert said(seen(cluster_dns, objects, dns(), logs=logs)) == []


def test_an_old_parsing_error_about_a_line_that_has_been_corrected_is_history():
    objects, logs = client("FATAL: cannot parse order 7")
    objects += dns()
    logs.append(
        server_log(
            objects, "[ERROR] Restart failed: Corefile:6 - Error during parsing: Unknown directive 'forwrad'"
        )
    )

    assert said(seen(cluster_dns, objects, logs=logs)) == []


def test_an_upstream_nobody_misses_is_no_finding():
    objects, logs = client("FATAL: cannot parse order 7")
    objects += dns()
    logs.append(
        server_log(
            objects,
            "[ERROR] plugin/errors: 2 x.example.com. A: read udp 10.2.0.5:1->10.0.0.2:53: i/o timeout",
        )
    )

    assert said(seen(cluster_dns, objects, logs=logs)) == []


def test_a_plugin_of_ones_own_build_is_no_fault_while_dns_is_well():
    extended = USUAL.replace("    errors\n", "    errors\n    netbox\n")

    assert said(seen(cluster_dns, dns(extended), thing("Namespace", "shop", None))) == []
