from __future__ import annotations

import pytest

from services.context_api.steps.foresight import Foresight

pytestmark = pytest.mark.requirement("API-BR-CAPI-015", "API-BR-CAPI-020")


def test_what_was_begun_ahead_and_is_asked_for_was_used_once():
    told: list[str] = []
    foresight = Foresight(told.append)

    foresight.begun("a")
    foresight.begun("a")
    foresight.asked("a")
    foresight.asked("a")
    foresight.asked("b")

    assert told == ["begun", "used"]


def test_what_is_forgotten_or_given_up_was_not_used():
    told: list[str] = []
    foresight = Foresight(told.append, most=1)

    foresight.begun("a")
    foresight.begun("b")
    foresight.given_up("b")
    foresight.given_up("c")
    foresight.asked("a")

    assert told == ["begun", "begun", "unused", "unused"]
