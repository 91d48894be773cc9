"""A dependency that runs and was changed just before its client complained."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import dependency_change
from tests.support.kube import (
    applied,
    config_map,
    container,
    crashing,
    deployment,
    edit,
    env,
    event,
    log,
    pods_in,
    service,
    stateful_set,
    thing,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007")


def client(line: str):
    objects = deployment(
        "api", containers=[container(env=env(DB="db.shop-data:5432"))], statuses=[crashing()]
    )
    return objects, [log(pods_in(objects)[0], line)]


def database(minutes: float = 25):
    uses = container(
        "db",
        env=[
            {
                "name": "POSTGRES_PASSWORD",
                "valueFrom": {"secretKeyRef": {"name": "db-creds", "key": "password"}},
            }
        ],
    )
    secret = thing(
        "Secret", "db-creds", "shop-data", edits=[edit(minutes, "data/password", by="vault-agent")]
    )
    return [stateful_set("db", containers=[uses]), service("db", "shop-data", port=5432, ready=1), secret]


AUTH = 'connect to db.shop-data:5432: FATAL: password authentication failed for user "api"'


def test_a_password_rotated_on_the_servers_side_is_the_lead_for_a_client_that_is_refused():
    api, logs = client(AUTH)

    answer = causes(api, database(), target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Secret/shop-data/db-creds", "DependencyChangedBeforeOnset")
    assert "vault-agent" in answer.ranked[0].text


def test_an_edit_of_the_service_itself_is_a_lead():
    api, logs = client("dial db.shop-data:5432: connection refused")
    objects = [
        stateful_set("db"),
        service("db", "shop-data", port=5432, ready=1, edits=[edit(25, "spec/ports")]),
    ]

    assert said(seen(dependency_change, api, objects, logs=logs)) == [
        ("Service/shop-data/db", "DependencyChangedBeforeOnset")
    ]


@pytest.mark.parametrize(
    ("line", "minutes"),
    [(AUTH, 300), ("FATAL: out of cheese", 25)],
    ids=["changed long ago", "the client complains about something else"],
)
def test_other_times_and_other_complaints_lead_nowhere(line: str, minutes: float):
    api, logs = client(line)

    assert seen(dependency_change, api, database(minutes), logs=logs) == []


COREFILE = ".:53 {{\n    forward . {}\n    reload\n}}\n"
LOOKUP = "dial tcp: lookup feed.example.net on 10.96.0.10:53: server misbehaving"


def resolver(minutes: float = 25, ready: bool = True):
    """Cluster DNS that runs and whose forward address was edited."""
    volume = {"name": "c", "configMap": {"name": "coredns"}}
    dns = deployment(
        "coredns", "kube-system", labels={"k8s-app": "kube-dns"}, containers=[container("coredns")],
        spec={"volumes": [volume]}, statuses=None if ready else [crashing("coredns")],
    )  # fmt: skip
    config = config_map(
        "coredns", "kube-system", data={"Corefile": COREFILE.format("10.9.0.35")}, edits=[edit(minutes, "data/Corefile")],
        annotations=applied({"data": {"Corefile": COREFILE.format("10.9.0.53")}}),
    )  # fmt: skip
    kube_dns = service("kube-dns", "kube-system", selector={"k8s-app": "kube-dns"}, port=53, ready=1)
    return [dns, config, kube_dns]


def asking(name: str, line: str = LOOKUP):
    objects = deployment(name, containers=[container()], statuses=[crashing()])
    return objects, [log(pods_in(objects)[0], line)]


def test_an_edit_of_cluster_dns_is_the_lead_for_clients_whose_names_are_not_found():
    (web, web_logs), (jobs, job_logs) = asking("web"), asking("jobs")

    answer = causes(web, jobs, resolver(), target="Deployment/shop/web", logs=[*web_logs, *job_logs])

    assert first(answer) == ("ConfigMap/kube-system/coredns", "DependencyChangedBeforeOnset")
    assert "`forward . 10.9.0.53` → `forward . 10.9.0.35`" in answer.ranked[0].text
    assert "Deployment shop/jobs" in answer.ranked[0].text
    assert any("2 clients complain alike" in basis for basis in answer.ranked[0].confidence.basis)


def test_a_dependency_whose_own_log_names_what_was_changed_makes_it_surer():
    web, logs = asking("web")
    dns = resolver()
    own = log(
        pods_in(dns[0])[0],
        "[ERROR] plugin/errors: read udp 10.244.0.3:4->10.9.0.35:53: i/o timeout",
        container="coredns",
    )

    (alone,) = seen(dependency_change, web, dns, logs=logs)
    (confirmed,) = seen(dependency_change, web, dns, logs=[*logs, own])

    assert confirmed.certainty > alone.certainty
    assert "10.9.0.35:53: i/o timeout" in confirmed.text


@pytest.mark.parametrize(
    ("line", "minutes"),
    [("dial tcp 10.0.0.7:443: connect: connection refused", 25), (LOOKUP, 300)],
    ids=["the name was found", "edited long ago"],
)
def test_cluster_dns_is_no_lead_for_other_trouble_or_after_a_long_time(line: str, minutes: float):
    web, logs = asking("web", line)

    assert seen(dependency_change, web, resolver(minutes), logs=logs) == []


def scaled(minutes: float = 25, by: str = "kubectl-scale", before: int = 6, now: int = 1):
    return [
        *deployment("pay", replicas=now, edits=[edit(minutes, "spec/replicas", by=by)]),
        event(
            deployment("pay")[0],
            "ScalingReplicaSet",
            f"Scaled down replica set pay-7c to {now} from {before}",
            last=minutes,
        ),
    ]


SLOW = "ERROR POST http://pay/charge: no answer within 900 ms"


def test_a_dependency_that_was_given_fewer_replicas_is_the_lead_though_all_of_them_are_ready():
    api, logs = client(SLOW)

    answer = causes(api, scaled(), service("pay", ready=1), target="Deployment/shop/api", logs=logs)

    assert first(answer) == ("Deployment/shop/pay", "DependencyChangedBeforeOnset")
    assert "spec.replicas: `6` → `1`" in answer.ranked[0].text


@pytest.mark.parametrize(
    "objects",
    [scaled(minutes=300), scaled(by="kube-controller-manager"), scaled(before=1, now=3)],
    ids=["long ago", "by an autoscaler", "more than before"],
)
def test_other_numbers_of_replicas_are_no_lead(objects: list[object]):
    api, logs = client(SLOW)

    assert seen(dependency_change, api, objects, service("pay", ready=1), logs=logs) == []
