"""Errors are told with a stable code, and without what is not for the caller."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.storage import StorageUnavailable
from services.holmesgpt_api.domain.errors import (
    Failed,
    NotReadable,
    TooManyInvestigations,
    UnknownInvestigation,
)
from services.holmesgpt_api.routes.problems import PROBLEMS

pytestmark = pytest.mark.requirement("HAPI-043", "HAPI-103")


def test_a_failed_investigation_says_where_it_is_kept_and_why():
    error = Failed("inv-1", "context-unavailable", "No result within 300 s.")
    spec = PROBLEMS[Failed]

    assert spec.detail is not None
    assert spec.headers is not None
    assert spec.detail(error) == "inv-1 failed (context-unavailable): No result within 300 s."
    assert spec.headers(error) == {"Location": "/api/v1/investigate/inv-1"}


def test_a_database_that_is_away_says_when_to_come_again_and_not_what_it_is():
    error = StorageUnavailable("unreachable", "db.internal:5432", retry_after=timedelta(seconds=2))
    spec = PROBLEMS[StorageUnavailable]

    assert spec.retry_after is not None
    assert spec.detail is not None
    assert spec.retry_after(error) == timedelta(seconds=2)
    assert "db.internal" not in spec.detail(error)


def test_who_has_too_many_under_way_is_told_when_to_come_again():
    spec = PROBLEMS[TooManyInvestigations]

    assert (spec.status, spec.code) == (429, "too-many-investigations")
    assert spec.retry_after is not None
    assert spec.retry_after(TooManyInvestigations(3)) == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UnknownInvestigation(), 404, "or not one you may see"),
        (NotReadable("data"), 403, "may not read namespace data"),
        (NotReadable(None), 403, "may not read objects of the cluster's scope"),
    ],
)
def test_refusals_say_what_is_refused(error: Exception, status: int, said: str):
    spec = PROBLEMS[type(error)]

    assert spec.status == status
    assert spec.detail is not None
    assert said in spec.detail(error)
