"""Objects kept as bytes: what selects them costs no decoding, and what is decoded stays bounded."""

from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest

from services.context_api.adapters.live.shelf import Kept, Shelf
from services.context_api.adapters.recording import objects
from services.context_api.domain.graph import Graph
from services.context_api.domain.snapshot import KubeObject
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-PERF-034")

MIB = 1024 * 1024


def kept(document: dict[str, Any], shelf: Shelf) -> Kept:
    admitted, raw = objects.admit(document, origin="/api/v1/pods", object_bytes=MIB)
    return Kept(admitted, raw, shelf)


def plain(document: dict[str, Any]) -> KubeObject:
    return objects.admit(document, origin="/api/v1/pods", object_bytes=MIB)[0].object


def pods(count: int) -> list[dict[str, Any]]:
    owner = kube.thing("ReplicaSet", "web-7d", api="apps/v1")
    return [
        {**kube.thing("Pod", f"web-{n}", labels={"app": "web"}, owner=owner), "spec": {"n": n}}
        for n in range(count)
    ]


def test_it_is_the_same_object_as_one_that_is_kept_decoded():
    document = pods(1)[0]

    lazy, whole = kept(document, Shelf(MIB)), plain(document)

    for name in (
        "api_version",
        "kind",
        "namespace",
        "name",
        "uid",
        "origin",
        "group",
        "body",
        "metadata",
        "spec",
    ):
        assert getattr(lazy, name) == getattr(whole, name)
    assert lazy.labels == whole.labels
    assert list(lazy.owners) == list(whole.owners)
    assert lazy.created_at == whole.created_at
    assert (str(lazy), lazy.target()) == (str(whole), whole.target())


def test_what_selects_an_object_decodes_none():
    shelf = Shelf(MIB)
    seen = [kept(document, shelf) for document in pods(50)]

    chosen = [
        p for p in seen if p.labels.get("app") == "web" and p.owners[0]["name"] == "web-7d" and p.created_at
    ]
    graph = Graph(kube.snapshot())

    assert len(chosen) == 50
    assert shelf.decodings == 0
    assert graph.owner(seen[0]) is None
    assert shelf.decodings == 0


def test_a_body_is_decoded_once_and_is_then_an_attribute_like_any():
    shelf = Shelf(MIB)
    pod = kept(pods(1)[0], shelf)

    assert pod.body is pod.body
    assert shelf.decodings == 1


def test_replicas_share_their_labels_and_their_owner():
    shelf = Shelf(MIB)
    one, other = (kept(document, shelf) for document in pods(2))

    assert one.labels is other.labels
    assert one.owners is other.owners


def test_however_many_are_looked_into_what_is_decoded_stays_bounded():
    documents = pods(200)
    size = len(orjson.dumps(documents[0]))
    shelf = Shelf(10 * size)
    seen = [kept(document, shelf) for document in documents]

    for _ in range(2):
        for number, pod in enumerate(seen):
            assert pod.body["spec"] == {"n": number}
            assert shelf.bytes <= 10 * size

    assert shelf.decodings == 400, "the oldest went first, so the second walk found none of the first"
    assert seen[-1].body is seen[-1].body


def test_one_that_is_larger_than_the_shelf_can_be_read_all_the_same():
    shelf = Shelf(10)

    pod = kept(pods(1)[0], shelf)

    assert pod.body["kind"] == "Pod"
    assert shelf.bytes == 0


def test_threads_that_look_into_the_same_objects_see_whole_ones():
    documents = pods(40)
    shelf = Shelf(3 * len(orjson.dumps(documents[0])))
    seen = [kept(document, shelf) for document in documents]
    wrong: list[Any] = []

    def look() -> None:
        for _ in range(200):
            wrong.extend(pod.name for n, pod in enumerate(seen) if pod.body.get("spec") != {"n": n})

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not wrong
    assert shelf.bytes <= 3 * len(orjson.dumps(documents[0])) + 10


def test_a_name_it_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing"):
        _ = kept(pods(1)[0], Shelf(MIB)).nothing


@pytest.mark.parametrize(("statuses", "telling"), [([kube.crashing()], True), ([kube.running()], False)])
def test_whether_a_pods_log_may_tell_something_is_known_without_looking(statuses: list[Any], telling: bool):
    shelf = Shelf(MIB)

    assert kept(kube.pod("a", statuses=statuses), shelf).stands_out is telling
    assert shelf.decodings == 0
