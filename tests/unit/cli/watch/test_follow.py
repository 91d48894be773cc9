from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest

from cli.watch.books import AlertsBook, Change, Round
from cli.watch.cadence import BRISK_S, QUIET_S
from cli.watch.follow import follow
from cli.watch.words import Connection
from libs.clients.errors import PeerRefused, PeerUnavailable
from libs.contracts.problem import Problem
from tests.support.sights import alert

pytestmark = pytest.mark.requirement("INT-BR-ERR-006", "INT-BR-REL-004")

NEWS = Round(changes=[Change(alert(), None)])
AWAY = PeerUnavailable("alerts", "connect", detail="ConnectError")
REFUSED = PeerRefused("alerts", 401, Problem(title="who?", status=401, code="not-authenticated"))


class Book:
    """Answers in this order; then the watch is over."""

    service = "alerts"
    address = "http://alerts"

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    async def round(self, now: float) -> Any:
        if not self._answers:
            raise asyncio.CancelledError
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Shown:
    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.changes: list[Any] = []
        self.notes: list[str] = []

    def changed(self, change: Any) -> None:
        self.changes.append(change)

    def connection(self, now: Connection) -> None:
        self.connections.append(now)

    def note(self, text: str) -> None:
        self.notes.append(text)


class Watch:
    """Runs `follow` with a clock that only its pauses move."""

    def __init__(self, *answers: Any) -> None:
        self.shown, self.pauses, self._now = Shown(), cast("list[float]", []), 0.0
        self._book = cast(AlertsBook, Book(*answers))

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._now += seconds

    async def run(self, *, once: bool = False) -> bool | None:
        try:
            return await follow(
                self._book,
                self.shown,
                once=once,
                clock=lambda: self._now,
                sleep=self._sleep,
                jitter=lambda: 0,
            )
        except asyncio.CancelledError:
            return None

    @property
    def states(self) -> list[str]:
        return [one.state for one in self.shown.connections]


async def test_a_service_that_goes_and_comes_back_is_asked_less_and_less_and_then_as_before():
    watch = Watch(NEWS, AWAY, AWAY, AWAY, NEWS)
    await watch.run()

    assert watch.states == ["connected", "away", "away", "away", "back"]
    assert watch.pauses == [BRISK_S, 1, 2, 4, BRISK_S]
    assert len(watch.shown.changes) == 2


async def test_what_is_said_of_an_absence_is_why_and_when_it_asks_again():
    watch = Watch(AWAY)
    await watch.run()

    assert watch.shown.connections == [
        Connection("alerts", "http://alerts", "away", "connect (ConnectError)", 1.0)
    ]


async def test_a_service_that_asks_for_time_gets_it():
    watch = Watch(PeerUnavailable("alerts", "http-503", retry_after=timedelta(seconds=7)))
    await watch.run()

    assert watch.pauses == [7]


async def test_a_refusal_ends_it_with_what_to_do():
    watch = Watch(NEWS, REFUSED)

    assert await watch.run() is False
    assert watch.states == ["connected", "refused"]
    assert "KUBERNAUT_TOKEN" in watch.shown.connections[-1].detail


async def test_quiet_slows_it_down_and_news_make_it_brisk_again():
    watch = Watch(NEWS, *[Round()] * 200, NEWS)
    await watch.run()

    assert watch.pauses[0] == BRISK_S
    assert watch.pauses[-2] == QUIET_S
    assert watch.pauses[-1] == BRISK_S


async def test_notes_are_passed_on():
    watch = Watch(Round(notes=["more than can be followed"]))
    await watch.run()

    assert watch.shown.notes == ["more than can be followed"]


async def test_once_goes_on_until_nothing_is_left_over():
    watch = Watch(Round(changes=NEWS.changes, left_over=1), NEWS)

    assert await watch.run(once=True) is True
    assert len(watch.shown.changes) == 2
    assert watch.pauses == []


async def test_once_does_not_wait_for_a_service_that_is_away():
    watch = Watch(AWAY)

    assert await watch.run(once=True) is False
    assert watch.shown.connections[0].again_s is None
