"""What a model took is counted."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.verdict import ModelUse

pytestmark = pytest.mark.requirement("HAPI-004")


def test_tokens_are_those_read_and_those_written():
    assert ModelUse(model="m", sdk="1", prompt="1", prompt_tokens=7, completion_tokens=3).tokens == 10
