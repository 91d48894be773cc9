from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from services.context_api.domain.errors import Busy
from services.context_api.domain.lanes import Chosen, Lane
from services.context_api.steps.turns import ASKING, Asking, Turns, concerning

pytestmark = pytest.mark.requirement("API-BR-CAPI-014", "API-BR-CAPI-013", "API-BR-CAPI-020")


@dataclass
class Counted:
    lengths: dict[Lane, list[int]] = field(default_factory=lambda: {lane: [] for lane in Lane})
    turns: list[Lane] = field(default_factory=list)
    refusals: list[Lane] = field(default_factory=list)

    def queued(self, lane: Lane, waiting: int) -> None:
        self.lengths[lane].append(waiting)

    def waited(self, chosen: Chosen, seconds: float) -> None:
        assert seconds >= 0
        self.turns.append(chosen.lane)

    def refused(self, lane: Lane) -> None:
        self.refusals.append(lane)


@dataclass
class Place:
    turns: Turns
    counted: Counted
    order: list[str] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def ask(self, key: str, **asking: object) -> asyncio.Task[bytes]:
        """A task that asks; it has not begun when this returns."""

        def find() -> bytes:
            self.order.append(key)
            return key.encode()

        async def run() -> bytes:
            ASKING.set(Asking(**{"caller": "a", **asking}))  # type: ignore[arg-type]
            return await self.turns.run(key, find)

        return asyncio.create_task(run())

    async def hold(self) -> asyncio.Task[bytes]:
        """Something is worked out until `go`."""

        def find() -> bytes:
            self.held.set()
            assert self.go.wait(30)
            return b""

        task = asyncio.create_task(self.turns.run("held", find))
        assert await asyncio.to_thread(self.held.wait, 30)
        return task


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    counted = Counted()
    made = Place(Turns(most_waiting=3, background=1, meters=counted), counted)
    yield made
    made.go.set()
    made.turns.close()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


CRITICAL = {"word": "P0", "by_service": True}


async def test_what_is_critical_has_its_turn_before_what_came_earlier(place: Place):
    held = await place.hold()
    asked = [place.ask("ahead", ahead=True), place.ask("normal"), place.ask("critical", **CRITICAL)]
    await settled()
    place.go.set()

    assert await asyncio.gather(held, *asked) == [b"", b"ahead", b"normal", b"critical"]
    assert place.order == ["critical", "normal", "ahead"]
    assert place.counted.turns == [Lane.normal, Lane.critical, Lane.normal, Lane.background]
    assert place.counted.lengths[Lane.normal] == [1, 0]


async def test_a_full_lane_refuses_and_the_others_do_not(place: Place):
    held = await place.hold()
    asked = [place.ask(f"n{n}") for n in range(3)]
    await settled()
    with pytest.raises(Busy, match="3 normal questions wait already") as busy:
        await place.ask("n3")
    critical = place.ask("critical", **CRITICAL)
    await settled()
    place.go.set()
    await asyncio.gather(held, critical, *asked)

    assert busy.value.retry_after >= timedelta(seconds=1)
    assert place.counted.refusals == [Lane.normal]


async def test_who_asks_most_gives_way_to_who_asks_less(place: Place):
    held = await place.hold()
    asked = [place.ask(f"a{n}") for n in range(3)]
    await settled()
    other = place.ask("b0", caller="b")
    await settled()
    place.go.set()

    assert await asyncio.gather(held, other, *asked[:2]) == [b"", b"b0", b"a0", b"a1"]
    with pytest.raises(Busy):
        await asked[2]
    assert place.order == ["a0", "b0", "a1"]


async def test_what_was_asked_ahead_moves_up_when_somebody_waits_for_it(place: Place):
    held = await place.hold()
    asked = [place.ask("ahead", ahead=True), place.ask("n0"), place.ask("n1")]
    await settled()
    ASKING.set(Asking("b", **CRITICAL))  # type: ignore[arg-type]
    place.turns.wanted("ahead")
    place.turns.wanted("nobody asked this")
    place.go.set()
    await asyncio.gather(held, *asked)

    assert place.order == ["ahead", "n0", "n1"]


async def test_what_is_asked_less_urgently_later_stays_where_it_is(place: Place):
    held = await place.hold()
    asked = [place.ask("n0"), place.ask("critical", **CRITICAL)]
    await settled()
    place.turns.wanted("critical")
    place.go.set()
    await asyncio.gather(held, *asked)

    assert place.order == ["critical", "n0"]


async def test_who_gives_up_waiting_leaves_the_turn_to_others(place: Place):
    held = await place.hold()
    given_up, other = place.ask("n0"), place.ask("n1")
    await settled()
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    place.go.set()
    await asyncio.gather(held, other)

    assert place.order == ["n1"]
    assert await place.ask("n2") == b"n2"
    assert place.turns.idle


async def test_a_turn_that_comes_as_its_asker_leaves_goes_to_the_next(place: Place):
    held = await place.hold()
    given_up, other = place.ask("n0"), place.ask("n1")
    await settled()
    place.turns._ended(0.0)  # its turn has come, and it has not run since
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    place.go.set()

    assert [await held, await other] == [b"", b"n1"]
    assert place.order == ["n1"]


async def test_what_fails_leaves_the_turn_to_others(place: Place):
    def fail() -> bytes:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await place.turns.run("k", fail)
    assert await place.ask("n0") == b"n0"


def test_a_severity_is_remembered_beside_what_was_known():
    ASKING.set(Asking("a"))
    concerning("")
    assert ASKING.get().chosen.lane is Lane.normal
    concerning("critical")

    assert ASKING.get().caller == "a"
    assert ASKING.get().chosen.lane is Lane.critical
