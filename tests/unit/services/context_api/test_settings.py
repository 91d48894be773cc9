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


@pytest.mark.parametrize(
    ("name", "value"), [("CONTEXT_ANSWER_TIMEOUT", "PT0S"), ("CONTEXT_MOST_WAITING", "0")]
)
def test_a_value_that_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError, match=name):
        Settings()
