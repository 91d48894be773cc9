"""A fact's hash is that of its content, whatever the order of its keys."""

from __future__ import annotations

import pytest

from libs.contracts.evidence import content_hash

pytestmark = pytest.mark.requirement("HAPI-004")


def test_equal_bodies_have_equal_hashes_and_others_have_others():
    assert content_hash({"a": 1, "b": "ä"}) == content_hash({"b": "ä", "a": 1})
    assert content_hash({"a": 1}) != content_hash({"a": 2})
