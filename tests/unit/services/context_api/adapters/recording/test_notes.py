from __future__ import annotations

import pytest

from services.context_api.adapters.recording.notes import Notes

pytestmark = pytest.mark.requirement("INF-BR-REL-008")


def test_the_first_are_named_and_the_rest_is_counted_by_reason():
    notes = Notes(limit=2)
    for name in "abcde":
        notes.add(name, "is broken")
    notes.count("files", "is a picture")

    assert [str(note) for note in notes.entries()] == [
        "a: is broken",
        "b: is broken",
        "3 more: is broken",
        "1 file: is a picture",
    ]
