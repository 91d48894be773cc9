"""An operator's settings become the name and the access that the model's client wants."""

from __future__ import annotations

from typing import Any

import pytest

from services.holmesgpt_api.adapters.model_access import NO_KEY, litellm_name, model_access
from services.holmesgpt_api.settings import ModelSettings, Provider

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
