"""Triage asks the Context API, and says what it answered and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from libs.contracts.causes import CausesAnswer, NoCause
from libs.contracts.context import Resolution
from libs.contracts.target import Target
from services.holmesgpt_api.domain.course import Happening
from services.holmesgpt_api.domain.errors import Impossible, NotNow
from services.holmesgpt_api.domain.record import Claimed
from services.holmesgpt_api.domain.triage import Triage, namespaces_in
from services.holmesgpt_api.domain.verdict import EVIDENCE_AT_MOST, Verdict
from tests.fakes.evidence import ScriptedEvidence
from tests.support.clock import Clock
from tests.support.investigations import (
    CHECKOUT,
    CONFIG,
    DATABASE,
    NOW,
    cause,
    claimed,
    evidence,
    found,
    nothing,
    request,
)

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-011", "HAPI-166")

POD = Target(kind="Pod", namespace="shop", name="checkout-1")


def resolution(*, target: Target | None = POD, owner: Target | None = CHECKOUT, exists: bool = True):
    return Resolution(target=target, owner=owner, exists=exists, reason="label:pod", detail="the label pod")


async def triage(
    evidence_: ScriptedEvidence, run: Claimed | None = None, *, now: Callable[[], float] = time.monotonic
) -> Verdict:
    async def report(progress: int, stage: str, happened: Happening | None = None, /) -> None:
        assert 0 < progress < 100
        assert stage

    return await Triage(evidence_, patience=timedelta(seconds=10), now=now).run(run or claimed(), report)


async def verdict(answer: CausesAnswer, run: Claimed | None = None) -> Verdict:
    return await triage(ScriptedEvidence([answer]), run)


async def test_the_first_ranked_cause_is_the_root_cause_and_the_rest_contribute():
    other = cause(DATABASE, reason="CrashLoopBackOff")

    said = await verdict(found(cause(), other))

    assert said.root_cause == f"{CONFIG}: edited 46 s before the database stopped starting."
    assert (said.results.cause, said.results.contributing) == (cause(), [other])
    assert said.confidence_basis == ["changed just before", "the log names the file"]
    assert said.results.target == CHECKOUT
    assert "ConfigMap/data/orders-db-config → StatefulSet/data/orders-db" in said.summary
    assert "Confidence 0.90." in said.summary


async def test_the_answer_is_labelled_as_triage_and_says_why_no_model_answered():
    for answer in (found(), nothing(NoCause.nothing_wrong)):
        said = await verdict(answer)

        assert (said.engine, said.degraded_reason) == ("triage", "no-model-configured")


async def test_every_claim_cites_evidence_that_the_answer_carries():
    said = await verdict(found(cause(), cause(CHECKOUT, evidence_ids=["gone"])))

    carried = {item.id for item in said.results.evidence}
    assert carried == {"e1", "e2"}
    assert [(claim.status, claim.evidence_ids) for claim in said.results.claims] == [
        ("supported", ["e1"]),
        ("hypothesis", []),
        ("supported", ["e2"]),
    ]


async def test_a_claim_that_cause_and_finding_both_make_is_made_once_with_the_evidence_of_both():
    symptom = cause(DATABASE, reason="CrashLoopBackOff", text="exits with code 1", evidence_ids=["e1"])

    claims = (await verdict(found(cause(), symptom))).results.claims

    assert [claim.evidence_ids for claim in claims] == [["e1"], ["e1", "e2"]]


async def test_evidence_that_nobody_cites_is_not_carried_and_too_much_is_said():
    ids = [f"x{number}" for number in range(EVIDENCE_AT_MOST + 5)]
    answer = found(cause(evidence_ids=ids), evidence=[evidence(id_) for id_ in [*ids, "uncited"]])

    results = (await verdict(answer)).results

    assert [item.id for item in results.evidence] == ids[:EVIDENCE_AT_MOST]
    assert results.not_looked_at == ["5 more pieces of evidence, to keep the answer readable"]
    assert results.claims[0].status == "hypothesis"


@pytest.mark.parametrize(
    ("why", "said"),
    [
        (NoCause.nothing_wrong, "Nothing is wrong with Deployment/shop/checkout, nor with what"),
        (NoCause.recovered, "is healthy again"),
        (NoCause.insufficient, "does not tell why Deployment/shop/checkout alerts"),
    ],
)
async def test_no_cause_is_a_verdict_without_a_cause(why: NoCause, said: str):
    answer = await verdict(
        nothing(why, not_looked_at=["logs: none recorded"], no_cause_text="It is well since ten.")
    )

    assert (answer.results.cause, answer.root_cause, answer.recommendations) == (None, None, [])
    assert answer.results.no_cause_reason == why
    assert said in answer.summary
    assert " It is well since ten. " in answer.summary
    assert answer.summary.endswith("Not looked at: logs: none recorded.")


async def test_what_is_muted_is_told_as_known_and_not_as_unclear():
    known = "Deployment/shop/checkout: RestartedOften, until 2027-01-01 00:00:00 UTC: replaced soon"

    answer = await verdict(nothing(NoCause.muted, muted=[known]))

    assert answer.results.no_cause_reason == "all-muted"
    assert f"is known and muted: {known}." in answer.summary
    assert "does not tell" not in answer.summary


async def test_an_answer_that_ranks_causes_and_calls_them_none_names_none():
    answer = found(no_cause=True, no_cause_reason=NoCause.insufficient)

    assert (await verdict(answer)).results.cause is None


async def test_a_given_target_is_asked_about_as_it_is_with_the_alerts_onset():
    asked = ScriptedEvidence([found()])

    await triage(asked, claimed(request=request(target=CHECKOUT.model_dump(), starts_at=NOW)))

    assert [word for word, _ in asked.calls] == ["causes"]
    assert asked.calls[0][1] == {
        "target": CHECKOUT,
        "onset": NOW,
        "priority": "medium",
        "tenant": "default",
        "deadline": timedelta(seconds=10),
    }


@pytest.mark.parametrize(
    ("answered", "asked_about"),
    [
        (resolution(), POD),
        (resolution(exists=False), CHECKOUT),
        (resolution(exists=False, owner=None), POD),
    ],
)
async def test_without_a_target_the_labels_are_resolved_and_a_gone_pods_owner_stands_for_it(
    answered: Resolution, asked_about: Target
):
    asked = ScriptedEvidence([found()], [answered])

    await triage(asked, claimed(request=request(labels={"pod": "checkout-1", "namespace": "shop"})))

    assert asked.calls[0][1]["labels"]["pod"] == "checkout-1"
    assert asked.calls[1][1]["target"] == asked_about


async def test_labels_that_name_no_object_end_in_a_verdict_that_says_so():
    asked = ScriptedEvidence([], [resolution(target=None, owner=None, exists=False)])

    said = await triage(asked, claimed(request=request()))

    assert said.results.no_cause_reason == NoCause.insufficient
    assert said.results.not_looked_at == ["everything: the label pod"]
    assert "name no Kubernetes object" in said.summary


@pytest.mark.requirement("HAPI-178")
async def test_a_target_that_turns_out_to_lie_elsewhere_is_not_looked_at():
    asked = ScriptedEvidence([found()], [resolution()])

    with pytest.raises(Impossible) as refused:
        await triage(asked, claimed(request=request(), reads=("data",)))

    assert refused.value.code == "not-readable"
    assert [word for word, _ in asked.calls] == ["resolve"]


@pytest.mark.requirement("HAPI-130")
async def test_no_call_may_take_longer_than_the_run_has_left():
    clock = Clock()

    class Slow(ScriptedEvidence):
        async def resolve(self, labels: Mapping[str, str], *, tenant: str, deadline: timedelta) -> Resolution:
            clock.advance(2)
            return await super().resolve(labels, tenant=tenant, deadline=deadline)

    asked = Slow([found()], [resolution()])

    await triage(asked, claimed(request=request(), time_left=timedelta(seconds=3)), now=clock)

    assert [call["deadline"] for _, call in asked.calls] == [timedelta(seconds=3), timedelta(seconds=1)]


async def test_a_context_api_that_does_not_answer_is_no_verdict():
    with pytest.raises(NotNow):
        await verdict(NotNow("context-unavailable", "timeout"))  # type: ignore[arg-type]


async def test_the_namespaces_of_a_verdict_are_all_it_shows_something_of():
    node = Target(kind="Node", name="worker-1")

    said = await verdict(
        found(cause(evidence_ids=["e1", "n"]), evidence=[evidence("e1"), evidence("n", node)])
    )

    assert namespaces_in(said) == {"shop", "data", ""}
