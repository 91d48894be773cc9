"""The lines of a watch, and those that end it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from services.context_api.adapters.live.errors import ApiFailure, Why
from services.context_api.adapters.live.watch_events import read_event
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")


def line(word: str, body: Any) -> bytes:
    return json.dumps({"type": word, "object": body}).encode()


def why(raw: bytes, known: int | None = 5) -> ApiFailure:
    with pytest.raises(ApiFailure) as told:
        read_event(raw, known)
    return told.value


@pytest.mark.parametrize(("word", "gone"), [("ADDED", False), ("MODIFIED", False), ("DELETED", True)])
def test_a_change_has_its_object_and_version(word: str, gone: bool):
    pod = kube.thing("Pod", "a", version=7)

    event = read_event(line(word, pod), 5)

    assert (event.object, event.version, event.gone, event.bookmark) == (pod, 7, gone, False)


def test_a_bookmark_tells_only_how_far_the_server_is():
    event = read_event(line("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "9"}}), 5)

    assert (event.version, event.bookmark) == (9, True)


def test_changes_of_one_version_are_all_told():
    assert read_event(line("DELETED", kube.thing("Event", "a", version=5)), 5).gone


@pytest.mark.parametrize("word", ["ADDED", "DELETED", "BOOKMARK"])
def test_a_version_before_what_was_told_is_another_history(word: str):
    assert why(line(word, kube.thing("Pod", "a", version=4))).why is Why.went_back


def test_versions_that_are_words_are_not_compared():
    pod = kube.thing("Pod", "a")
    pod["metadata"]["resourceVersion"] = "v-1"

    assert read_event(line("ADDED", pod), 5).version is None


@pytest.mark.parametrize(
    "status", [{"code": 410}, {"code": 410, "reason": "Expired"}, {"reason": "Gone"}, {"reason": "Expired"}]
)
def test_a_version_that_is_too_old_is_told_in_the_stream_as_well(status: dict[str, Any]):
    assert (
        why(line("ERROR", {"kind": "Status", "message": "too old resource version: 3 (9)", **status})).why
        is Why.expired
    )


def test_an_overloaded_server_says_when_to_come_back():
    told = why(line("ERROR", {"code": 429, "message": "busy", "details": {"retryAfterSeconds": 3}}))

    assert (told.why, told.retry_after) == (Why.overloaded, timedelta(seconds=3))


@pytest.mark.parametrize("code", [500, 504, 400, 0])
def test_every_other_error_ends_the_watch_with_the_servers_words(code: int):
    told = why(line("ERROR", {"code": code, "message": "etcd event received\nwith PrevKv=nil"}))

    assert told.why is Why.error_event
    assert "etcd event received with PrevKv=nil" in told.reason


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"null",
        b"[]",
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":[]}',
        line("SYNC", {}),
        line("", {}),
    ],
)
def test_what_is_no_event_cannot_be_passed_over(raw: bytes):
    assert why(raw).why is Why.garbled
