"""The two bases every wire model has: ours is strict, a foreign caller's is lenient."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:  # year 1 in a zone east of Greenwich; pydantic only tells of a ValueError
        raise ValueError("this time lies outside the years 1 to 9999 in UTC") from error


UtcTime = Annotated[datetime, AfterValidator(_in_utc)]
"""An instant. Naive input is read as UTC; output is always UTC."""


def _seconds(value: object) -> object:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value  # ISO 8601 or HH:MM:SS; pydantic reads those
    return value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]
"""A length of time in a setting: seconds as a bare number (what people write), or ISO 8601 (`PT2.5S`)."""


EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def is_plausible(moment: datetime) -> bool:
    """Whether something in a cluster can have happened then; hours before and after it still are times."""
    return EARLIEST <= moment <= LATEST


def _plausible(moment: datetime) -> datetime:
    if not is_plausible(moment):
        raise ValueError(f"want a time between {EARLIEST:%Y} and {LATEST:%Y}")
    return moment


PlausibleTime = Annotated[UtcTime, AfterValidator(_plausible)]
"""An instant at which something in a cluster can have happened."""


class Contract(BaseModel):
    """A shape we define. Unknown fields are refused, so that a typing error is not silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Foreign(BaseModel):
    """A shape somebody else defines (Alertmanager, the Kubernaut Go application).

    Unknown fields are ignored: their next release may send more, and must not be refused for it.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)
