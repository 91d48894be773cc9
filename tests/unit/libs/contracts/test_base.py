from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from libs.contracts.base import Contract, Foreign, UtcTime

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
