from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from cli.serve_recording import watching
from cli.serve_recording.index import index_of
from cli.serve_recording.negotiation import Form
from cli.serve_recording.paths import Asked, query_of
from cli.serve_recording.selection import selection_of
from cli.serve_recording.statuses import Refused
from tests.support.kube import pod, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")

INDEX = index_of(snapshot(pod("a", labels={"app": "x"}), pod("b")))
PODS = INDEX.shelves["", "v1", "pods"]


def events(query: bytes = b"", form: Form = Form.plain) -> list[Any]:
    read = query_of(query)
    chosen = selection_of(Asked("", "v1", "pods"), read, PODS)
    return [json.loads(line) for line in watching.first_events(INDEX, PODS, chosen, read, form)]


@pytest.mark.parametrize("query", [b"", b"resourceVersion=0"])
def test_from_nowhere_every_object_is_told_once(query: bytes):
    told = events(query)

    assert [(one["type"], one["object"]["metadata"]["name"]) for one in told] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
    ]
    assert told[0]["object"] == PODS.items[0].body
    assert len(events(query + b"&labelSelector=app")) == 1


def test_from_the_recordings_own_version_nothing_happens():
    assert events(f"resourceVersion={INDEX.resource_version}".encode()) == []


def test_from_an_older_version_one_has_to_list_again():
    with pytest.raises(Refused) as refused:
        events(b"resourceVersion=7")

    assert (refused.value.code, refused.value.message) == (410, "too old resource version: 7 (1000)")


def test_a_streaming_list_ends_with_its_mark():
    told = events(b"sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan")

    assert [one["type"] for one in told] == ["ADDED", "ADDED", "BOOKMARK"]
    assert told[-1]["object"]["metadata"]["annotations"] == {watching.INITIAL_EVENTS_END: "true"}
    assert told[-1]["object"]["metadata"]["resourceVersion"] == "1000"
    assert events(b"sendInitialEvents=false") == []
    with pytest.raises(Refused):
        events(b"sendInitialEvents=true")


def test_kubectl_gets_rows():
    table = events(form=Form.table)[0]["object"]

    assert (table["kind"], table["rows"][0]["cells"][:2]) == ("Table", ["a", "1/1"])
    assert events(form=Form.partial)[0]["object"]["kind"] == "PartialObjectMetadata"


@pytest.mark.parametrize(
    ("query", "held"),
    [(b"", watching.LONGEST), (b"timeoutSeconds=3", timedelta(seconds=3)), (b"timeoutSeconds=99999999999", watching.LONGEST), (b"timeoutSeconds=-1", watching.LONGEST)],
)  # fmt: skip
def test_a_watch_is_held_for_as_long_as_is_asked(query: bytes, held: timedelta):
    assert watching.held_for(query_of(query)) == held
