"""Kill the API server, cut the line and let etcd forget, while objects change: the cache holds what the server lists."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from services.context_api.adapters.live import Access, Gathering, KubeApi, LiveLimits, Watching
from services.context_api.adapters.live.connect import connect
from services.context_api.adapters.live.feed import Feed, Phase
from services.context_api.adapters.live.store import Change
from services.context_api.adapters.live.verdicts import Reason
from tests.chaos.churn import Churn, differences, listed
from tests.support.feeds import Notebook, until
from tests.support.line import Line
from tests.testbed.cluster import Cluster

pytestmark = [
    pytest.mark.needs("testbed"),
    pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008", "INT-BR-TEST-005"),
]

CHURNED = "configmaps"
FAULTS = ("server killed", "line cut", "line cut, server killed, store compacted")


@dataclass
class Trial:
    """Changes at a rate, with faults spread evenly over them."""

    cluster: Cluster
    line: Line
    cache: Watching
    notebook: Notebook
    faults: int
    recoveries_s: list[float] = field(default_factory=list)

    @property
    def feed(self) -> Feed:
        return next(feed for feed in self.cache.feeds.all if str(feed.resource) == CHURNED)

    async def run(self, churn: Churn, changes: int, *, a_minute: float) -> None:
        changing = asyncio.create_task(churn.run(changes, a_minute=a_minute))
        try:
            for number in range(self.faults):
                await self._when(churn, changes * (number + 1) // (self.faults + 1), changing)
                await self._fault(FAULTS[number % len(FAULTS)])
            await changing
        finally:
            changing.cancel()
            await asyncio.gather(changing, return_exceptions=True)

    async def _when(self, churn: Churn, done: int, changing: asyncio.Task[None]) -> None:
        await until(lambda: churn.done.total() >= done or changing.done(), within_s=600)
        assert not changing.done() or churn.done.total() >= done, "the changes ended early"

    async def _fault(self, what: str) -> None:
        cut = "cut" in what
        if cut:
            await self.line.cut()
            await until(lambda: self.feed.phase is not Phase.watching)
            await asyncio.sleep(1)  # changes that the cache will not have been told of
        if "killed" in what:
            compacts = "compacted" in what
            self.cluster.restart("kube-apiserver", meanwhile=self.cluster.compact if compacts else lambda: 0)
            await until(lambda: self.feed.phase is not Phase.watching)
        if cut:
            await self.line.mend()
        began = asyncio.get_running_loop().time()
        await until(lambda: self.feed.phase is Phase.watching, "it watches again", within_s=120)
        self.recoveries_s.append(asyncio.get_running_loop().time() - began)

    async def all_differences(self) -> list[str]:
        """Over every kind, once the cache has had the time to hear of the last change."""
        told: list[str] = []
        for feed in self.cache.feeds.all:
            if feed.phase is Phase.refused or feed.resource.plural == "leases":
                continue
            told += [f"{feed.what}: {one}" for one in await self._differences(feed)]
        return told

    async def _differences(self, feed: Feed) -> list[str]:
        ends = asyncio.get_running_loop().time() + 30
        while True:
            found = differences(feed, await asyncio.to_thread(listed, self.cluster, feed.path))
            if not found or asyncio.get_running_loop().time() > ends:
                return found
            await asyncio.sleep(0.2)


async def trial_of(*, changes: int, a_minute: float, faults: int) -> None:
    notebook, limits = Notebook(), LiveLimits()
    with Cluster() as cluster:
        cluster.halt()
        churn = Churn(cluster, "default")
        async with Line(int(cluster.url.rpartition(":")[2])) as line:
            access = Access(str(cluster.kubeconfig_at(f"https://127.0.0.1:{line.port}")))
            gathering = Gathering(KubeApi(lambda: connect(access), limits), limits)
            cache = Watching(gathering, telling=notebook, stale_limit=timedelta(minutes=5))
            cache.start()
            try:
                async with asyncio.timeout(60):
                    await cache.feeds.ready()
                trial = Trial(cluster, line, cache, notebook, faults)
                await until(lambda: trial.feed.phase is Phase.watching)
                before = {change: notebook.changes[CHURNED, change] for change in Change}
                await trial.run(churn, changes, a_minute=a_minute)
                wrong = await trial.all_differences()
            finally:
                await cache.stop()
    applied = {change.value: notebook.changes[CHURNED, change] - before[change] for change in Change}
    expired = notebook.reasons_of(CHURNED).count(Reason.expired)
    print(
        f"{churn.done.total()} changes in {churn.seconds:.1f} s, {churn.repeats} attempts repeated; {faults} faults, "
        f"{expired} times 410; applied {applied}; differences {len(wrong)}; "
        f"slowest recovery {max(trial.recoveries_s, default=0.0):.1f} s"
    )
    assert not wrong, wrong[:10]
    assert churn.done.total() == changes
    if faults:
        assert expired >= faults // len(FAULTS), "the server had forgotten the cache's version"
    else:
        assert applied == dict(churn.done), "each change once"


async def test_the_cache_equals_the_list_after_three_faults_in_two_thousand_changes():
    await trial_of(changes=2_000, a_minute=10_000, faults=3)


@pytest.mark.campaign
async def test_ten_thousand_changes_in_a_minute_are_each_applied_once():
    # A little faster than asked: the last answers come after the last change is due.
    await trial_of(changes=10_000, a_minute=12_000, faults=0)


@pytest.mark.campaign
async def test_the_cache_equals_the_list_after_twelve_faults_in_ten_thousand_changes():
    await trial_of(changes=10_000, a_minute=10_000, faults=12)
