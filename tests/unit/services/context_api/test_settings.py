from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.context_api.settings import Settings

pytestmark = pytest.mark.requirement("HAPI-146", "HAPI-147", "HAPI-166")


def test_its_own_ports_are_8091_and_9092():
    settings = Settings()

    assert (settings.host, settings.port, settings.metrics_port) == ("127.0.0.1", 8091, 9092)
    assert settings.recorded_cluster is None


def test_an_operators_names_are_read(monkeypatch: pytest.MonkeyPatch):
    for name, value in {"CONTEXT_API_PORT": "18091", "PORT": "1", "RECORDED_CLUSTER": "/srv/must-gather", "EVIDENCE_CLUSTER": "eu-1",
                        "CONTEXT_ANSWER_TIMEOUT": "PT3S", "CONTEXT_MOST_WAITING": "5"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    settings = Settings()

    assert (settings.port, settings.recorded_cluster) == (18091, Path("/srv/must-gather"))
    assert (settings.evidence_cluster, settings.answer_timeout, settings.most_waiting) == (
        "eu-1",
        timedelta(seconds=3),
        5,
    )


def test_the_watching_cache_is_bounded_without_anybody_setting_it():
    settings = Settings()

    assert (settings.evidence_qps, settings.evidence_burst) == (50, 100)
    assert settings.evidence_cache_bytes == 512 * 1024**2
    assert settings.evidence_decoded_bytes == 32 * 1024**2
    assert settings.evidence_discovery_interval == settings.evidence_poll_interval == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONTEXT_ANSWER_TIMEOUT", "PT0S"),
        ("CONTEXT_MOST_WAITING", "0"),
        ("EVIDENCE_QPS", "0"),
        ("EVIDENCE_BURST", "0"),
        ("EVIDENCE_POLL_INTERVAL", "0"),
        ("EVIDENCE_CACHE_BYTES", "1000"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=name):
        Settings()


def test_a_live_cluster_is_set_by_a_kubeconfig_or_by_being_in_it(monkeypatch: pytest.MonkeyPatch):
    assert not Settings().is_live
    assert Settings.model_validate({"evidence_in_cluster": True}).is_live

    monkeypatch.setenv("EVIDENCE_KUBECONFIG", "/k")
    monkeypatch.setenv("EVIDENCE_NAMESPACES", "shop, data,shop")
    settings = Settings()
    assert (settings.is_live, settings.namespaces) == (True, ("shop", "data"))


def test_an_empty_value_is_an_unset_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EVIDENCE_KUBECONFIG", "")
    monkeypatch.setenv("EVIDENCE_CONTEXT", "")

    assert not Settings().is_live


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"recorded_cluster": "/r", "evidence_kubeconfig": "/k"}, "RECORDED_CLUSTER and a live cluster"),
        ({"recorded_cluster": "/r", "evidence_in_cluster": True}, "RECORDED_CLUSTER and a live cluster"),
        ({"evidence_kubeconfig": "/k", "evidence_in_cluster": True}, "EVIDENCE_IN_CLUSTER and EVIDENCE_KUBECONFIG"),
        ({"evidence_context": "eu"}, "set that too"),
        ({"evidence_kubeconfig": "/k", "evidence_namespaces": "Shop/*"}, "evidence_namespaces"),
    ],
)  # fmt: skip
def test_sources_that_exclude_each_other_are_refused_with_what_to_unset(
    values: dict[str, object], words: str
):
    with pytest.raises(ValidationError, match=words):
        Settings.model_validate(values)
