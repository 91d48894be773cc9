"""A snapshot of a server that pages, refuses, breaks and lies; and the recording made of it."""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from services.context_api.adapters.live import (
    Access,
    Gathering,
    KubeApi,
    LiveLimits,
    NotAnswering,
    Prometheus,
    Scope,
    gather,
    lists,
)
from services.context_api.adapters.live.connect import connect
from services.context_api.adapters.recording import load_recording, write_recording
from services.context_api.domain.snapshot import Snapshot
from services.context_api.domain.triage import find_causes
from tests.fakes.kube_api import FakeKubeApi, Fault, kubeconfig, refusal, running, serving
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")

CANARY = "s3cret-canary"
LIMITS = replace(LiveLimits(), call=timedelta(seconds=3))
PODS, SECRETS = "/api/v1/pods", "/api/v1/secrets"


def documents() -> list[kube.Doc]:
    sick = kube.pod("api-0", statuses=[kube.crashing()])
    return [
        sick,
        *(kube.pod(f"well-{n}", "data") for n in range(7)),
        kube.thing("Secret", "db", data={"password": b64encode(CANARY.encode()).decode()}),
        kube.thing("Widget", "w", api="example.com/v1", spec={"size": 3}),
        kube.thing("Namespace", "shop", None),
        kube.thing("Namespace", "data", None),
        kube.thing("PersistentVolume", "of-shop", None, spec={"claimRef": {"namespace": "shop"}}),
        kube.thing("PersistentVolume", "of-data", None, spec={"claimRef": {"namespace": "data"}}),
        kube.node("node-1"),
        kube.event(sick, "BackOff", "Back-off restarting failed container", last=1),
        kube.event(sick, "Pulled", "old news", first=700, last=600),
    ]


@pytest.fixture
async def fake() -> AsyncIterator[FakeKubeApi]:
    async with running(documents(), logs={"shop/api-0/app": b"panic: no database\n"}) as made:
        yield made


@pytest.fixture
async def api(fake: FakeKubeApi, tmp_path: Path) -> AsyncIterator[KubeApi]:
    access = Access(str(kubeconfig(tmp_path / "config", fake.url)))
    made = KubeApi(lambda: connect(access), LIMITS)
    yield made
    await made.close()


async def read(
    api: KubeApi, limits: LiveLimits = LIMITS, scope: Scope | None = None, **more: Any
) -> Snapshot:
    return await Gathering(api, limits, scope or Scope(), **more).snapshot()


def names(snapshot: Snapshot, kind: str) -> list[str]:
    return sorted(item.name for item in snapshot.of_kind(kind))


def gaps(snapshot: Snapshot) -> list[str]:
    """Without those about logs that the fake has none of."""
    return [str(gap) for gap in snapshot.not_read if "log of" not in gap.what]


async def test_everything_is_read_custom_resources_and_events_too(api: KubeApi):
    snapshot = await read(api)

    assert len(names(snapshot, "Pod")) == 8
    assert [w.body["spec"] for w in snapshot.of_kind("Widget")] == [{"size": 3}]
    assert len(snapshot.events) == 2
    assert [log.text for log in snapshot.logs] == ["panic: no database\n"]
    assert (snapshot.captured_at, snapshot.source) == (kube.NOW, "kubernetes")
    assert gaps(snapshot) == []


async def test_an_older_servers_discovery_finds_the_same(api: KubeApi, fake: FakeKubeApi):
    new = await read(api)
    fake.aggregated = False

    assert (await read(api)).id == new.id


async def test_the_same_cluster_has_the_same_id_whatever_answers_first(api: KubeApi, fake: FakeKubeApi):
    first = await read(api)
    fake.faults[PODS] = [Fault(wait=0.2)]
    again = await read(api, replace(LIMITS, page=2))
    fake.documents[0]["metadata"]["labels"]["changed"] = "yes"

    assert again.id == first.id
    assert [str(o) for o in again.objects] == [str(o) for o in first.objects]
    assert (await read(api)).id != first.id


async def test_lists_are_read_in_pages(api: KubeApi, fake: FakeKubeApi):
    snapshot = await read(api, replace(LIMITS, page=3))

    assert len(names(snapshot, "Pod")) == 8
    assert [one.partition("?")[2] for one in fake.asked_for(PODS)] == ["limit=3", "limit=3&continue=3", "limit=3&continue=6"]  # fmt: skip


async def test_pages_that_expire_begin_the_list_again(api: KubeApi, fake: FakeKubeApi):
    fake.faults[PODS] = [Fault(wait=0), refusal(410, "The provided continue parameter is too old")]

    snapshot = await read(api, replace(LIMITS, page=3))

    assert len(names(snapshot, "Pod")) == 8
    assert len(fake.asked_for(PODS)) == 2 + 3
    assert gaps(snapshot) == []


async def test_pages_that_expire_for_ever_are_given_up_and_named(api: KubeApi, fake: FakeKubeApi):
    fake.faults[PODS] = [f for _ in range(9) for f in (Fault(wait=0), refusal(410, "too old"))]

    snapshot = await read(api, replace(LIMITS, page=3))

    assert gaps(snapshot) == [
        "pods: only the first 3 were read: what was asked for is too old (HTTP 410: too old)"
    ]
    assert len(fake.asked_for(PODS)) == 6


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (refusal(403, 'secrets is forbidden: User "viewer"'), "not allowed"),
        (refusal(404, "the server could not find the requested resource"), "not there"),
        (refusal(500, "etcdserver: leader changed"), "the server failed"),
        (refusal(429, "too many requests", **{"Retry-After": "99"}), "overloaded"),
        (Fault(body=b'{"items":[{"metadata"'), "no JSON"),
        (Fault(body=b"<html>a proxy's login</html>"), "no JSON"),
        (Fault(body=b'{"kind":"Status"}'), "no list"),
        (Fault(cut=True), "the connection broke"),
        (Fault(wait=30), "no answer within"),
    ],
    ids=["forbidden", "missing", "failed", "overloaded", "cut JSON", "HTML", "no list", "cut connection", "slow"],
)  # fmt: skip
async def test_a_list_that_cannot_be_had_is_named_and_the_others_are_read(
    api: KubeApi, fake: FakeKubeApi, fault: Fault, words: str
):
    fake.faults[SECRETS], fake.sticky = [fault], {SECRETS}

    snapshot = await read(api, replace(LIMITS, call=timedelta(seconds=1)))

    assert len(names(snapshot, "Pod")) == 8
    (gap,) = gaps(snapshot)
    assert gap.startswith("secrets: ")
    assert words in gap


async def test_lists_that_are_not_there_in_time_are_named_with_what_was_read(api: KubeApi, fake: FakeKubeApi):
    fake.faults[PODS] = [Fault(wait=0), Fault(wait=30)]
    began = time.monotonic()

    snapshot = await read(api, replace(LIMITS, page=3, lists_within=timedelta(seconds=1)))

    assert time.monotonic() - began < 3
    assert gaps(snapshot) == ["pods: only the first 3 were read: not read within 1 s"]


async def test_when_the_server_falls_silent_there_is_no_empty_cluster(api: KubeApi, fake: FakeKubeApi):
    real = fake._document
    fake._document = lambda request: (  # type: ignore[method-assign]
        real(request) if request.path in ("/api", "/apis") else web.Response(status=500)
    )

    with pytest.raises(NotAnswering, match="gives no list at all"):
        await read(api, replace(LIMITS, attempts=1))


async def test_without_discovery_there_is_no_snapshot(api: KubeApi, fake: FakeKubeApi):
    fake.faults["/api"], fake.sticky = [refusal(500, "etcd")], {"/api"}

    with pytest.raises(NotAnswering, match="the server failed"):
        await read(api)


async def test_objects_and_bytes_are_bounded_and_what_is_beyond_is_named(api: KubeApi):
    few = await read(api, replace(LIMITS, objects=5))
    small = await read(api, replace(LIMITS, total_bytes=2_000))

    assert len(few.objects) + len(few.events) == 5
    assert any("over the limit of 5 objects" in gap for gap in gaps(few))
    assert any("over the limit of" in gap and "in all" in gap for gap in gaps(small))


async def test_pages_that_are_too_large_are_made_smaller(api: KubeApi, fake: FakeKubeApi):
    fake.documents += [kube.thing("ConfigMap", f"c-{n}", data={"file": "x" * 20_000}) for n in range(30)]

    snapshot = await read(api, replace(LIMITS, page=20, answer_bytes=100_000))

    assert len(names(snapshot, "ConfigMap")) == 30
    assert gaps(snapshot) == []
    assert {"limit=20", "limit=2"} == {
        one.partition("?")[2].partition("&")[0] for one in fake.asked_for("/api/v1/configmaps")
    }


async def test_one_object_that_is_too_large_ends_its_list_and_is_named(api: KubeApi, fake: FakeKubeApi):
    fake.documents.append(kube.thing("ConfigMap", "c", data={"file": "x" * 200_000}))

    snapshot = await read(api, replace(LIMITS, answer_bytes=100_000))

    (gap,) = gaps(snapshot)
    assert gap.startswith("configmaps: is over the limit of")


async def test_what_says_most_is_read_first(api: KubeApi, fake: FakeKubeApi):
    await read(api, replace(LIMITS, at_once=1))

    lists = [one.partition("?")[0].rpartition("/")[2] for one in fake.asked if "limit=" in one]
    assert lists[:5] == ["pods", "nodes", "events", "namespaces", "deployments"]


async def test_secrets_take_the_room_of_what_is_kept_of_them(api: KubeApi, fake: FakeKubeApi):
    large = b64encode(b"x" * 50_000).decode()
    fake.documents += [kube.thing("Secret", f"release-{n}", data={"release": large}) for n in range(20)]

    snapshot = await read(api, replace(LIMITS, page=2, total_bytes=200_000))

    assert len(names(snapshot, "Secret")) == 21
    assert gaps(snapshot) == []


@pytest.mark.requirement("HAPI-015")
async def test_lists_are_asked_for_side_by_side_and_no_more_than_so_many_at_once(
    api: KubeApi, fake: FakeKubeApi
):
    for path in (PODS, SECRETS, "/api/v1/nodes", "/api/v1/events", "/api/v1/configmaps"):
        fake.faults[path] = [Fault(wait=0.1)]

    await read(api, replace(LIMITS, at_once=2))

    assert fake.most_at_once == 2


async def test_named_namespaces_are_read_with_what_belongs_to_none(api: KubeApi, fake: FakeKubeApi):
    snapshot = await read(api, scope=Scope(("shop",)))

    assert names(snapshot, "Pod") == ["api-0"]
    assert names(snapshot, "Node") == ["node-1"]
    assert names(snapshot, "Namespace") == ["shop"]
    assert names(snapshot, "PersistentVolume") == ["of-shop"]
    assert fake.asked_for(PODS) == []
    assert gaps(snapshot) == ["other namespaces: only shop was asked for"]


async def test_events_older_than_asked_for_are_left_out_and_it_is_said(api: KubeApi):
    snapshot = await read(api, scope=Scope(since=timedelta(hours=2)))

    assert [event.body["reason"] for event in snapshot.events] == ["BackOff"]
    assert gaps(snapshot) == ["older events and logs: only the last 7200 s were asked for"]


@pytest.mark.requirement("INF-BR-SEC-005", "HAPI-110")
async def test_a_secrets_data_is_neither_in_the_snapshot_nor_on_the_disk(api: KubeApi, tmp_path: Path):
    snapshot = await read(api)
    write_recording(snapshot, tmp_path / "r", {})

    written = b"".join(path.read_bytes() for path in (tmp_path / "r").rglob("*") if path.is_file())
    for hidden in (CANARY, b64encode(CANARY.encode()).decode()):
        assert hidden not in repr(snapshot)
        assert hidden.encode() not in written
    assert b'"password"' in written


async def test_a_recording_of_a_cluster_reads_as_the_cluster_did(api: KubeApi, tmp_path: Path):
    live = await read(api)
    assert write_recording(live, tmp_path / "r", {"cluster": "test"}) == []

    again = load_recording(tmp_path / "r")

    assert again.captured_at == live.captured_at
    assert {str(o): o.body for o in again.objects} == {str(o): o.body for o in live.objects}
    assert {str(e): e.body for e in again.events} == {str(e): e.body for e in live.events}
    assert [(g.pod, g.previous, g.text) for g in again.logs] == [
        (g.pod, g.previous, g.text) for g in live.logs
    ]
    assert list(again.not_read) == list(live.not_read)
    assert find_causes(again).ranked[0].model_dump(exclude={"evidence_ids"}) == (
        find_causes(live).ranked[0].model_dump(exclude={"evidence_ids"})
    )


async def test_the_event_loop_is_not_held_by_large_lists(api: KubeApi, monkeypatch: pytest.MonkeyPatch):
    threads: dict[str, set[int]] = {}
    for module, name in ((lists, "read_page"), (gather, "ordered"), (gather, "_wanted"), (gather, "_made")):
        monkeypatch.setattr(module, name, _watched(getattr(module, name), threads.setdefault(name, set())))

    await read(api)

    assert set(threads) == {"read_page", "ordered", "_wanted", "_made"}
    for name, used in threads.items():
        assert used, name
        assert threading.get_ident() not in used, name


def _watched(work: Callable[..., Any], used: set[int]) -> Callable[..., Any]:
    def watched(*arguments: Any) -> Any:
        used.add(threading.get_ident())
        return work(*arguments)

    return watched


class FakePrometheus:
    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.tokens: set[str] = set()
        self.broken = False

    async def __call__(self, request: web.Request) -> web.Response:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.asked.append({"path": request.path, **form})
        self.tokens.add(request.headers.get("Authorization", ""))
        if self.broken and "kubelet_volume_stats_used" in form["query"]:
            return web.json_response({"status": "error", "error": "query timed out"}, status=503)
        sample = {"values": [[1, "1"]]} if request.path.endswith("_range") else {"value": [1, "1"]}
        result = [{"metric": {"namespace": "shop", "pod": "api-0"}, **sample}]
        return web.json_response({"status": "success", "data": {"resultType": "x", "result": result}})


async def test_prometheus_is_asked_as_of_now_and_its_answers_are_kept(api: KubeApi, tmp_path: Path):
    fake = FakePrometheus()
    async with serving(fake) as url:
        snapshot = await read(api, prometheus=Prometheus(f"{url}/prefix"))
    write_recording(snapshot, tmp_path / "r", {})

    assert {one["path"] for one in fake.asked} == {"/prefix/api/v1/query", "/prefix/api/v1/query_range"}
    assert {answer.kind for answer in snapshot.metrics} == {"instant", "range"}
    again = load_recording(tmp_path / "r").metrics
    assert {(m.query, m.kind, json.dumps(m.data)) for m in again} == (
        {(m.query, m.kind, json.dumps(m.data)) for m in snapshot.metrics}
    )


async def test_a_query_that_fails_is_named_and_the_others_are_kept(api: KubeApi):
    fake = FakePrometheus()
    fake.broken = True
    async with serving(fake) as url:
        snapshot = await read(api, prometheus=Prometheus(url))

    assert len(snapshot.metrics) == len(fake.asked) - 1
    assert gaps(snapshot) == [f"metrics volumes-used of {url}: Prometheus refused: query timed out"]


async def test_without_a_prometheus_that_answers_the_cluster_is_read_all_the_same(api: KubeApi):
    snapshot = await read(api, prometheus=Prometheus("http://me:pass@127.0.0.1:9"))

    assert len(names(snapshot, "Pod")) == 8
    said = gaps(snapshot)
    assert said
    assert all(gap.startswith("metrics of http://127.0.0.1:9") and "pass" not in gap for gap in said), said
    assert any("the connection broke" in gap for gap in said), said
