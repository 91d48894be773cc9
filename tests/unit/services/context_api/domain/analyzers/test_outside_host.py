"""Hosts outside the cluster that fail a workload, and the setting that names them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kube import Doc, ago, config_map, container, deployment, env, log, pods_in, service, thing
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-007")

HOST = "rates.partner.example"
ANSWERS = f"ERROR lookup failed: 503 Service Unavailable for url: https://{HOST}/v1"
OUTER = thing("Service", "rates", spec={"type": "ExternalName", "externalName": HOST})


def lines(*texts: str, start: float = 12) -> str:
    return "\n".join(f"{ago(start - i)} {text}" for i in range(9) for text in texts)


def asked(*texts: str, used: Doc | None = None, more: tuple[object, ...] = (), **rollout: Any):
    """The answer about `web`, which complains about `api`, whose log says this."""
    web, api = deployment("web"), deployment("api", containers=[used or container()], **rollout)
    logs = [
        log(pods_in(web)[0], lines("ERROR GET http://api/quote: status 502")),
        log(pods_in(api)[0], lines(*texts)),
    ]
    return causes(web, api, service("api", ready=2), *more, target="Deployment/shop/web", logs=logs)


FROM_CONFIG = container(envFrom=[{"configMapRef": {"name": "conf"}}])


@pytest.mark.parametrize(
    ("used", "more", "named", "where"),
    [
        (container(), (OUTER,), "Service/shop/rates", "spec.externalName"),
        (FROM_CONFIG, (config_map("conf", RATES=f"https://{HOST}/v1"),), "ConfigMap/shop/conf", "key RATES"),
        (
            FROM_CONFIG,
            (config_map("conf", data={"a.yaml": f"x: 1\nrates.url: https://{HOST}/v1\n"}),),
            "ConfigMap/shop/conf",
            "key a.yaml (rates.url)",
        ),
        (
            container(env=env(RATES=f"https://{HOST}/v1")),
            (),
            "Deployment/shop/api",
            "env RATES of container app",
        ),
    ],
    ids=["an ExternalName Service", "a key", "a row of a file", "its environment"],
)
def test_what_names_a_host_outside_that_answers_with_errors_is_what_can_be_changed(
    used: Doc, more: tuple[object, ...], named: str, where: str
):
    answer = asked(ANSWERS, used=used, more=more)

    assert first(answer) == (named, "OutsideHostFails")
    assert where in answer.ranked[0].text
    assert (
        f"names {HOST}, a host outside the cluster, which answers 503 Service Unavailable"
        in answer.ranked[0].text
    )
    assert answer.ranked[0].path[-1] == "Deployment/shop/web"


def test_a_host_that_does_not_answer_is_less_sure():
    silent = asked(f"ERROR Get https://{HOST}/v1: context deadline exceeded", more=(OUTER,))

    assert first(silent) == ("Service/shop/rates", "OutsideHostFails")
    assert "does not answer" in silent.ranked[0].text
    assert silent.ranked[0].confidence.value < asked(ANSWERS, more=(OUTER,)).ranked[0].confidence.value


@pytest.mark.parametrize(
    "answer",
    [
        asked(ANSWERS),
        asked(ANSWERS.replace(HOST, "tax.partner.example"), more=(OUTER,)),
        asked(ANSWERS, used=container(image="api:2"), before=[container(image="api:1")], rolled_out=20, more=(OUTER,)),
        asked(f"INFO asked https://{HOST}/v1", "ERROR cart is empty", more=(OUTER,)),
        asked(f"ERROR Get https://{HOST}/v1: i/o timeout", "ERROR Get https://mail.example.net/: i/o timeout", more=(OUTER,)),
        asked(f"ERROR Get https://{HOST}/v1: lookup {HOST}: server misbehaving", more=(OUTER,)),
        asked(f"ERROR dial tcp: lookup {HOST} on 10.96.0.10:53: i/o timeout", more=(OUTER,)),
    ],
    ids=[
        "nobody readable names it", "another host", "rolled out just before", "no complaint about it",
        "nobody outside answers", "no name can be looked up", "DNS does not answer",
    ],
)  # fmt: skip
def test_hosts_that_are_not_why_are_not_named(answer):
    assert "OutsideHostFails" not in {c.reason for c in answer.ranked}


def test_a_complaint_that_has_ended_is_no_trouble():
    api = deployment("api", containers=[container(env=env(RATES=f"https://{HOST}/v1"))])
    logs = [log(pods_in(api)[0], lines(ANSWERS, start=50) + "\n" + lines("INFO quoted"))]

    assert causes(api, target="Deployment/shop/api", logs=logs).ranked == []


@pytest.mark.parametrize(
    "said", ["10.40.7.12:636", "directory.example.com:636"], ids=["by address", "by name"]
)
def test_an_address_that_the_pods_hosts_file_holds_is_what_can_be_changed(said: str):
    aliases = {"hostAliases": [{"ip": "10.40.7.12", "hostnames": ["directory.example.com"]}]}
    api = deployment("api", spec=aliases)
    told = log(pods_in(api)[0], lines(f"ERROR dial tcp {said}: i/o timeout"))
    answer = causes(api, target="Deployment/shop/api", logs=[told])

    assert first(answer) == ("Deployment/shop/api", "OutsideHostFails")
    assert "hostAliases (directory.example.com is 10.40.7.12)" in answer.ranked[0].text


def test_an_address_that_no_hosts_file_holds_leads_to_no_setting():
    api = deployment("api", spec={"hostAliases": [{"ip": "10.40.7.13", "hostnames": ["mail.example.com"]}]})
    told = log(pods_in(api)[0], lines("ERROR dial tcp 10.40.7.12:636: i/o timeout"))

    assert all(
        c.reason != "OutsideHostFails" for c in causes(api, target="Deployment/shop/api", logs=[told]).ranked
    )
