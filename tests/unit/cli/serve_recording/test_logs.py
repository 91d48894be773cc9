from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from cli.serve_recording.logs import Wanted, container_of, lines_of, log_of, wanted_of
from cli.serve_recording.paths import query_of
from cli.serve_recording.statuses import Refused
from services.context_api.domain.snapshot import ContainerLog, NotRead
from tests.support.kube import NOW, Doc, container, pod

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-SEC-006")

TIMED = "2026-11-18T09:00:00Z a\n  of a\n2026-11-18T09:20:00.5+00:00 b\n2026-11-18T09:29:00Z c\n"


def log(text: str = "one\ntwo\nthree\n", container: str = "app", *, previous: bool = False) -> ContainerLog:
    return ContainerLog("shop", "api-0", container, previous, text)


def wanted(**query: object) -> Wanted:
    return wanted_of(query_of(urlencode(query).encode()), "api-0", NOW)


def test_a_log_is_answered_as_it_was_recorded():
    for text in ("", "no end", "a\r\n\x0cb\u2028c\n", TIMED):
        assert lines_of(log(text), wanted()) == text.encode()
        assert lines_of(log(text), wanted(tailLines=1000)) == text.encode()


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"tailLines": 0}, b""),
        ({"tailLines": 2}, b"two\nthree\n"),
        ({"limitBytes": 5}, b"one\nt"),
        ({"tailLines": 2, "limitBytes": 4}, b"two\n"),
    ],
)
def test_an_end_or_a_number_of_bytes_can_be_asked_for(query: dict[str, int], text: bytes):
    assert lines_of(log(), wanted(**query)) == text


def test_lines_end_at_line_feeds_alone():
    assert lines_of(log("a\x0cb\u2028c\rd\ne"), wanted(tailLines=2)) == "a\x0cb\u2028c\rd\ne".encode()


def test_since_counts_back_from_the_recordings_now():
    assert lines_of(log(TIMED), wanted(sinceSeconds=11 * 60)) == TIMED.partition("of a\n")[2].encode()
    assert lines_of(log(TIMED), wanted(sinceTime="2026-11-18T09:00:00Z")) == TIMED.encode()
    assert lines_of(log(TIMED), wanted(sinceSeconds=11 * 60, tailLines=1)) == b"2026-11-18T09:29:00Z c\n"
    assert lines_of(log(TIMED), wanted(sinceSeconds=10)) == b""
    assert wanted(sinceSeconds=60).since == NOW - timedelta(seconds=60)


def test_a_line_without_a_time_belongs_to_the_one_before():
    assert b"  of a\n" in lines_of(log(TIMED), wanted(sinceTime="2026-11-18T08:00:00Z"))
    assert b"  of a\n" not in lines_of(log(TIMED), wanted(sinceTime="2026-11-18T09:10:00Z"))


def test_times_that_were_not_recorded_are_not_made_up():
    assert lines_of(log(TIMED), wanted(timestamps="true")) == TIMED.encode()
    assert lines_of(log(""), wanted(timestamps="true")) == b""
    for query in ({"timestamps": "true"}, {"sinceSeconds": 60}):
        with pytest.raises(Refused, match="recorded without times") as refused:
            lines_of(log(), wanted(**query))
        assert refused.value.code == 400


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ({"tailLines": -1}, 422, "must be greater than or equal to 0"),
        ({"limitBytes": 0}, 422, "must be greater than 0"),
        ({"sinceSeconds": 0}, 422, "must be greater than 0"),
        ({"sinceSeconds": 1, "sinceTime": "2026-11-18T09:00:00Z"}, 422, "at most one of"),
        ({"sinceTime": "noon"}, 400, "cannot parse"),
        ({"tailLines": "x"}, 400, "invalid syntax"),
        ({"stream": "Stderr"}, 400, "stream"),
    ],
)
def test_what_cannot_be_meant_is_refused(query: dict[str, object], code: int, words: str):
    with pytest.raises(Refused, match=words) as refused:
        wanted(**query)

    assert refused.value.code == code


def test_a_very_long_time_means_everything():
    assert wanted(sinceSeconds=10**12).since is None


def made(*names: str, **spec: object) -> Doc:
    return pod("api-0", containers=[container(name) for name in names], spec=spec)


def test_the_only_container_needs_no_name():
    assert container_of(made("app"), "") == "app"
    assert container_of(made("app", initContainers=[{"name": "setup"}]), "setup") == "setup"


@pytest.mark.parametrize(
    ("document", "asked", "words"),
    [
        (made("app", "proxy"), "", "a container name must be specified for pod api-0, choose one of: [app proxy]"),
        (made("app", "proxy", initContainers=[{"name": "setup"}]), "",
         "a container name must be specified for pod api-0, choose one of: [app proxy] or one of the init containers: [setup]"),
        (made("app"), "web", "container web is not valid for pod api-0"),
    ],
)  # fmt: skip
def test_a_container_that_is_not_clear_is_asked_for_in_the_api_servers_words(
    document: Doc, asked: str, words: str
):
    with pytest.raises(Refused) as refused:
        container_of(document, asked)

    assert (refused.value.code, refused.value.message) == (400, words)


def test_what_was_not_recorded_is_said_with_its_reason_and_what_there_is():
    logs = [log(), log(previous=True), log(container="proxy")]

    assert log_of(logs, [], "shop", "api-0", Wanted("app", previous=True)) is logs[1]
    with pytest.raises(Refused) as refused:
        log_of(
            logs,
            [NotRead("previous log of shop/api-0/proxy", "HTTP 500")],
            "shop",
            "api-0",
            Wanted("proxy", previous=True),
        )
    assert refused.value.code == 404
    assert refused.value.message == (
        "the previous log of shop/api-0/proxy was not recorded (HTTP 500); of this pod there is: app, app (previous), proxy"
    )
