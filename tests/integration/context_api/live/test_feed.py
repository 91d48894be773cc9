"""One list kept current against a server that forgets, breaks, refuses, falls silent and is put back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.context_api.adapters.live import Access, KubeApi, LiveLimits, Quota
from services.context_api.adapters.live import feed as feeds
from services.context_api.adapters.live.connect import connect
from services.context_api.adapters.live.discovery import Resource
from services.context_api.adapters.live.feed import Feed, Phase
from services.context_api.adapters.live.store import Change, Table
from services.context_api.adapters.live.verdicts import Reason
from tests.fakes.kube_api import FakeKubeApi, Fault, kubeconfig, refusal, running
from tests.support import kube
from tests.support.feeds import Notebook, kept, until, world

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")

PODS = Resource("", "pods", "v1", "Pod", True)
PATH = "/api/v1/pods"
LIMITS = replace(LiveLimits(), call=timedelta(seconds=3), page=3)


@pytest.fixture
async def fake() -> AsyncIterator[FakeKubeApi]:
    async with running([kube.pod(f"p-{n}") for n in range(7)]) as made:
        yield made


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
async def api(fake: FakeKubeApi, tmp_path: Path) -> AsyncIterator[KubeApi]:
    access = Access(str(kubeconfig(tmp_path / "config", fake.url)))
    made = KubeApi(lambda: connect(access), LIMITS)
    yield made
    await made.close()


@pytest.fixture
async def pods(api: KubeApi, notebook: Notebook) -> AsyncIterator[Feed]:
    """Listed, and watching."""
    async with kept(Feed(PODS, None, world(api, notebook, LIMITS))) as made:
        await until(lambda: made.phase is Phase.watching)
        yield made


def state(feed: Feed) -> dict[str, str]:
    return {item.name: item.version for item in feed.table}


def truth(fake: FakeKubeApi) -> dict[str, str]:
    return {
        d["metadata"]["name"]: d["metadata"]["resourceVersion"] for d in fake.documents if d["kind"] == "Pod"
    }


async def settled(feed: Feed, fake: FakeKubeApi) -> None:
    await until(lambda: state(feed) == truth(fake), "the cache and the server have the same pods")


async def test_all_pages_are_listed_and_every_change_follows(
    pods: Feed, fake: FakeKubeApi, notebook: Notebook
):
    fake.change("ADDED", kube.pod("new"))
    fake.change("MODIFIED", kube.pod("p-1"))
    fake.change("DELETED", kube.pod("p-2"))

    await settled(pods, fake)
    assert notebook.changes == {
        ("pods", Change.added): 8,
        ("pods", Change.modified): 1,
        ("pods", Change.deleted): 1,
    }
    assert len(fake.asked_for(PATH)) == 3
    assert "resourceVersion=1000" in fake.watches_of(PATH)[0]


async def test_a_watch_that_ends_goes_on_where_it_was_without_a_list(
    pods: Feed, fake: FakeKubeApi, notebook: Notebook
):
    fake.change("MODIFIED", kube.pod("p-1"))
    await settled(pods, fake)
    fake.end_watches()
    fake.change("MODIFIED", kube.pod("p-1"), quietly=True)
    fake.change("DELETED", kube.pod("p-3"), quietly=True)

    await settled(pods, fake)
    assert notebook.reasons_of("pods") == [Reason.first]
    assert notebook.changes["pods", Change.modified] == 2, "what was told twice counts once"


@pytest.mark.parametrize("how", ["in the stream", "as a status"])
async def test_a_version_that_is_too_old_is_listed_anew_and_nothing_is_missing(
    pods: Feed, fake: FakeKubeApi, notebook: Notebook, how: str
):
    fake.change("DELETED", kube.pod("p-0"), quietly=True)
    fake.change("MODIFIED", kube.pod("p-1"), quietly=True)
    fake.change("ADDED", kube.pod("new"), quietly=True)
    fake.compact()
    if how == "as a status":
        fake.faults[PATH] = [refusal(410, "too old resource version")]
    fake.end_watches()

    await settled(pods, fake)
    await until(lambda: pods.phase is Phase.watching)
    assert notebook.reasons_of("pods") == [Reason.first, Reason.expired]


async def test_while_it_is_listed_anew_what_was_there_is_still_there(pods: Feed, fake: FakeKubeApi):
    before = state(pods)
    fake.change("ADDED", kube.pod("new"), quietly=True)
    fake.compact()
    fake.faults[PATH] = [refusal(410, "too old"), Fault(wait=0), Fault(wait=0.3), Fault(wait=0)]
    fake.end_watches()
    await until(lambda: pods.phase is Phase.behind)

    seen = set()
    while pods.phase is not Phase.watching:
        seen.add(len(pods.table))
        assert pods.as_of is not None or pods.phase is not Phase.behind
        await asyncio.sleep(0.005)

    assert seen <= {len(before), len(before) + 1}, "never a part of it"


async def test_a_connection_that_breaks_in_the_middle_of_an_object_loses_and_doubles_nothing(
    pods: Feed, fake: FakeKubeApi, notebook: Notebook
):
    fake.change("MODIFIED", kube.pod("p-1"))
    await settled(pods, fake)
    fake.change("MODIFIED", kube.pod("p-2"), quietly=True)
    fake.say("Pod", b'{"type":"MODIFIED","object":{"kind":"Pod","meta')
    fake.end_watches()

    await settled(pods, fake)
    assert notebook.ends == [("pods", Reason.unreachable)]
    assert notebook.reasons_of("pods") == [Reason.first], "the server's store was the same"
    assert notebook.changes["pods", Change.modified] == 2


@pytest.mark.parametrize("word", ["bookmark", "change"])
async def test_a_version_older_than_what_was_told_is_listed_anew(
    pods: Feed, fake: FakeKubeApi, notebook: Notebook, word: str
):
    if word == "bookmark":
        fake.bookmark("Pod", 7)
    else:
        fake.version = 6
        fake.change("MODIFIED", kube.pod("p-1"))

    await until(lambda: Reason.went_back in notebook.reasons_of("pods"))
    await settled(pods, fake)


async def test_a_store_that_was_put_back_while_nobody_looked_is_noticed(
    pods: Feed, fake: FakeKubeApi, notebook: Notebook
):
    """A watch from a version that is still to come would be silent for ever."""
    fake.version = 400
    fake.documents = [kube.pod("p-1", "shop")]
    fake.documents[0]["metadata"]["resourceVersion"] = "399"
    fake.say("Pod", b'{"half')
    fake.end_watches()

    await settled(pods, fake)
    assert notebook.reasons_of("pods") == [Reason.first, Reason.went_back]


async def test_a_watch_that_has_had_bookmarks_and_falls_silent_is_not_trusted(
    pods: Feed, fake: FakeKubeApi, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(feeds, "SILENCE", timedelta(milliseconds=200))
    fake.bookmark("Pod")
    await until(lambda: notebook.ends, "the silence was noticed")
    fake.change("MODIFIED", kube.pod("p-1"), quietly=True)

    await settled(pods, fake)
    assert notebook.ends[0] == ("pods", Reason.silent)
    assert notebook.reasons_of("pods") == [Reason.first]


async def test_a_bookmark_moves_the_place_where_the_next_watch_begins(pods: Feed, fake: FakeKubeApi):
    fake.version = 5_000
    fake.bookmark("Pod")
    await until(lambda: pods.table.version == 5_000)
    fake.kept_since = 4_000
    fake.end_watches()
    await until(lambda: len(fake.watches_of(PATH)) == 2)

    assert "resourceVersion=5000" in fake.watches_of(PATH)[1]
    await until(lambda: pods.phase is Phase.watching)
    assert len(fake.asked_for(PATH)) == 3, "no list but the first"


async def test_an_error_in_the_stream_that_is_no_410_is_listed_anew(
    pods: Feed, fake: FakeKubeApi, notebook: Notebook
):
    fake.change("ADDED", kube.pod("new"), quietly=True)
    fake.say("Pod", b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"no PrevKv"}}\n')

    await settled(pods, fake)
    assert notebook.reasons_of("pods") == [Reason.first, Reason.error_event]


async def test_what_cannot_be_read_is_no_change_that_is_passed_over(
    pods: Feed, fake: FakeKubeApi, notebook: Notebook
):
    fake.change("ADDED", kube.pod("new"), quietly=True)
    fake.say("Pod", b'{"type":"ADDED","object":"x"}\n')

    await settled(pods, fake)
    assert notebook.reasons_of("pods") == [Reason.first, Reason.garbled]


async def test_an_outage_leaves_what_is_there_says_since_when_and_ends_by_itself(
    pods: Feed, fake: FakeKubeApi, notebook: Notebook
):
    fake.bookmark("Pod")
    await until(lambda: pods.table.resume == fake.version and pods.heard)
    before, now = state(pods), asyncio.get_running_loop().time()
    fake.faults[PATH], fake.sticky = [refusal(500, "etcdserver: no leader")], {PATH}
    fake.say("Pod", b'{"half')
    fake.end_watches()
    await until(lambda: pods.failures >= 3)

    assert (pods.phase, state(pods)) == (Phase.behind, before)
    assert pods.as_of is not None
    assert now - 0.1 <= pods.as_of <= now + 2, "current until the break"
    assert "no leader" in pods.trouble
    fake.change("ADDED", kube.pod("new"), quietly=True)
    fake.faults.clear()
    await settled(pods, fake)
    await until(lambda: pods.phase is Phase.watching)
    await until(lambda: pods.as_of is None and not pods.trouble)


async def test_a_watch_that_is_let_in_only_to_be_told_410_makes_nothing_current(
    pods: Feed, fake: FakeKubeApi, monkeypatch: pytest.MonkeyPatch
):
    """What is there is of the time of the break, however long the lists then fail."""
    gone = Fault(200, b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n')
    same = Fault(200, b'{"metadata":{"resourceVersion":"1000"},"items":[]}')
    fake.say("Pod", b'{"half')
    fake.faults[PATH], fake.sticky = [same, gone, refusal(500, "no leader")], {PATH}
    fake.end_watches()
    await until(lambda: pods.phase is Phase.behind)
    broken = pods.as_of

    await until(lambda: "no leader" in pods.trouble and pods.failures >= 4)

    assert pods.as_of == broken


async def test_a_kind_that_may_not_be_listed_is_asked_for_once_and_named(
    api: KubeApi, fake: FakeKubeApi, notebook: Notebook
):
    fake.faults[PATH], fake.sticky = [refusal(403, 'User "x" cannot list pods')], {PATH}
    async with kept(Feed(PODS, None, world(api, notebook, LIMITS))) as pods:
        await pods.tried.wait()
        await asyncio.sleep(0.5)

    assert (pods.phase, len(pods.table)) == (Phase.refused, 0)
    assert 'User "x" cannot list pods' in pods.trouble
    assert len(fake.asked) == 1


async def test_a_right_that_is_taken_away_takes_what_was_read_with_it(pods: Feed, fake: FakeKubeApi):
    fake.compact()
    fake.version += 1
    fake.kept_since = fake.version
    fake.faults[PATH] = [Fault(410, b"{}"), refusal(403, "cannot list pods")]
    fake.end_watches()

    await until(lambda: pods.phase is Phase.refused)
    assert len(pods.table) == 0


async def test_what_may_be_listed_and_not_watched_is_listed_again_and_again(
    api: KubeApi, fake: FakeKubeApi, notebook: Notebook
):
    fake.watchable = False
    resource = replace(PODS, watchable=False)
    async with kept(Feed(resource, None, world(api, notebook, LIMITS))) as pods:
        await pods.tried.wait()
        fake.change("ADDED", kube.pod("new"))
        await settled(pods, fake)

    assert pods.phase is Phase.polled
    assert fake.watches_of(PATH) == []
    assert set(notebook.reasons_of("pods")) == {Reason.first, Reason.polled}


async def test_without_the_right_to_watch_it_is_polled(api: KubeApi, fake: FakeKubeApi, notebook: Notebook):
    pages = [Fault(wait=0)] * 3
    fake.faults[PATH] = [*pages, refusal(403, "cannot watch pods")] * 5
    async with kept(Feed(PODS, None, world(api, notebook, LIMITS))) as pods:
        await until(lambda: Reason.forbidden in [reason for _, reason in notebook.ends])
        fake.change("ADDED", kube.pod("new"), quietly=True)
        await settled(pods, fake)

    assert pods.gaps == []


async def test_an_object_no_server_should_print_is_named_and_the_others_go_on(pods: Feed, fake: FakeKubeApi):
    fake.change("ADDED", kube.pod("p-1", labels={"a": {}}))  # type: ignore[dict-item]
    fake.change("ADDED", kube.pod("good"))

    await until(lambda: "good" in state(pods))
    assert "p-1" not in state(pods), "the old one would be a lie"
    assert ["no texts" in gap.why for gap in pods.gaps] == [True]


async def test_an_object_beyond_the_limit_of_a_line_ends_the_watch_and_not_the_feed(
    fake: FakeKubeApi, api: KubeApi, notebook: Notebook
):
    small = replace(LIMITS, object_bytes=20_000)
    async with kept(Feed(PODS, None, world(api, notebook, small))) as pods:
        await until(lambda: pods.phase is Phase.watching)
        fake.change("ADDED", {**kube.pod("huge"), "data": "x" * 200_000})
        await until(lambda: pods.gaps)
        fake.change("ADDED", kube.pod("good"))
        await until(lambda: "good" in state(pods))

    assert Reason.large in notebook.reasons_of("pods")
    assert "huge" not in state(pods)


async def test_large_objects_are_read_without_holding_the_event_loop(pods: Feed, fake: FakeKubeApi):
    fake.change("ADDED", {**kube.pod("large"), "data": ["x" * 50] * 20_000})

    await settled(pods, fake)


async def test_when_there_is_room_again_what_was_left_out_is_listed(
    fake: FakeKubeApi, api: KubeApi, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
):
    tight = replace(LIMITS, kept_objects=8)
    made = Feed(PODS, None, world(api, notebook, tight))
    async with kept(made) as pods:
        await until(lambda: pods.phase is Phase.watching)
        fake.change("ADDED", kube.pod("x-1"))
        fake.change("ADDED", kube.pod("x-2"))
        await until(lambda: pods.table.cut)
        assert len(pods.table) == 8
        # It had been listed a moment ago; five minutes are for real clusters.
        monkeypatch.setattr(pods, "_listed_at", -1_000.0)
        fake.change("DELETED", kube.pod("p-0"))
        fake.change("DELETED", kube.pod("p-1"))
        fake.change("DELETED", kube.pod("p-2"))
        await settled(pods, fake)

    assert not pods.table.cut
    assert Reason.room in notebook.reasons_of("pods")


async def test_a_mistake_of_ours_is_logged_named_and_mended_by_a_list(
    pods: Feed, fake: FakeKubeApi, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
):
    def broken(self: Table, item: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(Table, "put", broken)
        fake.change("ADDED", kube.pod("new"))
        await until(lambda: "ZeroDivisionError" in pods.trouble)

    await settled(pods, fake)
    assert Reason.fault in notebook.reasons_of("pods")


async def test_ending_it_leaves_no_task_and_no_connection(
    fake: FakeKubeApi, api: KubeApi, notebook: Notebook
):
    before = asyncio.all_tasks()
    async with kept(Feed(PODS, None, world(api, notebook, LIMITS))) as pods:
        await until(lambda: pods.phase is Phase.watching)
        assert fake.watching("Pod") == 1

    assert not [task for task in asyncio.all_tasks() - before if "Feed" in repr(task)]
    # A server sees that nobody reads any more when it writes.
    async with asyncio.timeout(10):
        while fake.watching("Pod"):
            fake.say("Pod", b"\n")
            await asyncio.sleep(0.01)


@pytest.mark.requirement("HAPI-180")
async def test_all_requests_together_keep_to_the_clients_limit(
    fake: FakeKubeApi, notebook: Notebook, tmp_path: Path
):
    access = Access(str(kubeconfig(tmp_path / "config", fake.url)))
    api = KubeApi(lambda: connect(access), replace(LIMITS, quota=Quota(per_second=50, burst=5)))
    api.watchers.append(notebook.asked)
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(30):
                group.create_task(api.get("/version"))
    finally:
        await api.close()

    sent = sorted(notebook.asked_at)
    assert len(sent) == 30
    assert sent[-1] - began >= (30 - 5) / 50
