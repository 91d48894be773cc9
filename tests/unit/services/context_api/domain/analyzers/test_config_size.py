"""ConfigMaps that have reached what one object may hold."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import config_size
from tests.support.kube import applied, config_map
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def test_an_alert_about_a_config_map_at_its_limit_hears_of_it():
    large = config_map("rules", data={"a.yaml": "x" * 1_040_000})

    answer = causes(large, target="ConfigMap/shop/rules")

    assert first(answer) == ("ConfigMap/shop/rules", "ConfigMapTooLarge")
    assert "of the 1Mi" in answer.ranked[0].text
    assert causes(large).no_cause


def test_what_apply_writes_down_has_a_limit_of_its_own():
    noted = config_map("rules", data={"a": "x"}, annotations=applied({"data": {"a": "x" * 260_000}}))

    assert "kubectl apply" in seen(config_size, noted)[0].text


def test_binary_data_counts_as_what_it_holds():
    held = config_map("rules")
    held["binaryData"] = {"a.bin": "A" * 1_380_000}

    assert said(seen(config_size, held)) == [("ConfigMap/shop/rules", "ConfigMapTooLarge")]


@pytest.mark.parametrize("size", [0, 500_000, 900_000])
def test_smaller_ones_are_no_findings(size: int):
    assert said(seen(config_size, config_map("rules", data={"a": "x" * size}))) == []
