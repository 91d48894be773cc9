"""Entity tags are compared weakly; the coding is the one the caller likes best."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.web.conditional import coding, etag_of, matches

pytestmark = pytest.mark.requirement("API-BR-CAPI-012", "API-BR-PERF-011")

ETAG = b'W/"abc"'
opaque = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'), max_size=12)
tags = st.builds(lambda weak, text: f'{"W/" if weak else ""}"{text}"', st.booleans(), opaque)


@pytest.mark.parametrize(
    "field",
    [
        b'W/"abc"',
        b'"abc"',
        b"*",
        b" * ",
        b'"x", W/"abc"',
        b'"x",W/"abc" , "y"',
        b', , "abc"',
        b'"abc",',
        b'"a,b", "abc"',
    ],
)
def test_it_matches_by_weak_comparison_in_a_list_and_by_a_star(field: bytes):
    assert matches(field, ETAG)


@pytest.mark.parametrize(
    "field",
    [
        b"",
        b"abc",
        b'"abcd"',
        b'w/"abc"',
        b'"ABC"',
        b'"x" "abc"',
        b'"abc',
        b'"abc", x',
        b'**, "abc"',
        b'"a"bc"',
    ],
)
def test_what_is_another_tag_or_no_list_of_tags_does_not_match(field: bytes):
    assert not matches(field, ETAG)


@given(st.lists(tags, max_size=6), tags)
def test_a_list_matches_exactly_when_one_of_its_tags_does(listed: list[str], own: str):
    expected = any(one.removeprefix("W/") == own.removeprefix("W/") for one in listed)

    assert matches(", ".join(listed).encode(), own.encode()) is expected


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_two_answers_have_one_tag_exactly_when_they_are_the_same(one: bytes, other: bytes):
    assert (etag_of(one) == etag_of(other)) is (one == other)
    assert matches(etag_of(one), etag_of(one))


@given(st.binary(max_size=80))
def test_no_field_is_too_strange_to_be_read(field: bytes):
    assert isinstance(matches(field, ETAG), bool)
    assert coding(field) in ("zstd", "gzip", "")


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP;Q=1", "gzip"),
        ("zstd;q=0.2, gzip;q=0.9", "gzip"),
        ("zstd;q=0, gzip;q=0.1", "gzip"),
        ("zstd ; q=0.5 , gzip ; q=0.5", "zstd"),
        ("*", "zstd"),
        ("*;q=0.1, zstd;q=0", "gzip"),
        ("identity", ""),
        ("identity;q=1, gzip;q=0.5", ""),
        ("identity;q=0.3, gzip;q=0.5", "gzip"),
        ("br", ""),
        ("", ""),
        ("gzip;q=0", ""),
        ("*;q=0", ""),
        ("identity;q=0, *;q=0", ""),
        ("gzip;q=2", ""),
        ("gzip;q=x, zstd;q=0.001", "zstd"),
    ],
)
def test_the_coding_follows_the_quality_values(accepted: str, expected: str):
    assert coding(accepted.encode()) == expected
