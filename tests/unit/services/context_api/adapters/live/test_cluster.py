"""The live cluster as a source: how old its answers may be, who waits for whom, and what an outage does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from services.context_api.adapters.live import LiveCluster, NotAnswering, Reading, Times
from services.context_api.adapters.live.errors import ApiFailure, Why
from services.context_api.domain.errors import NoEvidence
from services.context_api.domain.ports import Connectivity
from services.context_api.domain.snapshot import NotRead
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "HAPI-BR-HEALTH-020")

LONG, SHORT = timedelta(seconds=30), timedelta(milliseconds=20)
TIMES = Times(max_age=timedelta(seconds=15), stale_limit=timedelta(minutes=5))
DOWN = NotAnswering("https://cluster.example: connection refused")


@dataclass
class Cluster:
    """Stands for what is kept by watches: each reading is a new snapshot, or the failure it was told."""

    server: str = "https://cluster.example"
    words: str = "70 of 70 lists are kept"
    up: bool = True
    closed: bool = False
    failure: Exception | None = None
    trouble: str = ""
    as_of: float = 1000.0
    gate: asyncio.Event | None = None
    readings: int = 0
    started: bool = False
    objects: Sequence[Any] = ()

    def start(self) -> None:
        self.started = True

    async def stop(self) -> None:
        self.closed = True

    async def confirm(self, within: timedelta) -> None:
        if not self.up:
            raise ApiFailure(Why.unreachable, "connection refused")

    async def read(self) -> Reading:
        self.readings += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        made = replace(kube.snapshot(*(self.objects or (kube.pod("a"),))), id=f"reading-{self.readings}")
        return Reading(made, self.as_of, self.trouble)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def source(cluster: Cluster, clock: Clock) -> AsyncIterator[LiveCluster]:
    made = LiveCluster(cluster, TIMES, clock=clock)
    yield made
    await made.stop()


async def test_a_young_snapshot_is_given_again_and_an_old_one_made_anew(
    source: LiveCluster, cluster: Cluster, clock: Clock
):
    first = await source.snapshot(LONG)
    clock.now += 15
    assert await source.snapshot(LONG) is first

    clock.now += 1
    assert (await source.snapshot(LONG)).id == "reading-2"
    assert cluster.readings == 2


async def test_a_hundred_who_ask_at_once_cost_one_reading(source: LiveCluster, cluster: Cluster):
    found = await asyncio.gather(*(source.snapshot(LONG) for _ in range(100)))

    assert cluster.readings == 1
    assert all(one is found[0] for one in found)


async def test_who_gives_up_does_not_end_the_reading_for_the_others(source: LiveCluster, cluster: Cluster):
    cluster.gate = asyncio.Event()
    with pytest.raises(NoEvidence) as told:
        await source.snapshot(SHORT)
    assert told.value.retry_after is not None

    cluster.gate.set()
    assert (await source.snapshot(LONG)).id == "reading-1"
    assert cluster.readings == 1


async def test_who_cannot_wait_for_the_new_one_gets_the_last_and_is_told_its_age(
    source: LiveCluster, cluster: Cluster, clock: Clock
):
    await source.snapshot(LONG)
    clock.now += 60
    cluster.gate = asyncio.Event()

    late = await source.snapshot(SHORT)

    assert late.not_read[0] == NotRead(
        "the cluster as it is now", "a newer snapshot is being made; this is as of 2026-11-18 09:30:00 UTC"
    )
    cluster.gate.set()


async def test_in_an_outage_the_last_snapshot_speaks_until_it_is_too_old(
    source: LiveCluster, cluster: Cluster, clock: Clock
):
    fresh = await source.snapshot(LONG)
    clock.now += 60
    cluster.failure = DOWN

    stale = await source.snapshot(LONG)
    assert "connection refused" in stale.not_read[0].why
    assert stale.objects is fresh.objects
    assert stale.id != fresh.id, "what is cached for the fresh one says nothing of its age"
    assert await source.snapshot(LONG) is stale
    assert (source.state.connectivity, source.state.serves) == (Connectivity.unhealthy, True)

    clock.now += 300
    with pytest.raises(NoEvidence, match="connection refused") as told:
        await source.snapshot(LONG)
    assert told.value.retry_after is not None
    assert (source.state.connectivity, source.state.serves) == (Connectivity.unhealthy, False)


async def test_a_cluster_that_failed_is_left_alone_for_a_growing_while(
    source: LiveCluster, cluster: Cluster, clock: Clock
):
    cluster.failure = DOWN
    pauses = []
    for _ in range(7):
        with pytest.raises(NoEvidence):
            await source.snapshot(LONG)
        asked = cluster.readings
        waited = 0
        while cluster.readings == asked:
            waited += 1
            clock.now += 1
            with pytest.raises(NoEvidence):
                await source.snapshot(LONG)
        pauses.append(waited)

    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (2, 30)


async def test_when_the_cluster_is_back_nothing_is_said_of_the_outage(
    source: LiveCluster, cluster: Cluster, clock: Clock
):
    cluster.failure = DOWN
    with pytest.raises(NoEvidence):
        await source.snapshot(LONG)
    cluster.failure = None
    clock.now += 60

    assert (await source.snapshot(LONG)).not_read == []
    assert source.state.connectivity is Connectivity.healthy


async def test_evidence_of_the_past_is_given_as_such_and_ages_from_the_time_it_speaks_of(
    source: LiveCluster, cluster: Cluster, clock: Clock
):
    cluster.trouble = "https://cluster.example: connection refused"
    clock.now += 200

    told = await source.snapshot(LONG)
    assert (source.state.connectivity, source.state.serves) == (Connectivity.unhealthy, True)
    assert "connection refused" in source.state.reason

    clock.now += 101
    cluster.failure = DOWN
    with pytest.raises(NoEvidence):
        await source.snapshot(LONG)
    assert told.id == "reading-1"
    assert not source.state.serves


async def test_how_current_it_is_stands_in_its_state(source: LiveCluster, cluster: Cluster):
    await source.snapshot(LONG)

    assert "as of 2026-11-18 09:30:00 UTC; 70 of 70 lists are kept" in source.state.reason


@pytest.mark.requirement("API-BR-CAPI-008", "API-BR-CAPI-012")
async def test_its_state_tells_how_old_what_is_answered_from_is(
    source: LiveCluster, cluster: Cluster, clock: Clock
):
    await source.snapshot(LONG)
    clock.now += 7
    young = source.state.age
    cluster.trouble, cluster.as_of = "the watch is broken", clock.now - 60
    clock.now += 10
    await source.snapshot(LONG)

    assert (young, source.state.age) == (timedelta(seconds=7), timedelta(seconds=70))
    assert not source.state.fixed


@pytest.mark.requirement("API-BR-CAPI-003")
async def test_a_cluster_is_known_by_a_uid_and_without_one_to_this_process_alone(clock: Clock):
    async def identity(*objects: Any) -> str:
        cluster = Cluster(objects=objects)
        made = LiveCluster(cluster, TIMES, clock=clock)
        before = made.state.identity
        await made.snapshot(LONG)
        await made.stop()
        assert before == ""
        return made.state.identity

    system = [kube.thing("Namespace", "kube-system", None) for _ in range(2)]
    system[1]["metadata"]["uid"] = "another"
    named = [await identity(system[0]), await identity(kube.pod("a"), system[0]), await identity(system[1])]
    unnamed = [await identity(kube.pod("a")) for _ in range(2)]

    assert named[0] == named[1] != named[2]
    assert len({*named, *unnamed}) == 4


async def test_a_probe_makes_the_first_snapshot_and_reads_no_more_while_all_is_well(
    source: LiveCluster, cluster: Cluster, clock: Clock
):
    await source.probe(LONG)
    for _ in range(10):
        clock.now += 60
        await source.probe(LONG)

    assert cluster.readings == 1
    assert source.state.connectivity is Connectivity.healthy


async def test_a_probe_sees_the_outage_and_its_end_though_nobody_asks(
    source: LiveCluster, cluster: Cluster, clock: Clock
):
    await source.probe(LONG)
    cluster.up, cluster.failure = False, DOWN
    with pytest.raises(NoEvidence, match="connection refused"):
        await source.probe(LONG)
    during = source.state.connectivity

    cluster.up, cluster.failure = True, None
    clock.now += 60
    await source.probe(LONG)
    assert (during, source.state.connectivity) == (Connectivity.unhealthy, Connectivity.healthy)


async def test_a_fault_of_our_own_is_no_silence(source: LiveCluster, cluster: Cluster):
    cluster.failure = ZeroDivisionError()

    with pytest.raises(ZeroDivisionError):
        await source.snapshot(LONG)
    assert source.state.connectivity is Connectivity.unhealthy


async def test_before_the_first_snapshot_it_says_that_it_is_read(source: LiveCluster, cluster: Cluster):
    cluster.gate = asyncio.Event()
    source.start()

    assert source.state.connectivity is Connectivity.unavailable
    assert "being read" in source.state.reason


async def test_stopping_ends_the_reading_and_closes_the_connections(cluster: Cluster, clock: Clock):
    cluster.gate = asyncio.Event()
    source = LiveCluster(cluster, TIMES, clock=clock)
    source.start()
    await asyncio.sleep(0)

    await source.stop()

    assert cluster.closed
