"""Settings have the architecture document's names, safe defaults, and units."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from services.holmesgpt_api.settings import Settings

pytestmark = pytest.mark.requirement("HAPI-146", "HAPI-147", "HAPI-148", "HAPI-051", "HAPI-052")


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in {"DATABASE_URL": "postgresql://h/d", **environment}.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_the_documents_names_are_read(monkeypatch: pytest.MonkeyPatch):
    read = settings(
        monkeypatch,
        HOLMESGPT_HOST="0.0.0.0",
        HOLMESGPT_PORT="18090",
        HOLMESGPT_METRICS_PORT="19091",
        HOLMESGPT_MAX_CONCURRENT="3",
        HOLMESGPT_INVESTIGATION_TIMEOUT="120",
        KUBERNAUT_CONTEXT_API_URL="http://context:8091",
        KUBERNAUT_CONTEXT_API_TIMEOUT="7",
    )

    assert (read.host, read.port, read.metrics_port) == ("0.0.0.0", 18090, 19091)
    assert (read.worker_concurrency, read.investigation_timeout) == (3, timedelta(seconds=120))
    assert (str(read.context_api_url), read.context_api_timeout) == (
        "http://context:8091/",
        timedelta(seconds=7),
    )


def test_a_duration_may_be_written_in_iso_8601(monkeypatch: pytest.MonkeyPatch):
    read = settings(monkeypatch, HOLMESGPT_INVESTIGATION_RETENTION="P7D")

    assert read.investigation_retention == timedelta(days=7)


@pytest.mark.parametrize("wrong", ["0", "-3", "soon"])
def test_a_duration_that_cannot_be_meant_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str):
    with pytest.raises(ValidationError, match="SYNC_ANSWER_TIMEOUT"):
        settings(monkeypatch, SYNC_ANSWER_TIMEOUT=wrong)


@pytest.mark.requirement("HAPI-079", "HAPI-102")
def test_the_documents_unsafe_defaults_are_not_honoured(monkeypatch: pytest.MonkeyPatch):
    read = settings(monkeypatch)

    assert (read.host, read.port, read.metrics_port) == ("127.0.0.1", 8090, 9091)
    assert "*" not in [*read.cors_origins, *read.allowed_hosts]
    assert read.trusted_networks == {}


@pytest.mark.requirement("HAPI-130")
def test_a_synchronous_answer_comes_before_the_go_application_gives_up(monkeypatch: pytest.MonkeyPatch):
    read = settings(monkeypatch)

    assert read.sync_answer_timeout < timedelta(seconds=30)
    assert 2 * read.context_api_timeout < read.sync_answer_timeout < read.investigation_timeout
