from __future__ import annotations

from datetime import timedelta

import pytest

from services.context_api.domain.errors import (
    BadCursor,
    BadSelector,
    Busy,
    NoEvidence,
    NoLog,
    NotReadable,
    TooLate,
    UnknownEvidence,
    UnknownObject,
)

pytestmark = pytest.mark.requirement("API-BR-API-004", "HAPI-103")


def test_an_error_says_what_the_caller_can_do():
    assert "ask again" in str(TooLate(timedelta(seconds=1.5)))
    assert "1.5 s" in str(TooLate(timedelta(seconds=1.5)))
    assert "namespace _cluster" in str(NotReadable(None))
    assert (
        str(UnknownObject("Pod/shop/x", hint="recorded today"))
        == "the evidence holds no Pod/shop/x; recorded today"
    )


def test_what_is_not_there_says_what_is_or_where_to_look():
    assert (
        str(NoLog("log of pod shop/x", "there are: a, b"))
        == "no log of pod shop/x was recorded; there are: a, b"
    )
    assert "what this caller may read" in str(UnknownEvidence("ev-1"))
    assert "from the page before" in str(BadCursor())


def test_what_passes_by_itself_says_when_to_ask_again_and_what_does_not_says_nothing():
    assert Busy(64).retry_after > timedelta(0)
    assert NoEvidence("set it").retry_after is None


def test_a_refused_selector_is_quoted_shortly_and_printably():
    said = str(BadSelector("\x1b[31m" + "x" * 10_000))

    assert len(said) < 400
    assert "\x1b" not in said
