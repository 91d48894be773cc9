from __future__ import annotations

from datetime import timedelta

import pytest

from libs.web.deadline import within

pytestmark = pytest.mark.requirement("HAPI-130", "INT-BR-WH-009")

OWN = timedelta(seconds=10)


@pytest.mark.parametrize(
    ("callers", "least"),
    [(None, OWN), (timedelta(seconds=3), timedelta(seconds=3)), (timedelta(seconds=60), OWN)],
)
def test_a_call_lasts_no_longer_than_its_caller_waits_nor_than_we_would(callers, least):
    assert within(OWN, callers) == least
