"""Which processes share what they keep: those with the same keys, settings and mutes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from libs.auth.keys import KeyRing
from services.context_api.caches import freshness_of, secret_of, told_apart
from services.context_api.settings import EvidenceSettings, Settings
from services.context_api.steps.freshness import SOURCES
from tests.support.keyrings import ring

pytestmark = pytest.mark.requirement("API-BR-CAPI-003", "API-BR-CAPI-012")


def told(**settings: Any) -> str:
    return told_apart(EvidenceSettings.model_validate(settings))


def test_replicas_with_the_same_settings_share():
    assert told(evidence_cluster="eu-1") == told(evidence_cluster="eu-1")


@pytest.mark.parametrize(
    "settings",
    [
        {"evidence_cluster": "eu-2"},
        {"evidence_namespaces": "shop"},
        {"evidence_in_cluster": True},
        {"evidence_prometheus_url": "http://prometheus.example:9090"},
    ],
)
def test_a_setting_that_shapes_answers_tells_them_apart(settings: dict[str, Any]):
    assert told(**settings) != told()


def test_how_long_one_waits_and_a_secret_tell_nobody_apart():
    assert told(answer_timeout=3, evidence_prometheus_token="t") == told()


def test_other_mutes_under_the_same_name_tell_them_apart(tmp_path: Path):
    mutes = tmp_path / "mutes.yaml"
    mutes.write_text("[]")
    before = told(finding_mutes=mutes)
    mutes.write_text("[{}]")

    assert told(finding_mutes=mutes) != before


def test_the_secret_is_of_the_keys_file_and_is_not_its_pepper():
    mine: KeyRing = ring()
    secret = secret_of(mine)

    assert secret is not None
    assert secret == secret_of(ring())
    assert mine.pepper not in secret
    assert secret_of(None) is None


def test_every_source_has_its_time():
    assert set(freshness_of(Settings()).ttl) == set(SOURCES)
