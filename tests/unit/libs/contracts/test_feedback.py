"""Feedback says something, and nothing that contradicts itself or cannot be kept."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from libs.contracts.feedback import FeedbackRequest

pytestmark = pytest.mark.requirement("HAPI-043", "HAPI-103")

OBJECT = {"kind": "ConfigMap", "namespace": "data", "name": "settings"}


@pytest.mark.parametrize(
    "said",
    [
        {"helpful": False},
        {"correct_cause": True},
        {"actual_cause": OBJECT},
        {"correct_cause": False, "actual_cause": OBJECT},
        {"comment": "x" * 2000},
    ],
)
def test_any_one_part_is_enough(said: dict[str, Any]):
    assert FeedbackRequest.model_validate(said).model_dump(exclude_none=True).keys() == said.keys()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "says nothing"),
        ({"helpful": None}, "says nothing"),
        ({"correct_cause": True, "actual_cause": OBJECT}, "leave one of the two out"),
        ({"comment": "x" * 2001}, "2000"),
        ({"comment": "a\0b"}, "NUL"),
        ({"comment": "a\ud800b"}, "surrogate|unicode"),
        ({"actual_cause": {"kind": "Pod", "name": "../x"}}, "actual_cause"),
        ({"rating": 5}, "rating"),
    ],
)
def test_what_cannot_be_kept_is_refused(said: dict[str, Any], why: str):
    with pytest.raises(ValidationError, match=why):
        FeedbackRequest.model_validate(said)
