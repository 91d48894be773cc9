"""Advice stands on the cause where there is one, and says why where there is none."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import pytest

from libs.contracts.analysis import StrategyRequest
from libs.contracts.causes import CausesAnswer, Confidence, NoCause, Remediation
from libs.contracts.context import Resolution
from services.holmesgpt_api.domain.clusters import Clusters
from services.holmesgpt_api.domain.errors import Impossible, NotNow, NotReadable
from services.holmesgpt_api.steps import advise
from services.holmesgpt_api.steps.advise import Advising
from tests.fakes.evidence import ScriptedEvidence
from tests.support.clock import Clock
from tests.support.investigations import CHECKOUT, CONFIG, caller, cause, found, nothing

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-011", "HAPI-029")

LONG = timedelta(seconds=10)
URL, OTHER = "http://context", "http://context-eu"
ONE = Clusters(URL)
TWO = Clusters(URL, {"eu": OTHER})
NOBODY = Resolution(target=None, owner=None, exists=False, reason="no-labels", detail="they name no pod")


def request(**alert: Any) -> StrategyRequest:
    context = {"name": "A", "labels": {"namespace": "shop", "pod": "p"}, "severity": "critical", **alert}
    offered = [{"name": "restart", "success_rate": 0.9}, {"name": "rollback", "success_rate": 0.8}]
    return StrategyRequest.model_validate({"alert_context": context, "available_strategies": offered})


def evidence(
    answer: CausesAnswer | Exception | None = None, resolution: Resolution | Exception | None = None
) -> ScriptedEvidence:
    there = Resolution(target=CHECKOUT, owner=CHECKOUT, exists=True, reason="label:pod")
    return ScriptedEvidence([answer or found()], [resolution or there])


def advising(script: ScriptedEvidence, clusters: Clusters = ONE) -> Advising:
    return Advising(
        clusters, {URL: script}, patience=LONG, sync_answer_timeout=timedelta(seconds=25), now=Clock()
    )


async def test_the_cause_is_asked_for_as_the_alert_says_and_decides():
    script = evidence()
    answer = await advising(script).advise(request(), caller(), None)

    assert answer.optimal_strategy.name == "rollback"
    assert (answer.degraded_reason, answer.target) == (None, CHECKOUT)
    assert [what for what, _ in script.calls] == ["resolve", "causes"]
    assert script.calls[0][1]["labels"]["alertname"] == "A"
    assert script.calls[1][1]["priority"] == "critical"


@pytest.mark.parametrize(
    ("script", "word"),
    [
        (evidence(NotNow("context-unavailable", "away")), "context-unavailable"),
        (evidence(resolution=Impossible("context-refused", "no")), "context-refused"),
        (evidence(resolution=NOBODY), "no-target"),
    ],
)
async def test_what_keeps_us_from_the_cause_is_a_word_in_the_answer(script: ScriptedEvidence, word: str):
    answer = await advising(script).advise(request(), caller(), None)

    assert (answer.degraded_reason, answer.cause) == (word, None)
    assert answer.optimal_strategy.name == "restart"
    assert answer.degraded_detail
    assert answer.degraded_detail in answer.optimal_strategy.justification


async def test_a_target_without_a_cause_is_no_degradation():
    answer = await advising(evidence(nothing(NoCause.nothing_wrong))).advise(request(), caller(), None)

    assert (answer.degraded_reason, answer.cause, answer.target) == (None, None, CHECKOUT)
    assert "nothing-wrong" in answer.optimal_strategy.justification


async def test_two_questions_fit_into_what_the_caller_has():
    script = evidence()
    await advising(script).advise(request(), caller(), timedelta(seconds=4.5))

    assert {asked["deadline"] for _, asked in script.calls} == {timedelta(seconds=2)}


@pytest.mark.requirement("HAPI-130")
async def test_what_was_spent_before_is_not_there_for_the_questions():
    script = evidence()
    await advising(script).advise(request(), caller(), None, spent=timedelta(seconds=19))

    assert {asked["deadline"] for _, asked in script.calls} == {timedelta(seconds=3)}


async def test_without_time_nothing_is_asked():
    script = evidence()
    answer = await advising(script).advise(request(), caller(), timedelta(0))

    assert (answer.degraded_reason, script.calls) == ("deadline-passed", [])


@pytest.mark.requirement("HAPI-075")
async def test_a_namespace_the_caller_may_not_read_is_refused_before_anything_is_asked():
    script = evidence()
    with pytest.raises(NotReadable):
        await advising(script).advise(request(), caller(namespaces=["data"]), None)

    assert script.calls == []


@pytest.mark.requirement("HAPI-075")
async def test_labels_that_lead_elsewhere_do_not_lead_a_caller_there():
    with pytest.raises(NotReadable):
        await advising(evidence()).advise(request(labels={"pod": "p"}), caller(namespaces=["data"]), None)


@pytest.mark.requirement("HAPI-075")
async def test_a_cause_in_a_namespace_the_caller_may_not_read_is_not_told():
    answer = await advising(evidence()).advise(request(), caller(namespaces=["shop"]), None)

    assert answer.cause is None
    assert "orders-db-config" not in answer.model_dump_json()


@pytest.mark.requirement("HAPI-075", "HAPI-110")
async def test_a_secret_that_the_context_api_has_missed_is_told_in_no_part_of_the_answer():
    word = secrets.token_hex(16)
    leaky = cause(
        text=f"edited: password={word} does not fit.",
        confidence=Confidence(value=0.9, basis=[f"the log says: DB_PASSWORD={word} is refused"]),
        against=[f"DB_PASSWORD={word} was right before"],
        remediation=Remediation(
            text=f"Put DB_PASSWORD={word} back.",
            command=f"kubectl set env statefulset/orders-db -n data DB_PASSWORD={word}",
            risk=f"whoever knows DB_PASSWORD={word} can read it",
            undo=f"set DB_PASSWORD={word} again",
        ),
    )

    answer = await advising(evidence(found(leaky))).advise(request(), caller(), None)

    assert answer.cause is not None
    assert (answer.cause.target, answer.degraded_reason) == (CONFIG, None)
    assert answer.recommendations
    assert word not in answer.model_dump_json()


async def test_what_cannot_be_cleared_of_secrets_is_not_told_and_says_so(monkeypatch: pytest.MonkeyPatch):
    def refuse(answer: CausesAnswer) -> CausesAnswer:
        raise Impossible("redaction-failed", "the evidence could not be cleared of secrets")

    monkeypatch.setattr(advise, "without_secrets", refuse)

    answer = await advising(evidence()).advise(request(), caller(), None)

    assert (answer.degraded_reason, answer.cause, answer.recommendations) == ("redaction-failed", None, [])


@pytest.mark.requirement("HAPI-179")
async def test_the_cause_is_looked_for_in_the_alerts_cluster():
    here, there = evidence(), evidence(found(target=CHECKOUT.model_copy(update={"cluster": "eu"})))
    asked = Advising(
        TWO, {URL: here, OTHER: there}, patience=LONG, sync_answer_timeout=timedelta(seconds=25), now=Clock()
    )
    labels = {"namespace": "shop", "pod": "p", "cluster": "eu"}

    answer = await asked.advise(request(labels=labels), caller(), None)

    assert answer.target is not None
    assert answer.target.cluster == "eu"
    assert (len(here.calls), len(there.calls)) == (0, 2)


@pytest.mark.requirement("HAPI-179")
async def test_strategies_for_a_cluster_nobody_configured_are_ranked_without_a_cause():
    script = evidence()
    labels = {"namespace": "shop", "pod": "p", "cluster": "us"}

    answer = await advising(script, TWO).advise(request(labels=labels), caller(), None)

    assert (answer.degraded_reason, answer.optimal_strategy.name) == ("unknown-cluster", "restart")
    assert script.calls == []
