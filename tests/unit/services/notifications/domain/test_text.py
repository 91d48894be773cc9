from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.domain.text import INSTEAD, cut, one_line, printable

pytestmark = pytest.mark.requirement("INT-BR-SEC-011")


@given(st.text())
def test_nothing_but_printable_signs_and_line_ends_remains(text: str):
    assert all(sign == "\n" or sign.isprintable() for sign in printable(text))


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"])))
def test_printable_text_stays_as_it_is(text: str):
    assert printable(text) == text


@pytest.mark.parametrize("sign", ["\x1b", "\x00", "\x07", "\x9b", "\u202e", "\u2028", "\ud800"])
def test_a_control_character_leaves_a_trace(sign: str):
    assert printable(f"a{sign}b") == f"a{INSTEAD}b"


def test_lines_of_every_origin_are_kept():
    assert printable("a\r\nb\rc\nd\te") == "a\nb\nc\nd   e"


def test_a_line_has_no_line_end_and_a_limit():
    assert one_line("a\r\nBcc: x@y\n" + "z" * 90, 20) == "a Bcc: x@y zzzzzzzz…"


def test_a_cut_says_how_much_is_missing_and_where_it_is():
    assert cut("x" * 100, 40, of="n1").splitlines() == [
        "x" * 40,
        "",
        "[… cut: 40 of 100 characters; the whole text: GET /api/v1/notifications/n1]",
    ]


def test_what_fits_is_not_cut():
    assert cut("short", 5, of="n1") == "short"
