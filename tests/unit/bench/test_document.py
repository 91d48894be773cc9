"""The page of figures keeps what other commands wrote."""

from __future__ import annotations

import pytest

from tests.bench.document import with_body, with_part

pytestmark = pytest.mark.requirement("INT-BR-TEST-005")


def test_a_part_is_added_at_the_end_and_then_replaced_where_it_stands():
    first = with_part("# Page\n\nbody\n", "make a", "one")
    second = with_part(with_part(first, "make b", "two"), "make a", "three")

    assert second.index("three") < second.index("two")
    assert "one" not in second
    assert second.startswith("# Page\n\nbody\n")


def test_a_new_body_leaves_the_parts_alone():
    page = with_part(with_part("# Old\n", "make a", "one"), "make b", "two")

    fresh = with_body(page, "# New\n")

    assert "Old" not in fresh
    assert fresh == with_part(with_part("# New\n", "make a", "one"), "make b", "two")
