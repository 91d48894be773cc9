"""From an operator's settings to what the engine is told about the models."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.holmesgpt_api.adapters.config_file import BadConfiguration
from services.holmesgpt_api.domain.budget import Limit, Limits
from services.holmesgpt_api.domain.configuration import Budgets, Configuration, ModelEntry, Provider
from services.holmesgpt_api.domain.roster import Entry
from services.holmesgpt_api.engine.messages import ModelAccess
from services.holmesgpt_api.settings import ModelSettings
from services.holmesgpt_api.settings_budget import BudgetSettings

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


def entries(settings: ModelSettings, configuration: Configuration | None = None) -> list[Entry]:
    """The configured models. Those of the environment, where it names any, and else those of the file.

    Raises:
        BadConfiguration: a key cannot be had, or a model's numbers contradict each other.
    """
    if settings.llm_model:
        return _of_environment(settings)
    if configuration is None or configuration.llm is None:
        return []
    made = [
        _entry(settings, name, one, place)
        for place, (name, one) in enumerate(configuration.llm.entries.items())
    ]
    return sorted(made, key=lambda one: one.rank)


def model_access(settings: ModelSettings) -> ModelAccess | None:
    """The environment's first model. None: it names none."""
    return next((one.access for one in entries(settings)), None)


def limits(settings: BudgetSettings, configuration: Configuration | None = None) -> Limits:
    """The budgets: the file's word, and the settings' where it has none. 0 is no limit in either."""
    file = configuration.budgets if configuration else Budgets()

    def either(name: str) -> Any:
        given = getattr(file, name)
        return getattr(settings, f"budget_{name}") if given is None else given

    return Limits(
        run=_limit(either("run_tokens"), either("run_cost_usd"), either("run_steps"), either("run_seconds")),
        day=_limit(
            either("tenant_tokens_per_day"),
            either("tenant_cost_usd_per_day"),
            either("tenant_steps_per_day"),
            either("tenant_seconds_per_day"),
        ),
        tenants={
            name: _limit(one.tokens_per_day, one.cost_usd_per_day, one.steps_per_day, one.seconds_per_day)
            for name, one in file.tenants.items()
        },
    )


def _limit(tokens: int | None, cost_usd: float | None, steps: int | None, seconds: timedelta | None) -> Limit:
    return Limit(
        tokens or None, cost_usd or None, steps or None, seconds.total_seconds() if seconds else None
    )


def _of_environment(settings: ModelSettings) -> list[Entry]:
    first = ModelEntry(
        name="primary",
        provider=settings.llm_provider,
        model=settings.llm_model or "",
        base_url=settings.llm_base_url,
        api_version=settings.llm_api_version,
        input_price=settings.llm_input_price if settings.llm_output_price is not None else None,
        output_price=settings.llm_output_price if settings.llm_input_price is not None else None,
        tools=settings.llm_tools,
    )
    made = [_entry(settings, "primary", first, 0, key=settings.llm_key())]
    if settings.fallback_llm_model:
        second = ModelEntry(
            name="fallback",
            provider=settings.fallback_llm_provider,
            model=settings.fallback_llm_model,
            base_url=settings.fallback_llm_base_url,
            api_version=settings.llm_api_version,
            tools=settings.llm_tools,
        )
        made.append(_entry(settings, "fallback", second, 1, key=settings.fallback_llm_key()))
    return made


def _entry(
    settings: ModelSettings, name: str, one: ModelEntry, place: int, *, key: str | None = None
) -> Entry:
    window = one.context_tokens or settings.llm_context_tokens
    written = one.max_tokens or settings.llm_max_tokens
    if window < 2 * written:
        raise BadConfiguration(f"model {name}: context_tokens must be at least twice max_tokens")
    temperature = one.temperature if one.temperature is not None else settings.llm_temperature
    access = ModelAccess(
        name=name,
        model=litellm_name(one.provider, one.model),
        api_base=str(one.base_url).rstrip("/") if one.base_url else None,
        api_version=one.api_version,
        api_key=key or _key(settings, name, one) or NO_KEY,
        context_tokens=window,
        output_tokens=written,
        request_timeout_s=(one.timeout or settings.llm_timeout).total_seconds(),
        attempts=one.attempts or settings.llm_attempts,
        temperature=None if one.omit_temperature else temperature,
        input_price=one.input_price,
        output_price=one.output_price,
    )
    rank = place if one.rank is None else one.rank
    return Entry(access, one.provider, rank, one.weight, one.tools)


def _key(settings: ModelSettings, name: str, one: ModelEntry) -> str | None:
    if one.api_key_file is not None:
        try:
            return one.api_key_file.read_text("utf-8").strip()
        except OSError as error:
            raise BadConfiguration(f"model {name}: api_key_file cannot be read: {error.strerror}") from None
    if one.api_key_env is not None:
        key = settings.variable(one.api_key_env)
        if key is None:
            raise BadConfiguration(f"model {name}: the environment has no {one.api_key_env}")
        return key
    return one.api_key
