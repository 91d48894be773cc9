"""Labels are read strictly, match what they say, and speak of what was recorded."""

from __future__ import annotations

import pkgutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from libs.contracts.bundle import ContextSource, LogCluster, RankedEvidence
from libs.contracts.evidence import EvidenceItem, EvidenceKind
from libs.contracts.target import Target
from services.context_api.adapters.recording import load_recording
from tests.incidents import tuned
from tests.incidents.incident import RECORDINGS
from tests.relevance.labels import Case, Half, Matcher, Shown, cases, of_item, of_ranked

pytestmark = pytest.mark.requirement("API-BR-CAPI-004")

ALL = {half: cases(half) for half in Half}
TUNED = {module.name for module in pkgutil.iter_modules(tuned.__path__)}
POD = "Pod/parcels/tracker-bf8c4cd87-4rrm6"


def fact(text: str = "phase is Pending", about: str = POD, kind: str = "object") -> Shown:
    return of_ranked(
        RankedEvidence(
            id="ev-0123456789abcdef", kind=EvidenceKind(kind), source=ContextSource.kubernetes, about=about,
            text=text, relevance=0.5, why="",
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("matcher", "fits"),
    [
        (Matcher(about=(POD,)), True),
        (Matcher(about=("Pod/parcels/tracker-*",)), True),
        (Matcher(about=("Pod/parcels/tracker",)), False),
        (Matcher(about=("Pod/elsewhere/tracker-*",)), False),
        (Matcher(about=("Deployment/parcels/tracker", "Pod/parcels/tracker-*")), True),
        (Matcher(about=("Pod/parcels/tracker-*",), kind=(EvidenceKind.event,)), False),
        (Matcher(about=("Pod/parcels/tracker-*",), kind=(EvidenceKind.event, EvidenceKind.object)), True),
        (Matcher(words=("pending",)), True),
        (Matcher(words=("pending", "running")), False),
        (Matcher(words=("running|PENDING", "phase")), True),
    ],
)
def test_a_matcher_fits_when_all_that_it_names_does(matcher: Matcher, fits: bool):
    assert matcher.matches(fact()) is fits


def test_an_everyday_event_matches_only_who_asks_for_its_words():
    pulled = fact("event Pulled (×9): Container image already present on machine", kind="event")

    assert not Matcher(about=(POD,)).matches(pulled)
    assert Matcher(about=(POD,), words=("already present",)).matches(pulled)
    assert Matcher(about=(POD,)).matches(fact("event BackOff: Back-off restarting", kind="event"))
    assert Matcher(about=(POD,)).matches(fact("event Pulled: is what the object says of itself"))


def test_words_are_looked_for_in_lines_and_detail_too():
    shown = RankedEvidence(
        id="ev-0123456789abcdef", kind=EvidenceKind.log, source=ContextSource.logs, about=POD, text="log of tracker",
        relevance=0.5, why="", detail={"value": "3.14.0-rc"}, lines=[LogCluster(text="dial tcp: i/o timeout", count=3)],
    )  # fmt: skip

    assert Matcher(words=("I/O timeout", "3.14.0-rc")).matches(of_ranked(shown))


def test_a_fact_of_the_dossier_is_looked_at_whole():
    whole = EvidenceItem(
        id="ev-0123456789abcdef", source="recording", kind=EvidenceKind.event, content_hash="0" * 64,
        target=Target(cluster="local", api_version="v1", kind="Node", name="node-b"),
        summary="event Started: the kubelet", body={"message": "began"},
    )  # fmt: skip

    assert of_item(whole) == Shown(
        EvidenceKind.event,
        "Node/_cluster/node-b",
        'event started: the kubelet\n{"message": "began"}',
        "Started",
    )


def test_what_nobody_can_do_without_is_relevant_and_missed_when_it_is_not_there():
    need, other = Matcher(words=("pending",)), Matcher(words=("evicted",))
    case = Case(incident="x", must_have=(need, other))

    assert case.is_relevant(fact())
    assert case.missing_from([fact()]) == [other]


@pytest.mark.parametrize(
    "wrong",
    [
        {"must_have": []},
        {"must_have": [{"kind": "event"}]},
        {"must_have": [{"about": "tracker"}]},
        {"must_have": [{"about": "Pod/parcels/tracker-*-4rrm6"}]},
        {"must_have": [{"about": "Pod/parcels/tracker", "kind": "trace"}]},
        {"must_have": [{"about": "Pod/parcels/tracker", "word": "x"}]},
        {"must_have": [{"words": ["x"]}], "asks": "curiosity"},
    ],
)
def test_a_label_that_is_none_is_refused(wrong: dict[str, object]):
    with pytest.raises(ValidationError):
        Case.model_validate({"incident": "x", **wrong})


def test_an_incident_labelled_twice_is_refused(tmp_path: Path):
    one = "- {incident: x, must_have: [{words: [y]}]}\n"
    (tmp_path / "seen.yaml").write_text(one + one, "utf-8")

    with pytest.raises(ValueError, match="x is there twice"):
        cases(Half.seen, tmp_path)


def test_each_half_has_as_many_cases_and_no_incident_is_in_both():
    seen, blind = set(ALL[Half.seen]), set(ALL[Half.blind])

    assert len(seen | blind) >= 64
    assert not seen & blind
    assert abs(len(seen) - len(blind)) <= 1


def test_only_incidents_whose_story_may_be_read_are_labelled():
    assert {name for half in Half for name in ALL[half]} <= TUNED


@pytest.mark.parametrize("half", Half)
def test_labels_speak_of_objects_and_words_that_were_recorded(half: Half):
    stray = [
        f"{name}: {problem}"
        for name, case in ALL[half].items()
        for problem in _stray(case, RECORDINGS / name)
    ]

    assert stray == []


def _stray(case: Case, recording: Path) -> list[str]:
    """What a case names in vain. Of `relevant` one object of each matcher is enough: a good engineer looks there too."""
    snapshot = load_recording(recording)
    there = {str(obj) for obj in snapshot.objects}
    text = "\n".join(
        file.read_text("utf-8") for file in sorted(recording.rglob("*")) if file.suffix in (".json", ".log")
    )
    text = text.replace('\\"', '"').casefold()
    wrong = []
    for matcher in (*case.must_have, *case.relevant):
        places = [fact(about=name) for name in sorted(there)]
        if matcher.about and not any(Matcher(about=matcher.about).matches(place) for place in places):
            wrong.append(f"no object {matcher.about}")
        wrong += [f"no words {group}" for group in matcher.alternatives if not any(w in text for w in group)]
    return wrong
