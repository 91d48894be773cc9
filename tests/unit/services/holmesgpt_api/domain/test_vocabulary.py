"""The words are such as they are looked up: in lower case, and no kind is a term."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.vocabulary import KINDS, PLAIN_PARTS, PROPER, SHORT, TERMS

pytestmark = pytest.mark.requirement("HAPI-004")


def test_all_words_are_in_lower_case_and_short_kinds_are_kinds():
    for words in (KINDS, PLAIN_PARTS, PROPER, TERMS, frozenset(SHORT)):
        assert {one for one in words if one != one.lower()} == set()
    assert set(SHORT.values()) <= KINDS
