"""Burn rates and error ratios: the alert is true, though every object looks well."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.contracts.target import Target
from services.context_api.domain.snapshot import MetricAnswer
from services.context_api.domain.triage import find_causes
from tests.support.kube import NOW, container, crashing, deployment, env, log, pods_in, service, snapshot
from tests.support.series import recorded
from tests.support.triage import first

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-009")

RATIO = 'sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))'


def measured(query: str, value: float, **labels: str) -> MetricAnswer:
    named = {"namespace": "shop", "service": "api", **labels}
    return MetricAnswer(
        query,
        "instant",
        NOW,
        {"resultType": "vector", "result": [{"metric": named, "value": [NOW.timestamp(), str(value)]}]},
    )


def asked(*metrics: MetricAnswer, objects=(), logs=(), target: str | None = "Service/shop/api"):
    whole = snapshot(deployment("api"), service("api", ready=2), *objects, logs=logs)
    return find_causes(replace(whole, metrics=list(metrics)), target=Target.parse(target) if target else None)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (measured("slo:current_burn_rate:ratio", 20), "burns fast: at 20 times"),
        (measured("slo:current_burn_rate:ratio", 7), "burns slowly"),
        (measured(RATIO, 0.31), "31.0% of its requests fail"),
    ],
)
def test_a_service_that_fails_its_callers_is_told_though_its_objects_are_well(metric, words: str):
    answer = asked(metric)

    assert first(answer) == ("Service/shop/api", "ErrorBudgetBurning")
    assert words in answer.ranked[0].text


@pytest.mark.parametrize(
    "metric",
    [
        measured("slo:current_burn_rate:ratio", 0.8),
        measured(RATIO, 0.001),
        measured("rate(http_requests_total[5m])", 20),
        measured("slo:current_burn_rate:ratio", 20, service="other"),
    ],
    ids=["within budget", "few errors", "requests", "another service"],
)
def test_budgets_that_last_are_no_finding(metric):
    assert asked(metric).no_cause


def test_why_it_fails_is_the_cause_rather_than_that_it_does():
    web = deployment("web", containers=[container(env=env(API="http://pay:80"))])
    pay = deployment("pay", statuses=[crashing(code=137, reason="OOMKilled")])
    logs = [log(pods_in(web)[0], "GET http://pay:80/charge failed: connection refused")]
    objects = [web, service("web", ready=2), pay, service("pay", not_ready=2)]

    answer = asked(measured(RATIO, 0.4, service="web"), objects=objects, logs=logs, target="Service/shop/web")

    assert first(answer) == ("Deployment/shop/pay", "OOMKilled")


def test_nobody_asked_so_it_is_no_cause():
    assert asked(measured(RATIO, 0.31), target=None).no_cause


def test_a_share_of_failed_outcomes_is_told_like_one_of_status_codes():
    query = 'sum(rate(sent_total{outcome="failed"}[2m])) / sum(rate(sent_total[2m]))'

    assert "12.0% of its requests fail" in asked(measured(query, 0.12)).ranked[0].text


OF_QUARTER = RATIO.replace("[5m]", "[15m]").replace("rate(", "increase(")
COUNT = "sum(increase(http_requests_total[15m]))"


def test_a_share_of_a_handful_burns_no_budget():
    assert asked(measured(OF_QUARTER, 0.5), measured(COUNT, 4)).no_cause


@pytest.mark.parametrize(
    "count",
    [measured(COUNT, 4000), measured(COUNT, 4, service="other"), measured(COUNT.replace("15m", "1m"), 4)],
    ids=["of many", "another's are few", "few in a minute"],
)
def test_a_share_of_many_or_of_nobody_knows_how_many_does(count):
    answer = asked(measured(OF_QUARTER, 0.5), count)

    assert first(answer) == ("Service/shop/api", "ErrorBudgetBurning")


def ratio(values) -> MetricAnswer:
    return recorded(RATIO, values, 3600.0, namespace="shop", service="api")


@pytest.mark.parametrize(
    "metric",
    [ratio([0.31, 0.3] * 36), recorded("slo:current_burn_rate:ratio", [20.0, 19.0] * 36, 3600.0, namespace="shop", service="api")],
    ids=["a third fails", "its budget burns"],
)  # fmt: skip
def test_what_breaks_any_objective_is_told_though_it_has_for_days(metric):
    assert first(asked(metric)) == ("Service/shop/api", "ErrorBudgetBurning")


def test_a_share_that_is_new_today_is_told():
    assert first(asked(ratio([0.01] * 71 + [0.07]))) == ("Service/shop/api", "ErrorBudgetBurning")
