"""What a run goes on from comes back as it was packed, and is bounded on both ways."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.holmesgpt_api.engine.packing import TooLarge, pack, unpack

pytestmark = pytest.mark.requirement("HAPI-029")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_what_is_packed_is_unpacked_as_it_was(value: object):
    assert unpack(pack(value, at_most=1_000_000)) == value


def test_a_package_beyond_its_bound_is_refused_before_it_is_sent():
    with pytest.raises(TooLarge):
        pack([str(number) for number in range(10_000)], at_most=1_000)


def test_a_package_that_unfolds_beyond_its_bound_is_not_unfolded():
    bomb = zlib.compress(b'"' + b"a" * 10_000_000 + b'"', 9)

    assert len(bomb) < 20_000
    with pytest.raises(TooLarge):
        unpack(bomb, at_most=1_000_000)


@pytest.mark.parametrize("damaged", [b"", b"no package", pack([1, 2, 3], at_most=1000)[:-5]])
def test_what_was_never_packed_is_refused(damaged: bytes):
    with pytest.raises(ValueError, match=r"package|packed"):
        unpack(damaged)
