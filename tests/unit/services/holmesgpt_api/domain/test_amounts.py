"""Numbers in any usual spelling mean the same amount."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.amounts import amounts, meets

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-013")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1.5Gi", "1536Mi", True),
        ("200m", "0.2 cores", True),
        ("4m12s", "252 s", True),
        ("87 %", "0.87", True),
        ("5 minutes", "300s", True),
        ("1.5Gi", "1.5Mi", False),
        ("137", "138", False),
        ("137", "137Mi", False),
    ],
)
def test_amounts_are_compared_by_what_they_mean(one: str, other: str, same: bool):
    assert meets(next(amounts(one)), next(amounts(other))) is same


@pytest.mark.parametrize("text", ["web-137", "1.2.3", "10.0.0.1", "09:05", "checkout-7d9f"])
def test_digits_within_names_versions_and_times_are_no_numbers(text: str):
    assert list(amounts(text)) == []
