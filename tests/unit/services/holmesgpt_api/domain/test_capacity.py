"""Memory decides how many runs go on at once."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.capacity import MIB, MOST, max_running

pytestmark = pytest.mark.requirement("HAPI-136")


@pytest.mark.parametrize(
    ("memory", "runs"),
    [
        (None, 4),
        (0, 1),
        (400 * MIB, 1),
        (560 * MIB, 2),
        (1024 * MIB, 7),
        (2048 * MIB, 20),
        (1 << 40, MOST),
    ],
)
def test_what_is_left_beside_the_zygote_is_shared_by_the_runs(memory: int | None, runs: int):
    assert max_running(memory) == runs
