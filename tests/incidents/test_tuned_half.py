"""The tuned half of the corpus is answered as a person would, whoever asks."""

from __future__ import annotations

import re
from datetime import datetime

import pytest

from services.context_api.domain.graph import Graph
from services.context_api.domain.triage import find_causes
from tests.incidents.corpus import entries
from tests.incidents.goals import ELSEWHERE_WRONG, TUNED_WRONG, not_yet
from tests.incidents.incident import Half
from tests.incidents.judge import heard
from tests.incidents.play import filled, names_of

pytestmark = pytest.mark.requirement("API-BR-CAPI-004", "API-BR-CAPI-007", "API-BR-CAPI-009")

STAMP = re.compile(
    r'"(?!notAfter|not_after|renewalTime)(\w+)": "(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)"'
)
"""Key and time; but for those of a certificate, which lie ahead."""
TUNED = {name: entry for name, entry in entries().items() if entry.incident.half is Half.tuned}


@pytest.mark.parametrize("name", [pytest.param(name, marks=not_yet(name, TUNED_WRONG)) for name in TUNED])
def test_the_first_cause_is_the_one_a_person_would_name_with_its_facts(name: str):
    verdict = heard(name).verdict

    assert verdict.right, f"{verdict.first} lacks {verdict.missing}"
    assert not verdict.innocent
    assert verdict.second in (None, True)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=not_yet(name, ELSEWHERE_WRONG))
        for name, entry in TUNED.items()
        if entry.incident.causes and name not in TUNED_WRONG
    ],
)
def test_an_alert_about_any_failing_workload_of_the_story_leads_to_the_same_cause(name: str):
    entry = TUNED[name]
    snapshot, onset = heard(name).snapshot, heard(name).onset
    graph = Graph(snapshot)
    pods = names_of(entry.recording)
    named = {filled(text, pods) for text in (*entry.incident.causes, *entry.incident.second)}

    for workload in graph.of_kind("Deployment", "StatefulSet", "Service"):
        target = workload.target(snapshot.cluster)
        answer = find_causes(snapshot, target=target, onset=onset, graph=graph)
        if answer.ranked and workload.name != "kubernetes":
            assert str(answer.ranked[0].target) in named, target


@pytest.mark.parametrize("name", TUNED)
def test_nothing_in_a_recording_happens_after_it_was_taken(name: str):
    recording = TUNED[name].recording
    taken = heard(name).snapshot.captured_at
    files = {file: file.read_text("utf-8") for file in sorted(recording.glob("objects/*/*.json"))}

    late = {
        f"{file.parent.name}/{file.name}: {key} {stamp}"
        for file, text in files.items()
        for key, stamp in STAMP.findall(text)
        if datetime.fromisoformat(stamp) > taken
    }

    assert late == set(), "play it again: a controller wrote while the story was put on its calendar"
