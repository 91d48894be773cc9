"""A gist is the first sentence, and never longer than allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.holmesgpt_api.domain.wording import about, first_sentence
from tests.support.investigations import CHECKOUT

pytestmark = pytest.mark.requirement("HAPI-004")


@pytest.mark.parametrize(
    ("text", "gist"),
    [
        ("Restart it. Then wait.", "Restart it."),
        ("key postgresql.conf: `a = 1` → `a = 2`; key b. Since then it crashes.", None),
        ("one", "one"),
        ("It was version 1.5 before. Now", "It was version 1.5 before."),
    ],
)
def test_a_sentence_ends_at_a_full_stop_before_a_capital(text: str, gist: str | None):
    assert first_sentence(text, 200) == (gist or "key postgresql.conf: `a = 1` → `a = 2`; key b.")


@given(st.text(), st.integers(1, 50))
def test_no_gist_is_longer_than_allowed(text: str, at_most: int):
    assert len(first_sentence(text, at_most)) <= at_most


def test_a_text_says_what_it_is_about_once():
    assert about(CHECKOUT, "crashes") == "Deployment/shop/checkout: crashes"
    assert about(CHECKOUT, "Deployment shop/checkout crashes") == "Deployment shop/checkout crashes"
