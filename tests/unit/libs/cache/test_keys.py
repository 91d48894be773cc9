from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.cache import key

pytestmark = pytest.mark.requirement("API-BR-CAPI-003")

PARTS = st.lists(st.text(alphabet=":0123456789ab", max_size=6), max_size=4)


@given(PARTS, PARTS)
def test_different_parts_never_share_a_key(one: list[str], other: list[str]):
    assert (key(*one) == key(*other)) == (one == other)
