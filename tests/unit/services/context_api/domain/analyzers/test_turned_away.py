"""Requests that a route's own rules turn away in front of a Service that is well."""

from __future__ import annotations

import pytest

from tests.support.kube import ago, deployment, edit, log, moment, pods_in, service, thing, uid_of
from tests.support.triage import causes, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

LIMIT = "nginx.ingress.kubernetes.io/limit-rps"
API, EDGE = deployment("api"), deployment("edge", namespace="edge")
RULES = {
    "rules": [
        {"http": {"paths": [{"path": "/", "backend": {"service": {"name": "api", "port": {"number": 80}}}}]}}
    ]
}


def route(**annotations: str):
    return thing(
        "Ingress", "partners", api="networking.k8s.io/v1", spec=RULES, age=60 * 24 * 40,
        annotations={LIMIT: "40", "nginx.ingress.kubernetes.io/proxy-read-timeout": "15", **annotations},
        edits=[{**edit(60 * 24 * 30), "fieldsV1": {"f:metadata": {"f:annotations": {f"f:{LIMIT}": {}}}}}],
    )  # fmt: skip


LIMITED = f'[error] 33#33: *41 limiting requests, excess: 200.6 by zone "shop_partners_{uid_of("Ingress", "shop", "partners")}_rps", client: 10.0.0.1'


def asked(line: str, target: str = "Service/shop/api", count: int = 8, start: float = 9):
    text = "\n".join(f"{ago(start - n)} {line}" for n in range(count))
    return causes(
        API,
        EDGE,
        route(),
        service("api", ready=2),
        target=target,
        logs=[log(pods_in(EDGE)[0], text)],
    )


@pytest.mark.parametrize("target", ["Service/shop/api", "Deployment/shop/api", "Ingress/shop/partners"])
def test_a_route_whose_limit_is_met_is_named_with_the_setting_and_who_wrote_it(target: str):
    answer = asked(LIMITED, target)

    assert first(answer) == ("Ingress/shop/partners", "RequestsTurnedAway")
    assert f"{LIMIT}: 40` (written at" in answer.ranked[0].text
    assert "proxy-read-timeout" not in answer.ranked[0].text


@pytest.mark.parametrize(
    ("line", "count", "start"),
    [
        (LIMITED, 2, 9),
        (LIMITED, 8, 60),
        (LIMITED.replace(uid_of("Ingress", "shop", "partners"), uid_of("Ingress", "shop", "others")), 8, 9),
        ('[error] connect() failed (111: Connection refused) while connecting to upstream, ingress "shop/partners"', 8, 9),
        ('[warn] Error obtaining Endpoints for Service "shop/partners": no object matching key', 8, 9),
        ('200 "GET /limiting requests" shop/partners', 8, 9),
    ],
    ids=["now and then", "an hour ago", "another route", "nobody behind it", "no refusal", "no error"],
)  # fmt: skip
def test_what_turns_nobody_away_by_rule_is_not_named(line: str, count: int, start: float):
    answer = asked(line, count=count, start=start)

    assert all(c.reason != "RequestsTurnedAway" for c in answer.ranked)


def test_an_alert_about_something_else_does_not_hear_of_it():
    other = deployment("other")
    text = "\n".join(f"{ago(9 - n)} {LIMITED}" for n in range(8))
    answer = causes(
        API, EDGE, other, route(), service("api", ready=2),
        target="Deployment/shop/other", logs=[log(pods_in(EDGE)[0], text)],
    )  # fmt: skip

    assert answer.no_cause


def test_a_route_that_turned_as_many_away_long_before_the_alert_does_what_it_is_meant_to():
    text = "\n".join(f"{ago(90 - n)} {LIMITED}" for n in range(89))
    answer = causes(
        API, EDGE, route(), service("api", ready=2),
        target="Service/shop/api", onset=moment(8), logs=[log(pods_in(EDGE)[0], text)],
    )  # fmt: skip

    assert answer.no_cause
    assert [gap for gap in answer.not_looked_at if "it failed" in gap] == []
