"""From an operator's settings to what the engine is told about the model."""

from __future__ import annotations

from services.holmesgpt_api.engine.messages import ModelAccess
from services.holmesgpt_api.settings import ModelSettings, Provider

_PREFIX: dict[Provider, str] = {
    "openai": "openai",
    "anthropic": "anthropic",
    "local_llm": "openai",
    "azure_openai": "azure",
    "ollama": "ollama_chat",
}

_PROVIDERS = frozenset(
    {
        *(
            "anthropic",
            "azure",
            "azure_ai",
            "bedrock",
            "cohere",
            "deepseek",
            "fireworks_ai",
            "gemini",
            "groq",
        ),
        *(
            "mistral",
            "nvidia_nim",
            "ollama",
            "ollama_chat",
            "openai",
            "openrouter",
            "together_ai",
            "vertex_ai",
        ),
        *("watsonx", "xai"),
    }
)
"""Prefixes by which litellm knows a provider; a name that begins otherwise has none."""

NO_KEY = "none"
"""The client refuses an empty key; a server that wants none ignores this one."""


def litellm_name(provider: Provider, model: str) -> str:
    """`provider/model`, as the client wants it.

    A local server's names may contain anything (`openai/gpt-oss-20b` on vLLM), so there the prefix always comes
    on top; elsewhere a name that brings its provider keeps it.
    """
    if provider != "local_llm" and model.partition("/")[0] in _PROVIDERS and "/" in model:
        return model
    return f"{_PREFIX[provider]}/{model}"


def model_access(settings: ModelSettings) -> ModelAccess | None:
    """None: no model is configured."""
    if not settings.llm_model:
        return None
    base = settings.llm_base_url
    return ModelAccess(
        model=litellm_name(settings.llm_provider, settings.llm_model),
        api_base=str(base).rstrip("/") if base else None,
        api_version=settings.llm_api_version,
        api_key=settings.llm_key() or NO_KEY,
        context_tokens=settings.llm_context_tokens,
        output_tokens=settings.llm_max_tokens,
        request_timeout_s=settings.llm_timeout.total_seconds(),
        attempts=settings.llm_attempts,
        temperature=settings.llm_temperature,
        input_price=settings.llm_input_price,
        output_price=settings.llm_output_price,
    )
