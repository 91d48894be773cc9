"""A filter asks for what it names, and marks the cursors of its list."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.contracts.alerts import Priority
from libs.contracts.investigations import InvestigationStatus
from services.holmesgpt_api.domain.errors import BadCursor
from services.holmesgpt_api.domain.filter import EVERYTHING, Filter
from services.holmesgpt_api.domain.record import Position
from tests.support.investigations import NOW, record

pytestmark = pytest.mark.requirement("HAPI-041", "HAPI-005")

SECOND = timedelta(seconds=1)
FILTERS = [
    Filter(status=InvestigationStatus.failed),
    Filter(alert_name="failed"),
    Filter(namespace="failed"),
    Filter(priority=Priority.p0),
    Filter(engine="triage"),
    Filter(since=NOW + SECOND),
    Filter(until=NOW),
]


@pytest.mark.parametrize("only", FILTERS)
def test_what_is_named_must_be_so(only: Filter):
    assert not only.matches(record())
    assert EVERYTHING.matches(record())


def test_the_span_holds_its_first_moment_and_not_its_last():
    assert Filter(since=NOW, until=NOW + SECOND).matches(record())


def test_no_two_filters_have_the_same_mark_and_none_has_none():
    assert len({only.mark for only in FILTERS}) == len(FILTERS)
    assert EVERYTHING.mark == ""


@pytest.mark.parametrize("only", FILTERS)
def test_a_cursor_belongs_to_its_filter(only: Filter):
    position = Position(NOW, "inv-1")

    assert Position.read(position.cursor(only.mark), only.mark) == position
    for other in (EVERYTHING, *(one for one in FILTERS if one != only)):
        with pytest.raises(BadCursor):
            Position.read(position.cursor(only.mark), other.mark)
    with pytest.raises(BadCursor):
        Position.read(position.cursor(), only.mark)
