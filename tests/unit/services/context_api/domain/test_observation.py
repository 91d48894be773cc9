"""What an analyzer says."""

from __future__ import annotations

import pytest

from libs.contracts.causes import FindingSeverity
from services.context_api.domain.observation import Depth, Observation
from tests.support.kube import kube, pod

pytestmark = pytest.mark.requirement("API-BR-CAPI-001")


def test_the_key_orders_by_place_and_tells_observations_apart():
    def seen(name: str, text: str) -> Observation:
        return Observation(kube(pod(name)), "R", text, FindingSeverity.info, "x", Depth.symptom, 0.5, ())

    assert sorted([seen("b", "x"), seen("a", "y"), seen("a", "x")], key=lambda o: o.key)[0].key == (
        "shop",
        "Pod",
        "a",
        "R",
        "x",
    )
    assert seen("a", "x").key != seen("a", "y").key


def test_depths_are_ordered_from_symptom_to_change():
    assert Depth.symptom < Depth.process < Depth.mechanism < Depth.change
