"""What a session is about is kept as it was named; a turn has taken as long as it has."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.holmesgpt_api.domain.chat.session import About, Turn
from services.holmesgpt_api.domain.chat.subject import subject
from tests.support.investigations import NOW

pytestmark = pytest.mark.requirement("HAPI-007")


@pytest.mark.parametrize(
    "text", ["Deployment.apps/shop/checkout?", "pod checkout-1 in namespace shop", "anything else?"]
)
def test_a_subject_survives_being_kept(text: str):
    named = subject(text, "shop")

    assert About.model_validate_json(About.of(named).model_dump_json()).subject == named


def test_a_turn_has_taken_the_time_until_its_end_and_none_before():
    turn = Turn("chat-1", "session-1", 1, "why?", True, False, NOW)

    assert (turn.ended, turn.took) == (False, timedelta(0))
    assert replace(turn, ended_at=NOW + timedelta(seconds=2)).took == timedelta(seconds=2)
