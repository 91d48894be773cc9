"""Lengths of time as Prometheus and Go write them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.context_api.domain.durations import nanoseconds, parse_duration

pytestmark = pytest.mark.requirement("HAPI-BR-CONTEXT-006")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300),
        ("1h30m", 5400),
        ("90s", 90),
        ("1d", 86400),
        ("500ms", 0.5),
        ("1w", 604800),
        ("1.5h", 5400),
    ],
)
def test_what_people_write_is_read(text: str, seconds: float):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "m",
        "5 m",
        "5m ",
        "-5m",
        "0s",
        "5x",
        "1h,",
        "2y",
        "99999999999s",
        "5m\n",
        "999999999y",
        "٥m",
        "５m",
    ],
)
def test_what_is_none_is_refused(text: str):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.integers(min_value=1, max_value=366 * 86400))
def test_nanoseconds_are_those_of_go(seconds: int):
    assert nanoseconds(timedelta(seconds=seconds)) == seconds * 1_000_000_000
