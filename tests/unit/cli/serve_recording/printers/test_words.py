from __future__ import annotations

import pytest

from cli.serve_recording.printers.words import labels_of, listed, selector_of

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        (None, "<none>"),
        ({}, "<none>"),
        ({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        (
            {
                "matchLabels": {"m": "1"},
                "matchExpressions": [
                    {"key": "z", "operator": "In", "values": ["y", "x"]},
                    {"key": "a", "operator": "NotIn", "values": ["q"]},
                    {"key": "e", "operator": "Exists"},
                    {"key": "n", "operator": "DoesNotExist"},
                ],
            },
            "a notin (q),e,m=1,!n,z in (x,y)",
        ),
    ],
)
def test_a_selector_is_written_as_it_would_be_given(selector: object, words: str):
    assert selector_of(selector) == words


def test_labels_are_sorted_or_none():
    assert labels_of({"b": "2", "a": "1"}) == "a=1,b=2"
    assert labels_of(None) == "<none>"


def test_a_long_list_says_how_many_more_there_are():
    assert listed(["a", "b"], most=2) == "a,b"
    assert listed(["a", "b", "c", "d"], most=2, between=", ") == "a, b + 2 more..."
