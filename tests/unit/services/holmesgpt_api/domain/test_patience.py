"""A synchronous caller is kept no longer than it has time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.holmesgpt_api.domain.patience import sync_wait

pytestmark = pytest.mark.requirement("HAPI-130", "HAPI-005")


@pytest.mark.parametrize(
    ("caller_has", "waits"),
    [(None, 25.0), (60.0, 25.0), (25.0, 24.5), (10.0, 9.5), (0.4, 0.0), (-1.0, 0.0)],
)
def test_the_wait_ends_before_the_callers_deadline(caller_has: float | None, waits: float):
    left = None if caller_has is None else timedelta(seconds=caller_has)

    assert sync_wait(timedelta(seconds=25), left) == timedelta(seconds=waits)
