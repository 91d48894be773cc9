"""A cursor is taken back exactly as it was given out; anything else is refused, never guessed at."""

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.alerts.domain.errors import BadCursor
from services.alerts.domain.paging import Cursor

pytestmark = pytest.mark.requirement("INT-BR-AP-021@3.2")

ID = "0123456789abcdef" * 2


@settings(deadline=None)
@given(st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_cursor_survives_the_way_to_the_caller_and_back(moment):
    assert Cursor.read(str(Cursor(moment, ID))) == Cursor(moment, ID)


def test_the_same_instant_in_another_zone_is_the_same_cursor():
    moment = datetime(2026, 11, 21, 5, tzinfo=UTC)

    assert str(Cursor(moment.astimezone(timezone(timedelta(hours=2))), ID)) == str(Cursor(moment, ID))


@pytest.mark.parametrize(
    "word",
    [
        "x",
        "ü",
        "=",
        "\x00",
        base64.urlsafe_b64encode(b"2026-11-21T05:00:00+00:00/short").decode(),
        base64.urlsafe_b64encode(f"2026-11-21T05:00:00/{ID}".encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(f"yesterday/{ID}".encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(f"0001-01-01T00:00:00+23:00/{ID}".encode()).decode().rstrip("="),
        str(Cursor(datetime(2026, 11, 21, 5, tzinfo=UTC), ID)) + "A",
        " " + str(Cursor(datetime(2026, 11, 21, 5, tzinfo=UTC), ID)),
    ],
)
def test_a_word_we_did_not_write_is_refused(word):
    with pytest.raises(BadCursor):
        Cursor.read(word)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_no_text_is_an_error_of_ours(word):
    with pytest.raises(BadCursor):
        Cursor.read(word)
