"""Who uses up a quota for which another is refused."""

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
)
from tests.support.series import answered, recorded
from tests.support.triage import first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

HOST = "lookup.partner.example"
SENT = "sum by (namespace, pod, destination) (rate(egress_requests_total[5m]))"
REFUSED = (
    f'ERROR lookup failed: POST https://{HOST}/v1: status 429: Quota exceeded for limit "Lookups per day"'
)
API = deployment("api", containers=[container(env=env(LOOKUP=f"https://{HOST}"))])
TIDY = deployment(
    "tidy",
    pod_age=60 * 6,
    containers=[container(env=env(LOOKUP=f"https://{HOST}"), volumeMounts=[{"name": "c", "mountPath": "/etc/c"}])],
    spec={"volumes": [{"name": "c", "configMap": {"name": "conf"}}]},
)  # fmt: skip
OTHER = deployment("other", containers=[container(env=env(LOOKUP=f"https://{HOST}"))])


def sent(objects, rate: float):
    return recorded(
        SENT, [rate] * 30, namespace="shop", pod=pods_in(objects)[0]["metadata"]["name"], destination=HOST
    )


def asked(*objects, metrics, line: str = REFUSED):
    text = "\n".join(f"{ago(9 - n)} {line}" for n in range(8))
    return answered("Deployment/shop/api", API, *objects, metrics=metrics, logs=[log(pods_in(API)[0], text)])


def test_the_caller_that_sends_most_is_named():
    answer = asked(TIDY, OTHER, metrics=[sent(API, 1), sent(TIDY, 25), sent(OTHER, 1)])

    assert first(answer) == ("Deployment/shop/tidy", "UsesUpSharedQuota")
    assert "sends 93% of the requests" in answer.ranked[0].text
    assert "Quota exceeded" in answer.ranked[0].text


def test_what_was_edited_before_it_started_is_what_a_person_would_put_back():
    conf = config_map(
        "conf", data={"a.yaml": "x: 1\nscope: all\n"}, edits=[edit(60 * 12, "data/a.yaml")],
        annotations=applied(config_map("conf", data={"a.yaml": "x: 1\nscope: changed\n"})),
    )  # fmt: skip
    answer = asked(TIDY, conf, metrics=[sent(API, 1), sent(TIDY, 25)])

    assert first(answer) == ("ConfigMap/shop/conf", "UsesUpSharedQuota")
    assert "`scope: changed` → `scope: all`" in answer.ranked[0].text


def test_an_edit_that_no_pod_of_the_caller_has_read_yet_is_left_alone():
    conf = config_map("conf", data={"a.yaml": "scope: all\n"}, edits=[edit(5, "data/a.yaml")])
    answer = asked(TIDY, conf, metrics=[sent(API, 1), sent(TIDY, 25)])

    assert first(answer) == ("Deployment/shop/tidy", "UsesUpSharedQuota")


def test_without_metrics_the_one_other_caller_is_a_lead():
    answer = asked(TIDY, metrics=[])

    assert "UsesUpSharedQuota" in [f.reason for f in answer.findings]


@pytest.mark.parametrize(
    ("metrics", "line"),
    [
        ([sent(API, 25), sent(TIDY, 1)], REFUSED),
        ([sent(API, 10), sent(TIDY, 10)], REFUSED),
        ([sent(API, 1), sent(TIDY, 25)], f"ERROR POST https://{HOST}/v1: status 503 Service Unavailable"),
    ],
    ids=["it sends most itself", "nobody sends most", "another refusal"],
)
def test_nobody_else_is_blamed(metrics, line: str):
    answer = asked(TIDY, OTHER, metrics=metrics, line=line)

    assert all(c.reason != "UsesUpSharedQuota" for c in answer.ranked)
