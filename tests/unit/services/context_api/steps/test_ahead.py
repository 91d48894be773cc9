from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from libs.auth.principal import Principal
from libs.contracts.context import Resolution
from libs.contracts.target import Target
from services.context_api.domain.errors import Busy, UnknownObject
from services.context_api.steps.ahead import BUSY, MOST, Ahead
from services.context_api.steps.turns import ASKING
from tests.unit.services.context_api.steps.test_ask import caller

pytestmark = pytest.mark.requirement("API-BR-CAPI-015")

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def target(name: str = "api", kind: str = "Deployment") -> Target:
    return Target(api_version="apps/v1", kind=kind, namespace="shop", name=name)


def found(name: str = "api", **changes: object) -> Resolution:
    values = {
        "target": target(f"{name}-1", "Pod"),
        "owner": target(name),
        "exists": True,
        "reason": "label:pod",
    }
    return Resolution.model_validate({**values, **changes})


@dataclass
class Place:
    """Causes that come when they are let go, and what was counted."""

    asked: list[tuple[str, bool]] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    error: Exception | None = None
    go: asyncio.Event = field(default_factory=asyncio.Event)
    queued: int = 0

    async def causes(self, about: Target, onset: datetime, who: Principal, left: timedelta) -> bytes:
        self.asked.append((str(about), ASKING.get().ahead))
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return b"{}"


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
async def ahead(place: Place) -> AsyncIterator[Ahead]:
    made = Ahead(place.causes, place, place.counted.append)
    yield made
    await made.close()


async def test_what_an_investigation_will_ask_is_asked_in_the_lowest_lane(ahead: Ahead, place: Place):
    ahead.gather(found(), NOW, caller("*"))
    await asyncio.sleep(0)

    assert place.asked == [("Deployment/shop/api", True)]
    assert not ASKING.get().ahead


async def test_the_same_is_asked_once_at_a_time(ahead: Ahead, place: Place):
    for onset in (NOW, NOW, NOW + timedelta(seconds=1)):
        ahead.gather(found(), onset, caller("*"))
    ahead.gather(found(), NOW, caller("shop"))
    await asyncio.sleep(0)

    assert len(place.asked) == 3
    assert place.counted == ["under-way"]


async def test_no_more_than_so_many_are_gathered_at_once(ahead: Ahead, place: Place):
    for number in range(MOST + 1):
        ahead.gather(found(f"api-{number}"), NOW, caller("*"))
    await asyncio.sleep(0)

    assert len(place.asked) == MOST
    assert place.counted == ["dropped-full"]


async def test_while_others_wait_it_is_left_undone(ahead: Ahead, place: Place):
    place.queued = BUSY
    ahead.gather(found(), NOW, caller("*"))
    await asyncio.sleep(0)

    assert (place.asked, place.counted) == ([], ["dropped-busy"])


@pytest.mark.parametrize(
    ("resolution", "who"),
    [
        (found(exists=False), caller("*")),
        (found(target=None, owner=None), caller("*")),
        (found(), caller("bank")),
    ],
)
async def test_where_there_is_nothing_to_ask_about_nothing_is_asked(
    ahead: Ahead, place: Place, resolution: Resolution, who: Principal
):
    ahead.gather(resolution, NOW, who)

    assert (place.asked, place.counted) == ([], ["nothing-to-gather"])


@pytest.mark.parametrize(
    ("error", "counted"),
    [(Busy(3), "dropped-busy"), (UnknownObject("x"), "failed"), (RuntimeError("our fault"), "failed")],
)
async def test_what_comes_of_it_troubles_nobody_and_is_counted(
    ahead: Ahead, place: Place, error: Exception, counted: str
):
    place.error = error
    place.go.set()
    ahead.gather(found(), NOW, caller("*"))
    async with asyncio.timeout(30):
        while not place.counted:
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    place.go.clear()
    ahead.gather(found(), NOW, caller("*"))  # it may be tried again
    await asyncio.sleep(0)

    assert (place.counted, len(place.asked)) == ([counted], 2)
