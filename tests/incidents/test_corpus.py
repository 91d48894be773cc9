"""What triage promises over whole incidents: the first cause, its words, its remedy, and no cause where there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from tests.incidents.corpus import Entry, entries
from tests.incidents.goals import GOALS_MISSED, not_yet
from tests.incidents.incident import Half, Trait
from tests.incidents.judge import Verdict, heard
from tests.incidents.table import calibration

pytestmark = pytest.mark.requirement(
    "API-BR-CAPI-001", "API-BR-CAPI-004", "API-BR-CAPI-006", "API-BR-CAPI-009"
)

CORPUS = entries()
TUNED, BLIND = (
    [name for name, entry in CORPUS.items() if entry.incident.half is half]
    for half in (Half.tuned, Half.blind)
)
WANTED = {Half.tuned: 0.95, Half.blind: 0.80}
INNOCENT_AT_MOST = 0.05
SURE_AND_RIGHT = 0.9
LEAST = {"incidents": 40, Trait.innocent: 12, Trait.false_narrative: 5, Trait.healthy: 5, Trait.two_faults: 5}


def verdicts(names: Sequence[str] = tuple(CORPUS)) -> list[Verdict]:
    return [heard(name).verdict for name in names]


def test_the_corpus_is_as_large_and_as_hard_as_it_has_to_be():
    counted: Mapping[str, int] = {
        "incidents": len(CORPUS),
        **{trait: sum(trait in e.incident.traits for e in CORPUS.values()) for trait in Trait},
    }

    assert {what: counted[what] for what, least in LEAST.items() if counted[what] < least} == {}
    assert len(BLIND) >= LEAST["incidents"] / 2


@pytest.mark.parametrize("half", [pytest.param(half, marks=not_yet(half, GOALS_MISSED)) for half in Half])
def test_first_object_and_what_is_wrong_with_it_are_right_often_enough(half: Half):
    judged = verdicts(TUNED if half is Half.tuned else BLIND)

    wrong = [one.name for one in judged if not one.right]
    # 1 - 0.8 is less than a fifth in floating point: what is right is compared, and not what is wrong.
    assert len(judged) - len(wrong) >= len(judged) * WANTED[half], wrong


@pytest.mark.parametrize("goal", [pytest.param("no-cause", marks=not_yet("no-cause", GOALS_MISSED))])
def test_no_cause_is_named_where_nothing_is_wrong(goal: str):
    assert [one.name for one in verdicts() if one.no_cause is False] == []


@pytest.mark.parametrize("goal", [pytest.param("innocent", marks=not_yet("innocent", GOALS_MISSED))])
def test_an_innocent_object_is_hardly_ever_named_first(goal: str):
    judged = verdicts()

    named = [one.name for one in judged if one.innocent]
    assert len(named) <= len(judged) * INNOCENT_AT_MOST, named


@pytest.mark.parametrize("goal", [pytest.param("two-faults", marks=not_yet("two-faults", GOALS_MISSED))])
def test_of_two_faults_both_are_among_the_first_three_of_the_whole_cluster(goal: str):
    assert [one.name for one in verdicts() if one.second is False] == []


@pytest.mark.parametrize("goal", [pytest.param("calibration", marks=not_yet("calibration", GOALS_MISSED))])
def test_who_is_called_nearly_certain_is_right_nine_times_in_ten(goal: str):
    sure, right = calibration(verdicts())

    assert sure >= 10
    assert right >= sure * SURE_AND_RIGHT


READS = ("describe", "logs", "get", "events", "top", "auth", "debug")
"""kubectl's words that change nothing, so there is nothing to undo."""


@pytest.mark.parametrize("name", CORPUS)
def test_a_cause_says_what_to_do_at_what_risk_and_how_to_undo_it_and_cites_its_evidence(name: str):
    answer = heard(name).answer
    known = {item.id for item in answer.evidence}

    for cause in answer.ranked:
        remedy = cause.remediation
        assert remedy is not None, cause.reason
        assert remedy.text
        assert remedy.risk, cause.reason
        words = (remedy.command or "").split()
        assert words, cause.reason
        assert remedy.undo or set(READS) & set(words), (cause.reason, remedy.command)
        assert cause.evidence_ids
        assert set(cause.evidence_ids) <= known
        assert cause.confidence.basis


@pytest.mark.parametrize("name", CORPUS)
def test_a_first_cause_carries_its_path_to_the_alert(name: str):
    answer = heard(name).answer
    if not answer.ranked or answer.target is None:
        pytest.skip("no cause, or no object was asked about")
    first = answer.ranked[0]

    assert first.path[0] == str(first.target)
    assert len(first.path) == len(set(first.path))


def entry_names(entry: Entry) -> set[str]:
    return {path.name for path in entry.recording.iterdir()}


@pytest.mark.parametrize("name", CORPUS)
def test_a_recording_says_what_was_authored_and_holds_no_secret(name: str):
    entry = CORPUS[name]
    facts = (entry.recording / "snapshot.yaml").read_text("utf-8")

    assert "authored:" in facts
    assert {"objects", "alert.json", "snapshot.yaml"} <= entry_names(entry)
    for secret in heard(name).snapshot.of_kind("Secret"):
        values = {str(v) for part in ("data", "stringData") for v in (secret.body.get(part) or {}).values()}
        assert values <= {"", "None"}
