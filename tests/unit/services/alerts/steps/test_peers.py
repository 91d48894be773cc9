"""A refused credential may be mended; a refused request may not."""

import pytest

from libs.clients import PeerRefused
from libs.contracts.problem import Problem
from services.alerts.steps.peers import as_unavailable

pytestmark = pytest.mark.requirement("INT-BR-NOT-011")


def refused(status):
    return PeerRefused("holmesgpt-api", status, Problem(title="no", status=status, code="no"))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_credential_is_worth_another_try(status):
    error = as_unavailable(refused(status))

    assert error is not None
    assert error.reason == f"http-{status}"


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_any_other_refusal_is_final(status):
    assert as_unavailable(refused(status)) is None
