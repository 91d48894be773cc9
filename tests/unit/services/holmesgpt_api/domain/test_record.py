"""A page's cursor is ours, and nobody else's text is taken for one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.holmesgpt_api.domain.errors import BadCursor
from services.holmesgpt_api.domain.record import Position
from tests.support.investigations import NOW, record

pytestmark = pytest.mark.requirement("HAPI-005", "HAPI-041")


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), st.text("abc-0"))  # noqa: DTZ001
def test_a_cursor_comes_back_as_it_was_to_the_microsecond(at: datetime, id_: str):
    assert Position.read(Position(at, id_).cursor()) == Position(at, id_)


@given(st.text())
def test_another_text_is_refused_and_nothing_else_happens(text: str):
    try:
        Position.read(text)
    except BadCursor:
        return
    assert text.isascii()


def test_the_duration_runs_until_the_end():
    assert record(read_at=NOW + timedelta(seconds=9)).duration == timedelta(seconds=9)
    assert record(ended_at=NOW + timedelta(seconds=3)).duration == timedelta(seconds=3)
