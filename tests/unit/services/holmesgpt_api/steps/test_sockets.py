"""A caller has so many sockets; others' are not counted, and a closed one makes room."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.chat.errors import TooManySockets
from services.holmesgpt_api.steps.sockets import Sockets
from tests.support.chats import ANA, BEN

pytestmark = pytest.mark.requirement("HAPI-134", "HAPI-038")


def test_one_more_than_allowed_is_refused_and_anothers_is_not():
    seen: list[int] = []
    sockets = Sockets(2, observe=seen.append)
    with (
        sockets.one(ANA),
        sockets.one(ANA),
        sockets.one(BEN),
        pytest.raises(TooManySockets, match="2 WebSockets"),
        sockets.one(ANA),
    ):
        raise AssertionError("a third was let in")
    with sockets.one(ANA):
        pass

    assert seen == [1, 2, 3, 2, 1, 0, 1, 0]
    assert sockets.open == 0


def test_one_that_ends_in_an_error_makes_room_too():
    sockets = Sockets(1)
    with pytest.raises(ZeroDivisionError), sockets.one(ANA):
        raise ZeroDivisionError
    with sockets.one(ANA):
        assert sockets.open == 1
