"""An answer is judged by objects and facts, and an incident says enough to be judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from libs.contracts.causes import Cause, CausesAnswer, Confidence, FindingSeverity, NoCause
from libs.contracts.target import Target
from tests.incidents import incident as incidents
from tests.incidents.corpus import Entry
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.judge import Verdict, compare
from tests.incidents.table import calibration, share, summary

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "INT-BR-TEST-005")


def entry(monkeypatch: pytest.MonkeyPatch, folder: Path, **about: Any) -> Entry:
    monkeypatch.setattr("tests.incidents.corpus.RECORDINGS", folder)
    pods = folder / "one" / "objects" / "shop"
    pods.mkdir(parents=True)
    items = [{"metadata": {"namespace": "shop", "name": name}} for name in ("web-2", "web-1")]
    (pods / "pod.json").write_text(json.dumps({"items": items}))
    given = {"causes": ["Pod/shop/{pod:shop/web}"], "says": [["8080", "8443"]], **about}
    return Entry("one", Incident("t", Half.tuned, {"alertname": "A"}, **given), lambda _: None)


def answer(*names: str, text: str = "it listens on 8080", reason: str = "WrongPort") -> CausesAnswer:
    ranked = [
        Cause(
            target=Target.parse(name),
            reason=reason,
            text=text,
            severity=FindingSeverity.critical,
            confidence=Confidence(value=0.9, basis=[]),
            evidence_ids=[],
        )
        for name in names
    ]
    none = None if ranked else NoCause.nothing_wrong
    return CausesAnswer(ranked=ranked, no_cause=not ranked, no_cause_reason=none)


@pytest.mark.parametrize(
    ("named", "text", "right", "among"),
    [
        (["Pod/shop/web-1"], "it listens on 8080", True, True),
        (["Pod/shop/web-1"], "it does not answer", False, True),
        (["Pod/shop/web-2", "Pod/shop/web-1"], "it listens on 8080", False, True),
        (["Node/a", "Node/b", "Node/c", "Pod/shop/web-1"], "8080", False, False),
        ([], "", False, False),
    ],
)
def test_right_means_the_object_first_and_the_facts_stated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: Sequence[str], text: str, right: bool, among: bool
):
    verdict = compare(entry(monkeypatch, tmp_path), answer(*named, text=text), 0.1, None)

    assert (verdict.right, verdict.among) == (right, among)


def test_a_reason_code_is_read_as_its_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    one = entry(monkeypatch, tmp_path, says=[["wrong port"]])

    assert compare(one, answer("Pod/shop/web-1", text="x", reason="WrongPort"), 0.1, None).right


def test_where_nothing_is_wrong_only_the_right_no_is_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    healthy = frozenset({Trait.healthy})
    one = entry(monkeypatch, tmp_path, causes=[], says=[], no_cause="nothing-wrong", traits=healthy)

    assert compare(one, answer(), 0.1, None).right
    wrong = compare(one, answer("Pod/shop/web-1"), 0.1, None)
    assert (wrong.right, wrong.innocent) == (False, True)


def test_an_innocent_object_named_first_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    one = entry(monkeypatch, tmp_path, innocent=["Pod/shop/web-2"])

    assert compare(one, answer("Pod/shop/web-2"), 0.1, None).innocent
    assert not compare(one, answer("Pod/shop/web-1"), 0.1, None).innocent


def test_two_faults_both_have_to_be_among_three_of_the_whole_cluster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    one = entry(monkeypatch, tmp_path, second=["Node/_cluster/n"])
    first = answer("Pod/shop/web-1")

    assert compare(one, first, 0.1, answer("Node/n", "Pod/shop/web-1")).second
    assert compare(one, first, 0.1, answer("Node/n")).second is False


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"causes": ["A/b/c"]},
        {"causes": ["A/b/c"], "says": [["x"]], "no_cause": "nothing-wrong"},
        {"no_cause": "nothing-wrong"},
        {"causes": ["A/b/c"], "says": [["x"]], "traits": frozenset({Trait.healthy})},
    ],
)
def test_an_incident_without_a_clear_answer_is_refused(about: Any):
    with pytest.raises(ValueError, match="t: "):
        Incident("t", Half.tuned, {"alertname": "A"}, **about)


def test_an_alert_without_a_name_is_refused():
    with pytest.raises(ValueError, match="name"):
        Incident("t", Half.tuned, {}, causes=["A/b/c"], says=[["x"]])


def test_shares_count_only_where_the_question_arises():
    assert share([True, None, False, True]) == "2 of 3 (67 %)"
    assert share([None]) == "–"


def test_the_summary_has_one_column_a_half_and_kind():
    def verdict(half: Half, confidence: float, says: bool) -> Verdict:
        return Verdict("n", half, "played", "x", True, says, True, None, False, None, confidence, 0.01)

    verdicts = [
        verdict(Half.tuned, 0.95, True),
        verdict(Half.blind, 0.95, False),
        verdict(Half.blind, 0.5, True),
    ]

    assert calibration(verdicts) == (2, 1)
    lines = summary(verdicts).splitlines()
    assert lines[0] == "| | tuned half (1) | blind half (2) | played (3) |"
    assert lines[2].endswith("| 1 of 1 (100 %) | 1 of 2 (50 %) | 2 of 3 (67 %) |")


def test_recordings_lie_beside_the_incidents():
    assert incidents.RECORDINGS.is_dir()
