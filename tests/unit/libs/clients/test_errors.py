from __future__ import annotations

from datetime import timedelta

import pytest

from libs.clients.errors import PeerError, PeerRefused, PeerUnavailable
from libs.contracts.problem import Problem

pytestmark = pytest.mark.requirement("HAPI-043")


def test_both_ends_of_a_call_can_be_caught_as_one_and_say_which_peer():
    errors = [
        PeerUnavailable("alerts", "http-503", retry_after=timedelta(seconds=5), detail="draining"),
        PeerRefused(
            "alerts", 422, Problem(title="Invalid", status=422, code="invalid", detail="labels: missing")
        ),
    ]

    assert all(isinstance(error, PeerError) and error.peer == "alerts" for error in errors)
    assert [str(error) for error in errors] == [
        "alerts: http-503 (draining)",
        "alerts: HTTP 422 invalid: labels: missing",
    ]
