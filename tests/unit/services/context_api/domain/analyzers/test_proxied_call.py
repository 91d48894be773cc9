"""Calls inside the cluster that go out through a proxy."""

from __future__ import annotations

import pytest

from tests.support.kube import (
    ago,
    applied,
    config_map,
    container,
    deployment,
    edit,
    env,
    log,
    pods_in,
    service,
)
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

PROXY = "http://out.egress.svc.cluster.local:3128"
LEFT_OUT = "localhost,.intra.example.com"
COVERED = "localhost,.svc.cluster.local"
SQUID = "ERROR no answer url=http://rates.shop.svc.cluster.local:80/today status=403 server=squid/6.12"
PLAIN = "ERROR no answer url=http://rates.shop.svc.cluster.local:80/today status=503"
RATES = [service("rates", ready=2), deployment("rates")]
OUT = [service("out", "egress", ready=2), deployment("out", "egress")]


def lines(words: str) -> str:
    return "\n".join(f"{ago(9 - n)} {words}" for n in range(6))


def settings(exceptions: str, **more):
    return config_map("outbound", data={"HTTP_PROXY": PROXY, "NO_PROXY": exceptions}, **more)


def web(pod_age: float = 20, **spec):
    given = spec or {"envFrom": [{"configMapRef": {"name": "outbound"}}]}
    return deployment("web", containers=[container(**given)], pod_age=pod_age)


def asked(*objects, line: str = SQUID, workload=None, out: str = ""):
    workload = workload or web()
    logs = [log(p, lines(line)) for p in pods_in(workload)]
    logs += [log(pods_in(OUT)[0], lines(out))] if out else []
    return causes(workload, RATES, OUT, *objects, target="Deployment/shop/web", logs=logs)


def reasons(answer) -> list[str]:
    return [one.reason for one in answer.ranked]


def test_a_list_that_lost_the_clusters_names_is_the_cause_from_the_next_start_on():
    before = applied({"data": {"HTTP_PROXY": PROXY, "NO_PROXY": COVERED}})
    edited = settings(LEFT_OUT, annotations=before, edits=[edit(300, "data/NO_PROXY")])

    answer = asked(edited)

    assert first(answer) == ("ConfigMap/shop/outbound", "ProxyNotExcepted")
    told = answer.ranked[0].text
    assert "does not except rates.shop.svc.cluster.local" in told
    assert f"NO_PROXY: `{COVERED}` → `{LEFT_OUT}`" in told


def test_the_proxys_own_log_makes_it_sure():
    quiet, heard = (
        next(
            o for o in asked(settings(LEFT_OUT), line=PLAIN, out=out).ranked if o.reason == "ProxyNotExcepted"
        )
        for out in ("", "TCP_DENIED/403 GET http://rates.shop.svc.cluster.local:80/today - HIER_NONE/-")
    )

    assert heard.confidence.value > quiet.confidence.value
    assert "TCP_DENIED" in heard.text


def test_variables_in_the_workload_itself_are_its_own_to_change():
    inline = web(env=env(HTTP_PROXY=PROXY, no_proxy="localhost"))

    assert first(asked(workload=inline)) == ("Deployment/shop/web", "ProxyNotExcepted")


@pytest.mark.parametrize(
    ("objects", "line", "workload"),
    [
        ((settings(COVERED),), SQUID, None),
        ((settings(LEFT_OUT, edits=[edit(5, "data/NO_PROXY")]),), SQUID, None),
        ((settings(LEFT_OUT),), "ERROR dial tcp 10.0.0.9:5432: i/o timeout", None),
        ((), SQUID, web(env=env(NO_PROXY="localhost"))),
    ],
    ids=[
        "the list covers it",
        "no pod has started since the edit",
        "no Service is complained about",
        "there is no proxy",
    ],
)
def test_a_call_that_no_proxy_takes_is_none_of_its_business(objects, line: str, workload):
    assert "ProxyNotExcepted" not in reasons(asked(*objects, line=line, workload=workload))


def test_an_alert_about_the_proxy_that_refuses_leads_to_who_misuses_it():
    caller = web()
    denied = "ERROR TCP_DENIED/403 GET http://rates.shop.svc.cluster.local:80/today - HIER_NONE/-"
    logs = [*(log(p, lines(SQUID)) for p in pods_in(caller)), *(log(p, lines(denied)) for p in pods_in(OUT))]

    answer = causes(caller, RATES, OUT, settings(LEFT_OUT), target="Deployment/egress/out", logs=logs)

    assert first(answer) == ("ConfigMap/shop/outbound", "ProxyNotExcepted")


def test_asked_about_the_whole_cluster_it_is_seen_though_every_pod_is_ready():
    caller = web()

    answer = causes(
        caller, RATES, OUT, settings(LEFT_OUT), logs=[log(p, lines(SQUID)) for p in pods_in(caller)]
    )

    assert first(answer) == ("ConfigMap/shop/outbound", "ProxyNotExcepted")
