"""Parts of the stage that need no cluster."""

from __future__ import annotations

from typing import Any

import pytest

from tests.incidents.stage import merge_patch

pytestmark = pytest.mark.requirement("INT-BR-TEST-005")


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"a": 1, "b": {"c": 1, "d": 3}}, {"b": {"d": 3}}),
        ({"a": 1, "b": {"c": 1}}, {"b": {}}, {"a": None, "b": {"c": None}}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {"a": [1, 3]}),
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, {}),
    ],
    ids=["a value within", "what went", "a list as a whole", "what came", "another type", "nothing"],
)
def test_an_edit_is_sent_as_what_differs(
    before: dict[str, Any], after: dict[str, Any], patch: dict[str, Any]
):
    assert merge_patch(before, after) == patch
