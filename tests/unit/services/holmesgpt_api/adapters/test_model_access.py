"""An operator's settings become the name and the access that the model's client wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.holmesgpt_api.adapters.config_file import BadConfiguration
from services.holmesgpt_api.adapters.model_access import NO_KEY, entries, litellm_name, model_access
from services.holmesgpt_api.domain.configuration import Configuration, Provider
from services.holmesgpt_api.settings import ModelSettings

pytestmark = pytest.mark.requirement("HAPI-026", "HAPI-164")


@pytest.mark.parametrize(
    ("provider", "model", "name"),
    [
        ("openai", "gpt-4.1", "openai/gpt-4.1"),
        ("openai", "anthropic/claude-sonnet-4", "anthropic/claude-sonnet-4"),
        ("openai", "meta-llama/Llama-3", "openai/meta-llama/Llama-3"),
        ("openai", "openai", "openai/openai"),
        ("anthropic", "claude-sonnet-4", "anthropic/claude-sonnet-4"),
        ("azure_openai", "my-deployment", "azure/my-deployment"),
        ("ollama", "qwen3", "ollama_chat/qwen3"),
        ("local_llm", "gpt-oss:20b", "openai/gpt-oss:20b"),
        ("local_llm", "openai/gpt-oss-20b", "openai/openai/gpt-oss-20b"),
    ],
)
def test_a_models_name_has_its_provider_before_it(provider: Provider, model: str, name: str):
    assert litellm_name(provider, model) == name


def settings(**fields: Any) -> ModelSettings:
    return ModelSettings.model_validate({"llm_model": "m", **fields})


def test_without_a_name_no_model_is_configured():
    assert model_access(ModelSettings.model_validate({"llm_model": None})) is None
    assert model_access(ModelSettings.model_validate({"llm_model": ""})) is None


def test_the_operators_bounds_are_handed_on():
    access = model_access(
        settings(llm_api_key="k", llm_base_url="http://llm:8080/v1/", llm_timeout=30, llm_max_tokens=1000)
    )

    assert access is not None
    assert (access.api_key, access.api_base, access.request_timeout_s) == ("k", "http://llm:8080/v1", 30)
    assert (access.output_tokens, access.attempts, access.temperature) == (1000, 3, 0.0)


def test_a_server_that_wants_no_key_gets_a_placeholder():
    access = model_access(settings())

    assert access is not None
    assert access.api_key == NO_KEY


@pytest.mark.requirement("HAPI-110")
def test_a_key_is_not_printed():
    access = model_access(settings(llm_api_key="sk-secret"))

    assert "sk-secret" not in repr(access)


@pytest.mark.requirement("HAPI-160")
def test_the_environments_fallback_is_asked_second_with_a_key_of_its_own():
    first, second = entries(
        settings(
            llm_api_key="k1",
            fallback_llm_provider="anthropic",
            fallback_llm_model="claude-sonnet-4",
            fallback_llm_api_key="k2",
        )
    )

    assert (first.name, first.rank, first.access.api_key) == ("primary", 0, "k1")
    assert (second.name, second.rank, second.access.api_key) == ("fallback", 1, "k2")
    assert second.access.model == "anthropic/claude-sonnet-4"


FILE = {
    "llm": {
        "primary": {"provider": "openai", "model": "a", "rank": 1, "weight": 3, "omit_temperature": True},
        "fallback": {"provider": "openai", "model": "b", "rank": 1, "input_price": 1, "output_price": 2},
        "fallbacks": [{"provider": "openai", "model": "c", "rank": 0, "name": "first", "max_tokens": 500}],
    }
}


def test_a_files_models_have_ranks_weights_and_limits_and_the_settings_below_them():
    configuration = Configuration.model_validate(FILE)

    first, a, b = entries(settings(llm_model=None, llm_timeout=7), configuration)

    assert [(one.name, one.rank, one.weight) for one in (first, a, b)] == [
        ("first", 0, 1),
        ("primary", 1, 3),
        ("fallback", 1, 1),
    ]
    assert (first.access.output_tokens, a.access.output_tokens) == (500, 4000)
    assert (a.access.temperature, b.access.temperature) == (None, 0.0)
    assert (b.access.input_price, b.access.output_price, b.access.request_timeout_s) == (1, 2, 7)


def test_a_model_of_the_environment_counts_before_the_files():
    (only,) = entries(settings(llm_model="m"), Configuration.model_validate(FILE))

    assert only.access.model == "openai/m"


@pytest.mark.requirement("HAPI-109")
def test_a_files_key_comes_from_a_file_or_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SOME_KEY", "from-environment")
    (tmp_path / "key").write_text("from-file\n")
    made = {
        "primary": {"provider": "openai", "model": "a", "api_key_file": str(tmp_path / "key")},
        "fallback": {"provider": "openai", "model": "b", "api_key_env": "SOME_KEY"},
    }

    a, b = entries(settings(llm_model=None), Configuration.model_validate({"llm": made}))

    assert (a.access.api_key, b.access.api_key) == ("from-file", "from-environment")


@pytest.mark.requirement("HAPI-147")
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"api_key_file": "/nowhere/key"}, "model primary: api_key_file cannot be read"),
        ({"api_key_env": "NOT_SET_ANYWHERE"}, "the environment has no NOT_SET_ANYWHERE"),
        ({"context_tokens": 4000, "max_tokens": 3000}, "at least twice max_tokens"),
    ],
)
def test_a_model_that_cannot_be_asked_is_refused_by_name(fields: dict[str, Any], said: str):
    made = {"primary": {"provider": "openai", "model": "a", **fields}}

    with pytest.raises(BadConfiguration, match=said):
        entries(settings(llm_model=None), Configuration.model_validate({"llm": made}))
