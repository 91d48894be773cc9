"""A request is about one thing."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from libs.contracts.bundle import BundleRequest

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-005")

TARGET = {"kind": "Pod", "namespace": "shop", "name": "api-0"}
ALERT = {"labels": {"alertname": "HighErrorRate"}}


@pytest.mark.parametrize("asked", [{"target": TARGET}, {"alert": ALERT}])
def test_a_target_or_an_alert_is_enough(asked):
    assert BundleRequest.model_validate(asked).max_tokens == 4_000


@pytest.mark.parametrize("asked", [{}, {"target": TARGET, "alert": ALERT}])
def test_neither_and_both_are_refused(asked):
    with pytest.raises(ValidationError, match="either target or alert"):
        BundleRequest.model_validate(asked)
