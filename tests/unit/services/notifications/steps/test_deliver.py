from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from libs.clients.breaker import Breaker
from libs.contracts.notifications import Channel, DeliveryState
from libs.storage import StorageUnavailable
from services.notifications.domain.addressees import NOBODY
from services.notifications.domain.errors import DeliveryFailed
from services.notifications.domain.message import Message
from services.notifications.domain.ports import Outcome
from services.notifications.steps.deliver import Deliver, Lane
from tests.fakes.dispatcher import FakeChannel, FakeDispatcher

pytestmark = pytest.mark.requirement("INT-BR-NOT-011", "INT-BR-REL-007", "INT-BR-NOT-014")

SLACK = Channel.slack
NO_TIME = timedelta(0)


class Scene:
    """A lane with fakes on both sides."""

    def __init__(
        self,
        dispatcher: FakeDispatcher,
        channel: FakeChannel | None = None,
        *,
        capacity: int = 1,
        stopping: Callable[[], bool] = lambda: False,
        write_down_for: timedelta = timedelta(seconds=5),
    ) -> None:
        self.dispatcher, self.channel = dispatcher, channel or FakeChannel()
        breaker = Breaker(failures_in_a_row=3, jitter=lambda: 0.0)
        self.lane = Lane(SLACK, self.channel, breaker, capacity=capacity, interval=NO_TIME)
        self.outcomes: list[Outcome] = []
        self.deliver = Deliver(
            dispatcher,
            {SLACK: self.lane},
            stopping=stopping,
            observe=self.outcomes.append,
            write_down_for=write_down_for,
        )

    async def run(self, holder: int = 1) -> None:
        await self.deliver.run(SLACK, holder)

    async def sending(self, number: int) -> None:
        while self.channel.under_way < number:
            await asyncio.sleep(0)


def refusing(failure: DeliveryFailed) -> FakeChannel:
    def answer(_: Message) -> None:
        raise failure

    return FakeChannel(answer)


BROKEN = DeliveryFailed("http-500", retry=True)


async def test_one_job_delivers_everything_that_is_due():
    scene = Scene(FakeDispatcher("a", "b", "c"))

    await scene.run()

    assert scene.channel.sent == ["a", "b", "c"]
    assert [outcome.state for outcome in scene.outcomes] == [DeliveryState.sent] * 3


async def test_what_an_earlier_run_has_left_is_decided_first():
    scene = Scene(FakeDispatcher())

    await scene.run(holder=7)

    assert scene.dispatcher.recovered == [7]


async def test_as_many_at_once_as_the_lane_has_room_for():
    scene = Scene(FakeDispatcher(*"abcdefgh"), capacity=3)
    scene.channel.gate = asyncio.Event()

    job = asyncio.create_task(scene.run())
    await scene.sending(3)
    scene.channel.gate.set()
    await job

    assert scene.channel.most == 3
    assert len(scene.dispatcher.ended) == 8


async def test_a_job_without_room_ends_at_once_and_its_delivery_is_not_forgotten():
    scene = Scene(FakeDispatcher("a"))
    scene.channel.gate = asyncio.Event()
    first = asyncio.create_task(scene.run())
    await scene.sending(1)

    scene.dispatcher.due.append("b")
    await scene.run(holder=2)
    scene.channel.gate.set()
    await first

    assert scene.channel.sent == ["a", "b"]


async def test_after_three_failures_the_rest_waits_without_being_tried():
    scene = Scene(FakeDispatcher(*"abcdef"), refusing(BROKEN))

    await scene.run()
    await scene.run()

    assert scene.channel.sent == ["a", "b", "c"]
    assert scene.dispatcher.due == ["d", "e", "f"]
    assert [round(wait.total_seconds()) for wait in scene.dispatcher.woken] == [30]


async def test_a_recipient_that_is_refused_does_not_count_against_the_channel():
    gone = DeliveryFailed("smtp-550", retry=False, about_channel=False)
    scene = Scene(FakeDispatcher(*"abcdef"), refusing(gone))

    await scene.run()

    assert len(scene.channel.sent) == 6


async def test_a_long_pause_is_left_to_one_later_job():
    dispatcher = FakeDispatcher("a")
    dispatcher.pauses = [timedelta(seconds=60), timedelta(seconds=60)]
    scene = Scene(dispatcher)

    await scene.run()
    await scene.run()

    assert scene.channel.sent == []
    assert dispatcher.woken == [timedelta(seconds=60)]


async def test_a_short_pause_is_spent_on_the_spot():
    dispatcher = FakeDispatcher("a")
    dispatcher.pauses = [timedelta(milliseconds=1)]
    scene = Scene(dispatcher)

    await scene.run()

    assert (scene.channel.sent, dispatcher.woken) == (["a"], [])


async def test_a_stop_ends_after_the_delivery_under_way_and_hands_over_the_rest():
    scene = Scene(FakeDispatcher("a", "b"), stopping=lambda: True)

    await scene.run()

    assert scene.channel.sent == ["a"]
    assert scene.dispatcher.woken == [NO_TIME]


async def test_a_mistake_in_a_channel_is_a_try_and_holds_up_nobody():
    def fail_once(message: Message) -> None:
        if message.subject == "a":
            raise KeyError(message.subject)

    scene = Scene(FakeDispatcher("a", "b"), FakeChannel(fail_once))

    await scene.run()

    assert scene.dispatcher.ended == [("a", "internal-error"), ("b", "delivered")]


async def test_a_delivery_to_nobody_is_not_handed_to_a_server_that_knows_a_user_of_that_name():
    scene = Scene(FakeDispatcher("a", recipient=NOBODY))

    await scene.run()

    assert scene.channel.sent == []
    assert scene.dispatcher.ended == [("a", "no-recipient")]


async def test_an_outcome_is_kept_until_the_database_is_back():
    scene = Scene(FakeDispatcher("a"))
    scene.dispatcher.outages = 3

    await scene.run()

    assert scene.channel.sent == ["a"]
    assert scene.dispatcher.ended == [("a", "delivered")]


async def test_an_outage_that_lasts_fails_the_job_so_that_the_next_run_decides():
    scene = Scene(FakeDispatcher("a"), write_down_for=NO_TIME)
    scene.dispatcher.outages = 99

    with pytest.raises(StorageUnavailable):
        await scene.run()

    assert scene.lane.running == 0


async def test_a_job_that_is_taken_away_leaves_every_place_it_took():
    scene = Scene(FakeDispatcher(*"abcdef"), capacity=3)
    scene.channel.gate = asyncio.Event()
    job = asyncio.create_task(scene.run())
    await scene.sending(3)

    job.cancel()
    await asyncio.gather(job, return_exceptions=True)
    left, running = len(scene.lane.left), scene.lane.running
    scene.channel.gate.set()
    await scene.deliver.finish(within=timedelta(seconds=5))

    assert (left, running) == (3, 0)
    assert len(scene.dispatcher.ended) == 3
    assert scene.dispatcher.due == ["d", "e", "f"]


async def test_a_job_that_is_taken_away_leaves_its_call_to_end_and_to_be_recorded():
    scene = Scene(FakeDispatcher("a", "b"))
    scene.channel.gate = asyncio.Event()
    job = asyncio.create_task(scene.run())
    await scene.sending(1)

    job.cancel()
    await asyncio.gather(job, return_exceptions=True)
    again = asyncio.create_task(scene.run())
    await asyncio.sleep(0)
    recovered_while_under_way = list(scene.dispatcher.recovered)
    scene.channel.gate.set()
    await again

    assert job.cancelled()
    assert recovered_while_under_way == [1]  # the first run's own; the second waits for what is left
    assert scene.dispatcher.ended == [("a", "delivered"), ("b", "delivered")]


async def test_a_process_that_ends_waits_for_calls_under_way_but_not_for_ever():
    scene = Scene(FakeDispatcher("a"))
    scene.channel.gate = asyncio.Event()
    job = asyncio.create_task(scene.run())
    await scene.sending(1)
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)

    await scene.deliver.finish(within=timedelta(milliseconds=5))

    assert scene.channel.under_way == 0
    assert scene.lane.left == set()


async def test_at_the_start_every_channel_is_looked_at():
    scene = Scene(FakeDispatcher())

    await scene.deliver.wake_all()

    assert scene.dispatcher.woken == [NO_TIME]
