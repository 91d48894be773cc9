"""Clusters are named in the environment as JSON, or in the configuration file as a mapping; both are checked alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from services.holmesgpt_api.domain.clusters import Clusters
from services.holmesgpt_api.settings import Settings

pytestmark = pytest.mark.requirement("HAPI-179", "HAPI-146")

ONE = "http://127.0.0.1:8091/"


def settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in {"DATABASE_URL": "postgresql://h/d", **environment}.items():
        monkeypatch.setenv(name, value)
    return Settings()


@pytest.mark.parametrize("environment", [{}, {"HOLMESGPT_CLUSTERS": ""}, {"HOLMESGPT_CLUSTERS": "{}"}])
def test_without_them_there_is_one_context_api_for_all(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
):
    assert settings(monkeypatch, **environment).clusters == Clusters(ONE)


def test_names_of_the_environment_are_read_as_json(monkeypatch: pytest.MonkeyPatch):
    given = (
        '{"prod-eu": "http://context-eu:8091", "arn:aws:eks:eu-1:1:cluster/b": "https://b.example/context"}'
    )
    read = settings(monkeypatch, KUBERNAUT_CONTEXT_API_URL="http://c:1", HOLMESGPT_CLUSTERS=given).clusters

    assert read == Clusters(
        "http://c:1/",
        {
            "prod-eu": "http://context-eu:8091/",
            "arn:aws:eks:eu-1:1:cluster/b": "https://b.example/context",
        },
    )


def test_the_file_names_them_and_the_environment_has_the_last_word(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    file = tmp_path / "settings.yaml"
    file.write_text(
        "integrations: {context_api: {url: http://a:1, clusters: {eu: http://eu:1, us: http://us:1}}}"
    )

    of_file = settings(monkeypatch, HOLMESGPT_CONFIG_FILE=str(file)).clusters
    of_environment = settings(monkeypatch, HOLMESGPT_CLUSTERS='{"lab": "http://lab:1"}').clusters

    assert of_file == Clusters("http://a:1/", {"eu": "http://eu:1/", "us": "http://us:1/"})
    assert of_environment == Clusters("http://a:1/", {"lab": "http://lab:1/"})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("eu=http://eu", "want JSON"),
        ('["http://eu"]', "valid dictionary"),
        ('{"eu": "http://eu:1", "eu": "http://us:1"}', "stands there twice"),
        ('{"eu": "http://eu:1", "us": "http://eu:1/"}', "two clusters have the same URL"),
        ('{"local": "http://eu:1"}', "give the cluster another name"),
        ('{"eu": "eu:1"}', "URL scheme"),
        ('{"e u": "http://eu:1"}', "should match pattern"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, given: str, why: str
):
    with pytest.raises(ValidationError, match=f"(?s)HOLMESGPT_CLUSTERS.*{why}"):
        settings(monkeypatch, HOLMESGPT_CLUSTERS=given)


def test_the_file_is_checked_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    file = tmp_path / "settings.yaml"
    file.write_text("integrations: {context_api: {clusters: {local: http://eu:1}}}")

    with pytest.raises(ValidationError, match=r"integrations\.context_api\.clusters"):
        settings(monkeypatch, HOLMESGPT_CONFIG_FILE=str(file))
