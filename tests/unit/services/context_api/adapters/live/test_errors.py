from __future__ import annotations

from datetime import timedelta

import pytest

from services.context_api.adapters.live.errors import HeldBack, Why

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


@pytest.mark.parametrize(("left", "words"), [(29.6, "another 30 s"), (0.01, "another 1 s")])
def test_a_call_that_was_not_made_says_when_the_next_may_be(left: float, words: str):
    held = HeldBack(timedelta(seconds=left))

    assert words in held.reason
    assert (held.why, held.retry_after) == (Why.overloaded, timedelta(seconds=left))
