"""What the measure counts, and what its report tells."""

from __future__ import annotations

import pytest

from libs.contracts.bundle import Bundle, ContextSource, InvestigationType, RankedEvidence
from libs.contracts.evidence import EvidenceKind
from tests.incidents.incident import RECORDINGS
from tests.relevance.__main__ import report
from tests.relevance.labels import Case, Half, Matcher
from tests.relevance.measure import FIRST, Outcome, compare, figures, known

pytestmark = pytest.mark.requirement("API-BR-CAPI-004")

CASE = Case(incident="x", must_have=(Matcher(words=("cause",)), Matcher(words=("change",))))


def bundle(*texts: str) -> Bundle:
    items = [
        RankedEvidence(
            id=f"ev-{n:016x}", kind=EvidenceKind.object, source=ContextSource.kubernetes, about="Pod/shop/api",
            text=text, relevance=0.5, why="",
        )
        for n, text in enumerate(texts)
    ]  # fmt: skip
    return Bundle.model_validate({
        "target": {"kind": "Pod", "namespace": "shop", "name": "api"}, "resolved_by": "given",
        "investigation_type": InvestigationType.root_cause, "causes": [], "items": items, "left_out": [],
        "left_out_total": 0, "sources": [], "adequacy": {"score": 1, "adequate": True, "wanted": 0.5, "missing": []},
        "budget": {"max_tokens": 4000, "used_tokens": 1234}, "not_looked_at": [], "snapshot_at": "2026-11-03T12:00:00Z",
    })  # fmt: skip


def one(
    name: str = "x", half: Half = Half.seen, relevant: int = FIRST, missing: tuple[Matcher, ...] = ()
) -> Outcome:
    return Outcome(name, half, FIRST, relevant, 2, missing, 1_000)


def test_as_many_facts_are_looked_at_as_there_are_relevant_ones():
    made = bundle("noise", "the cause", "noise", "noise", "noise", "the change")

    found = compare(CASE, Half.seen, made, made)

    assert (found.place, found.relevant, found.precision) == (2, 1, 0.5)
    assert (found.needs, found.missing, found.tokens) == (2, [], 1234)


def test_never_more_than_the_first_five_are_looked_at():
    made = bundle(*["the cause"] * 4, "noise", "the cause", "the cause")

    assert compare(CASE, Half.seen, made, made).precision == 4 / FIRST


def test_a_relevant_fact_that_the_budget_left_out_is_one_that_could_have_been_first():
    found = compare(CASE, Half.seen, bundle("noise"), bundle("noise", "the cause"))

    assert (found.place, found.relevant) == (1, 0)
    assert found.missing == list(CASE.must_have)


def test_where_nothing_relevant_is_known_only_what_is_missing_tells_of_it():
    found = compare(CASE, Half.seen, bundle("noise"), bundle("noise"))

    assert found.precision == 1
    assert len(found.missing) == 2


def test_figures_are_means_over_cases_and_over_needs():
    whole, half_there = one(), one(relevant=3, missing=CASE.must_have[:1])

    found = figures([whole, half_there])

    assert (found.cases, found.precision, found.complete, found.within) == (2, 0.8, 0.5, 0.75)


def test_an_alert_that_names_no_object_is_asked_about_by_name():
    recording = RECORDINGS / "wiki_behind_sign_in"

    assert str(known(recording, "Ingress/intranet/wiki").gathered.target) == "Ingress/intranet/wiki"
    with pytest.raises(ValueError, match="none of the labels"):
        known(RECORDINGS / "versions_during_an_upgrade")
    with pytest.raises(ValueError, match="no Ingress/intranet/blog"):
        known(recording, "Ingress/intranet/blog")


def test_the_report_lists_failing_cases_of_the_seen_half_alone():
    text = report([one("shown", relevant=3), one("hidden", Half.blind, relevant=0, missing=CASE.must_have)])

    assert "| shown | 3 of 5 |" in text
    assert "hidden" not in text
    assert "| blind | 1 | 0.000 | 0.0% | 0.0% | 1,000 |" in text


def test_the_report_says_so_when_nothing_fails():
    assert "nothing needed is missing" in report([one(), one("hidden", Half.blind, relevant=0)])
