from __future__ import annotations

from datetime import timedelta

import pytest

from services.context_api.domain.errors import Busy, NoEvidence, TooLate, UnknownObject
from services.context_api.routes.problems import PROBLEMS

pytestmark = pytest.mark.requirement("API-BR-API-004", "HAPI-043")


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (NoEvidence("it is being read", retry_after=timedelta(seconds=2)), timedelta(seconds=2)),
        (NoEvidence("nothing is set"), None),
        (Busy(64), timedelta(seconds=1)),
        (TooLate(timedelta(seconds=1)), timedelta(seconds=1)),
    ],
)
def test_a_503_says_when_to_ask_again_if_that_helps(error: Exception, pause: timedelta | None):
    spec = PROBLEMS[type(error)]

    assert spec.status == 503
    assert spec.retry_after is not None
    assert spec.retry_after(error) == pause


def test_every_problem_has_a_code_of_its_own_but_for_bad_input():
    codes = [spec.code for spec in PROBLEMS.values() if spec.status != 422]

    assert len(codes) == len(set(codes))
    assert PROBLEMS[UnknownObject].status == 404
