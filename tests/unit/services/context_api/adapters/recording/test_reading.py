from __future__ import annotations

import gzip
import io
from typing import BinaryIO

import pytest

from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.adapters.recording.limits import Limits
from services.context_api.adapters.recording.reading import Found, inflate, read_tail, read_whole

pytestmark = pytest.mark.requirement("API-BR-SEC-006", "INF-BR-REL-008")

SMALL = Limits(file_bytes=1000, inflate_ratio=100)


def found(content: bytes, path: str = "a.yaml", size: int | None = None) -> Found:
    return Found(path, len(content) if size is None else size, lambda: io.BytesIO(content))


def never_opened() -> BinaryIO:
    raise AssertionError("a file over the limit was opened")


def test_a_file_over_the_limit_is_refused_before_it_is_opened():
    with pytest.raises(NotUsable, match="over the limit"):
        read_whole(Found("a.yaml", 50_000_000, never_opened), SMALL)


def test_a_file_that_grew_since_it_was_listed_is_refused_as_well():
    with pytest.raises(NotUsable, match="over the limit"):
        read_whole(found(b"x" * 2000, size=10), SMALL)


def test_a_packed_file_is_read_unpacked():
    assert read_whole(found(gzip.compress(b"a: 1\n"), "a.yaml.gz"), SMALL) == b"a: 1\n"


def test_several_packed_members_are_one_file():
    assert inflate(gzip.compress(b"a") + gzip.compress(b"b") + b"\0\0", 100, 100) == b"ab"


def test_inflation_stops_at_the_limit():
    with pytest.raises(NotUsable, match="inflates beyond"):
        inflate(gzip.compress(b"x" * 100_000), 1000, 10_000)


def test_inflation_stops_at_the_ratio():
    bomb = gzip.compress(b"\0" * 10_000_000)

    with pytest.raises(NotUsable, match="100 times"):
        inflate(bomb, 10**9, 100)


@pytest.mark.parametrize(
    ("packed", "word"),
    [
        (b"no gzip", "no gzip"),
        (gzip.compress(b"hello" * 100)[:-9], "cut off"),
        (gzip.compress(b"a") + b"junk", "no gzip"),
    ],
)
def test_what_is_no_whole_gzip_is_refused(packed: bytes, word: str):
    with pytest.raises(NotUsable, match=word):
        inflate(packed, 1000, 100)


def test_the_tail_begins_with_a_whole_line():
    content = b"".join(b"line %03d\n" % n for n in range(100))

    tail, cut = read_tail(found(content, "a.log"), 25, SMALL)

    assert (tail, cut) == (b"line 098\nline 099\n", True)


def test_a_tail_that_begins_exactly_at_a_line_keeps_it():
    assert read_tail(found(b"one\ntwo\n", "a.log"), 4, SMALL) == (b"two\n", True)


def test_a_short_log_is_whole():
    assert read_tail(found(b"one\ntwo\n", "a.log"), 100, SMALL) == (b"one\ntwo\n", False)


def test_an_endless_line_is_kept_from_where_it_was_cut():
    tail, cut = read_tail(found(b"x" * 100, "a.log"), 10, SMALL)

    assert cut
    assert tail == b"x" * 11


def test_a_packed_logs_tail_is_its_unpacked_end():
    tail, cut = read_tail(found(gzip.compress(b"one\ntwo\nthree\n"), "a.log.gz"), 8, SMALL)

    assert (tail, cut) == (b"three\n", True)


def test_an_empty_log_is_empty():
    assert read_tail(found(b"", "a.log"), 10, SMALL) == (b"", False)
