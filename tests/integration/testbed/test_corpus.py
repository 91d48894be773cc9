"""Incidents of the corpus can be played again: other uids and pods, the same answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.incidents import corpus, judge, play

pytestmark = [
    pytest.mark.needs("testbed"),
    pytest.mark.requirement("INT-BR-TEST-005", "INT-BR-TEST-009", "API-BR-CAPI-004"),
]


def test_a_played_incident_is_recorded_and_judged_as_the_committed_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    entry = corpus.entries()["image_tag_typo"]
    committed = judge.judge(entry)

    play.perform(entry, say=lambda _: None, out=tmp_path / entry.name)
    monkeypatch.setattr(corpus, "RECORDINGS", tmp_path)
    again = judge.judge(entry)

    assert committed.right
    assert replace(again, seconds=0) == replace(committed, seconds=0)
    facts = yaml.safe_load((tmp_path / entry.name / "snapshot.yaml").read_text("utf-8"))
    assert facts["authored"] == ["elapsed-time", "kubelet-status", "kubelet-events", "alert"]
    assert facts["not_read"] == []
