"""What a model writes is the document, or a sentence that says what is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.holmesgpt_api.engine.writing import LONGEST, NoDocument, opinion

pytestmark = pytest.mark.requirement("HAPI-004")

SOUND: dict[str, Any] = {
    "summary": "s",
    "cause": {
        "target": "ConfigMap/data/x",
        "reason": "ConfigChanged",
        "text": "t",
        "confidence": 0.5,
        "evidence_ids": ["e1"],
    },
    "agrees_with_triage": True,
}


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "Here it is:\n{}\nDone.", "  {}  "])
def test_the_document_is_found_whatever_stands_around_it(around: str):
    assert opinion(around.replace("{}", json.dumps(SOUND))).summary == "s"


def test_no_cause_is_a_conclusion_too_and_unknown_fields_count_for_nothing():
    written = opinion(json.dumps({**SOUND, "cause": None, "mood": "sure"}))

    assert written.cause is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "empty"),
        ("  ", "empty"),
        ("I think it was the config map.", "document"),
        (json.dumps([SOUND])[:-40], "document"),
        (json.dumps({**SOUND, "summary": ""}), "summary"),
        (json.dumps({**SOUND, "cause": {**SOUND["cause"], "confidence": 7}}), "cause.confidence"),
        (json.dumps({**SOUND, "cause": {**SOUND["cause"], "reason": "it broke!"}}), "cause.reason"),
        (json.dumps({key: value for key, value in SOUND.items() if key != "cause"}), "cause"),
        ("x" * (LONGEST + 1), "more than"),
        ("{" * 100_000, "document"),
    ],
)
def test_what_is_no_document_is_named(text: str | None, said: str):
    with pytest.raises(NoDocument, match=said):
        opinion(text)


@given(st.text(max_size=300))
def test_no_text_makes_the_reader_fall_over(text: str):
    with pytest.raises(NoDocument):
        opinion(text)
