"""A page: the same bytes in every coding, and a time up to which it passes for current."""

from __future__ import annotations

import gzip
from datetime import timedelta

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from libs.cache.provenance import Provenance
from libs.web.page import AHEAD_S, FLOOR_S, Lifetime, make, packed, unpacked

pytestmark = pytest.mark.requirement("API-BR-CAPI-012", "API-BR-PERF-011")

NOW = 1_000_000.0
LARGE = b'{"a": "b"}' * 500


def page(body: bytes = b"{}", age: float = 0.0, lifetime: Lifetime | None = None, took: float = 0.0):
    made_of = Provenance(age=timedelta(seconds=age))
    return make(body, made_of, lifetime or Lifetime(15.0, 30.0), began=NOW - took, now=NOW)


def test_every_coding_holds_the_same_answer():
    made = page(LARGE)

    assert gzip.decompress(made.gzip) == zstandard.decompress(made.zstd) == made.body == LARGE
    assert made.in_coding("gzip") == (made.gzip, "gzip")


def test_what_is_too_small_to_gain_is_sent_as_it_is_whatever_is_liked():
    made = page(b'{"a": 1}')

    assert [made.in_coding(one) for one in ("zstd", "gzip", "")] == [(b'{"a": 1}', "")] * 3


def test_time_is_counted_from_the_evidence_and_not_from_the_answer():
    made = page(age=10.0)

    assert (made.as_of, made.fresh_until, made.stale_until) == (NOW - 10, NOW + 5, NOW + 35)
    assert made.age(NOW + 2) == 12.0


def test_what_changed_while_it_was_made_is_not_thought_to_be_in_it():
    assert page(took=3.0).as_of == NOW - 3


def test_what_is_too_old_when_it_is_made_is_kept_a_moment_and_tells_its_age():
    made = page(age=100.0)

    assert made.fresh_until == NOW + FLOOR_S
    assert made.age(NOW) > made.ttl


def test_a_partial_answer_ends_with_its_own_time_and_is_never_given_stale():
    made = page(lifetime=Lifetime(600.0, at_most=2.0))

    assert made.fresh_until == made.stale_until == NOW + 2


def test_a_page_is_given_until_its_last_moment_and_not_from_the_future():
    made = page()

    assert made.usable(NOW + 44.9)
    assert not made.usable(NOW + 45)
    assert not made.usable(NOW - AHEAD_S - 1)


@given(st.binary(max_size=3000))
def test_it_comes_back_from_a_store_as_it_was(body: bytes):
    made = page(body)

    assert unpacked(packed(made)) == made


@given(st.binary(max_size=100))
def test_what_is_no_page_is_none(data: bytes):
    assert unpacked(data) is None
