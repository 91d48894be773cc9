from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import TypeAdapter, ValidationError

from libs.contracts.base import Contract, Duration, Foreign, PlausibleTime, UtcTime

pytestmark = pytest.mark.requirement("API-BR-API-005", "HAPI-045")

SEVEN = datetime(2026, 11, 21, 7, tzinfo=UTC)


class Ours(Contract):
    at: UtcTime


class Theirs(Foreign):
    at: UtcTime


@pytest.mark.parametrize(
    "moment",
    [
        SEVEN,
        datetime(2026, 11, 21, 7),  # noqa: DTZ001  what a caller without a time zone sends
        datetime(2026, 11, 21, 9, tzinfo=timezone(timedelta(hours=2))),
        "2026-11-21T02:00:00-05:00",
        "2026-11-21T07:00:00",
    ],
)
def test_an_instant_is_utc_whatever_zone_it_came_in(moment):
    read = Ours.model_validate({"at": moment}).at

    assert read == SEVEN
    assert read.utcoffset() == timedelta(0)


@pytest.mark.requirement("HAPI-147")
@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("10", 10),
        ("0.5", 0.5),
        (" 7 ", 7),
        ("PT5M", 300),
        ("00:00:10", 10),
        (3, 3),
        (timedelta(seconds=4), 4),
    ],
)
def test_a_duration_is_seconds_or_iso_8601(written, seconds):
    assert TypeAdapter(Duration).validate_python(written) == timedelta(seconds=seconds)


@pytest.mark.requirement("HAPI-147")
@pytest.mark.parametrize("written", ["", "soon", "10 apples", "nan"])
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python(written)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2200-01-01T00:00:01Z"])
def test_a_time_at_which_no_cluster_ran_is_refused(moment):
    with pytest.raises(ValidationError):
        TypeAdapter(PlausibleTime).validate_python(moment)


def test_a_plausible_time_is_utc():
    assert TypeAdapter(PlausibleTime).validate_python("2026-11-21T09:00:00+02:00") == SEVEN


def test_a_misspelt_field_of_ours_is_refused():
    with pytest.raises(ValidationError):
        Ours.model_validate({"at": SEVEN, "att": SEVEN})


def test_what_a_foreign_caller_sends_beside_is_ignored():
    assert Theirs.model_validate({"at": SEVEN, "added-next-year": 1}).at == SEVEN


def test_what_crossed_the_wire_is_not_changed_afterwards():
    with pytest.raises(ValidationError):
        Ours(at=SEVEN).at = SEVEN  # type: ignore[misc]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"])
def test_an_instant_outside_all_years_is_refused_and_not_an_error_of_ours(moment):
    with pytest.raises(ValidationError, match="outside the years"):
        Ours.model_validate({"at": moment})
