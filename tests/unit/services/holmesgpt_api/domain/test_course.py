"""Every kind of event has a shape of its own, and one that is kept is told in that shape."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from libs.contracts.course import EVENTS, EventName
from services.holmesgpt_api.domain.course import Happened
from tests.support.investigations import NOW

pytestmark = pytest.mark.requirement("HAPI-129", "HAPI-042")


def test_every_name_has_a_shape():
    assert EVENTS.keys() == set(EventName)


def test_what_happened_is_told_with_its_time_in_the_shape_of_its_name():
    told = Happened(3, NOW, "tool", {"tool": "get_logs", "ok": True, "seconds": 0.1, "evidence": 2}).told()

    assert EVENTS[EventName.tool].model_validate(told).at == NOW
    with pytest.raises(ValidationError):
        EVENTS[EventName.step].model_validate(told)
