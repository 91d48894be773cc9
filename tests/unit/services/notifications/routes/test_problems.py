"""Errors are told with a stable code, and without what is not for the caller."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.storage import StorageUnavailable
from services.notifications.domain import errors
from services.notifications.routes.problems import PROBLEMS

pytestmark = pytest.mark.requirement("INT-BR-ERR-001", "INT-BR-ERR-004")


def test_a_database_that_is_away_says_when_to_come_again_and_not_what_it_is():
    error = StorageUnavailable("unreachable", "db.internal:5432", retry_after=timedelta(seconds=2))
    spec = PROBLEMS[StorageUnavailable]

    assert spec.retry_after is not None
    assert spec.detail is not None
    assert spec.retry_after(error) == timedelta(seconds=2)
    assert "db.internal" not in spec.detail(error)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidRequest, 422, "invalid-input"),
        (errors.KeyReused, 422, "idempotency-key-reused"),
        (errors.NoSuchNotification, 404, "unknown-notification"),
        (errors.NothingToResend, 409, "nothing-to-resend"),
    ],
)
def test_what_a_caller_did_wrong_has_its_own_code(error: type[Exception], status: int, code: str):
    assert (PROBLEMS[error].status, PROBLEMS[error].code) == (status, code)
