"""Logs of a cluster whose nodes serve some, none, or take for ever."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.context_api.adapters.live.api import KubeApi
from services.context_api.adapters.live.connect import Access, connect
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.live.lists import Room
from services.context_api.adapters.live.logs import LogReader
from services.context_api.domain.wanted_logs import LogReason, WantedLog
from tests.fakes.kube_api import FakeKubeApi, Fault, kubeconfig, refusal, running

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")

LIMITS = replace(LiveLimits(), call=timedelta(seconds=2), logs_within=timedelta(seconds=3))


@pytest.fixture
async def fake() -> AsyncIterator[FakeKubeApi]:
    async with running([]) as made:
        yield made


@pytest.fixture
async def api(fake: FakeKubeApi, tmp_path: Path) -> AsyncIterator[KubeApi]:
    access = Access(str(kubeconfig(tmp_path / "config", fake.url)))
    made = KubeApi(lambda: connect(access), LIMITS)
    yield made
    await made.close()


def wanted(pod: str, node: str, *, previous: bool = False) -> WantedLog:
    return WantedLog("shop", pod, "app", previous, node, LogReason.ends)


def path(pod: str) -> str:
    return f"/api/v1/namespaces/shop/pods/{pod}/log"


def reader(
    api: KubeApi, *, limits: LiveLimits = LIMITS, size: int = 10_000_000, since: timedelta | None = None
) -> LogReader:
    return LogReader(api, limits, Room(size, 100), since=since)


async def test_current_and_previous_logs_are_told_apart(api: KubeApi, fake: FakeKubeApi):
    fake.logs = {"shop/a/app": b"now\n", "shop/a/app/previous": b"then\0\xff\n"}
    reading = reader(api)

    await reading.read([wanted("a", "n1"), wanted("a", "n1", previous=True)])

    assert {(log.previous, log.text) for log in reading.logs} == {(False, "now\n"), (True, "then��\n")}
    assert reading.gaps == []


async def test_a_node_that_serves_no_logs_is_spared_and_the_others_are_read(api: KubeApi, fake: FakeKubeApi):
    for n in range(6):
        fake.faults[path(f"dead-{n}")] = [refusal(500, 'Get "https://10.0.0.9:10250": dial tcp: i/o timeout')]
        fake.logs[f"shop/live-{n}/app"] = b"fine\n"
    reading = reader(api)

    await reading.read([wanted(f"{kind}-{n}", f"node-{kind}") for n in range(6) for kind in ("dead", "live")])

    assert len(reading.logs) == 6
    assert sum("dead" in asked for asked in fake.asked) == 2
    assert str(reading.gaps[-1]) == "4 more container logs of node node-dead: the node does not serve logs"
    assert "i/o timeout" in reading.gaps[0].why


async def test_a_container_without_that_log_does_not_count_against_its_node(api: KubeApi, fake: FakeKubeApi):
    fake.logs["shop/z/app"] = b"fine\n"
    reading = reader(api)

    await reading.read([wanted(pod, "n1") for pod in ("a", "b", "c", "d", "z")])

    assert [log.pod for log in reading.logs] == ["z"]
    assert len(reading.gaps) == 4


async def test_slow_nodes_do_not_hold_the_snapshot_up(api: KubeApi, fake: FakeKubeApi):
    for n in range(4):
        fake.faults[path(f"slow-{n}")] = [Fault(wait=30)]
    fake.logs["shop/a/app"] = b"fine\n"
    reading = reader(api, limits=replace(LIMITS, logs_within=timedelta(milliseconds=500)))
    began = time.monotonic()

    await reading.read([*(wanted(f"slow-{n}", "slow") for n in range(4)), wanted("a", "n1")])

    assert time.monotonic() - began < 2
    assert [log.pod for log in reading.logs] == ["a"]
    assert [str(gap) for gap in reading.gaps] == ["4 container logs of node slow: not read within 0.5 s"]


async def test_only_so_many_are_asked_for_at_once(api: KubeApi, fake: FakeKubeApi):
    for n in range(20):
        fake.faults[path(f"p-{n}")] = [Fault(wait=0.05)]
        fake.logs[f"shop/p-{n}/app"] = b"x\n"
    reading = reader(api, limits=replace(LIMITS, at_once=3))

    await reading.read([wanted(f"p-{n}", f"node-{n}") for n in range(20)])

    assert len(reading.logs) == 20
    assert fake.most_at_once <= 3


async def test_logs_beyond_the_room_are_named(api: KubeApi, fake: FakeKubeApi):
    fake.logs = {"shop/a/app": b"x" * 50, "shop/b/app": b"x" * 60}
    reading = reader(api, size=100)

    await reading.read([wanted("a", "n1"), wanted("b", "n1")])

    assert [log.pod for log in reading.logs] == ["a"]
    assert str(reading.gaps[0]) == "log of shop/b/app: over the limit of bytes in all"


async def test_lines_and_time_are_limited_where_the_log_is_written(api: KubeApi, fake: FakeKubeApi):
    fake.logs = {"shop/a/app": b"x\n"}

    await reader(api, since=timedelta(hours=1)).read([wanted("a", "n1")])

    assert "tailLines=1000" in fake.asked[0]
    assert "sinceSeconds=3600" in fake.asked[0]
    assert "limitBytes" not in fake.asked[0], "it would cut off the end"
