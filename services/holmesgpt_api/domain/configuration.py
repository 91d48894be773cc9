"""The configuration file: its schema, the architecture document's §9.2 with what this service adds to it. Pure.

Everything the document has is accepted, so that its own example loads. What is unsafe in it, or is another
service's affair, is not honoured, and `not_honoured` says so by its path; `variables_not_honoured` does of its §9.1.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    HttpUrl,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
    model_validator,
)

from libs.contracts.base import Contract, Duration
from libs.contracts.origins import STAR, hosts, origins
from services.holmesgpt_api.domain.clusters import ClusterUrls
from services.holmesgpt_api.domain.custom.document import Documents
from services.holmesgpt_api.domain.toolsets import FORBIDDEN

Provider = Literal["openai", "anthropic", "local_llm", "azure_openai", "ollama"]
Seconds = Annotated[Duration, Field(gt=timedelta(0))]
SecondsOrNone = Annotated[Duration, Field(ge=timedelta(0))]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Tenant = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Tokens = Annotated[int, Field(ge=0)]
Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]
NEEDS_URL = ("local_llm", "azure_openai", "ollama")


class ModelEntry(Contract):
    """One model and how it may be asked. What is left out is as the `HOLMESGPT_LLM_…` settings say."""

    name: Name | None = Field(default=None, description="as it is called in answers; left out: its place")
    provider: Provider
    model: str = Field(min_length=1, max_length=200)
    base_url: HttpUrl | None = None
    api_version: str | None = Field(default=None, max_length=40)
    api_key: str | None = Field(default=None, repr=False, description="encrypted only: `enc:v1:…`")
    api_key_file: Path | None = None
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9_]*$")
    timeout: Seconds | None = None
    attempts: int | None = Field(default=None, ge=1, le=10)
    temperature: float | None = Field(default=None, ge=0, le=2)
    omit_temperature: bool = Field(default=False, description="for models that refuse one")
    max_tokens: int | None = Field(default=None, ge=256, le=200_000)
    context_tokens: int | None = Field(default=None, ge=4_000, le=4_000_000)
    input_price: Money | None = Field(default=None, description="US dollars per million tokens read")
    output_price: Money | None = Field(default=None, description="US dollars per million tokens written")
    rank: int | None = Field(default=None, ge=0, le=100, description="equal ranks share the runs")
    weight: int = Field(default=1, ge=1, le=1000, description="share among models of the same rank")
    tools: bool | None = Field(default=None, description="whether it calls tools; left out: found out")

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.provider in NEEDS_URL and self.base_url is None:
            raise ValueError(f"base_url is needed with provider {self.provider}")
        if sum(one is not None for one in (self.api_key, self.api_key_file, self.api_key_env)) > 1:
            raise ValueError("give one of api_key, api_key_file and api_key_env")
        if (self.input_price is None) != (self.output_price is None):
            raise ValueError("input_price and output_price count only together")
        return self


class Llm(Contract):
    """The models: `primary` is asked first, then `fallback` and `fallbacks` in their order."""

    primary: ModelEntry
    fallback: ModelEntry | None = None
    fallbacks: list[ModelEntry] = Field(default_factory=list, max_length=20)

    @property
    def entries(self) -> dict[str, ModelEntry]:
        """By name, in the order of their places."""
        placed = [("primary", self.primary)]
        placed += [("fallback", self.fallback)] if self.fallback else []
        placed += [(f"fallback-{number}", one) for number, one in enumerate(self.fallbacks, 1)]
        return {one.name or place: one for place, one in placed}

    @model_validator(mode="after")
    def _names_are_told_apart(self) -> Self:
        count = 1 + (self.fallback is not None) + len(self.fallbacks)
        if len(self.entries) != count:
            raise ValueError("two models bear the same name")
        return self


class TenantBudget(Contract):
    """Of one tenant, in place of every tenant's; what is left out, or 0, is no limit."""

    tokens_per_day: Tokens | None = None
    cost_usd_per_day: Money | None = None
    steps_per_day: NonNegativeInt | None = None
    seconds_per_day: SecondsOrNone | None = None


class Budgets(Contract):
    """What is left out is as the `HOLMESGPT_BUDGET_…` settings say; 0 is no limit."""

    run_tokens: Tokens | None = None
    run_cost_usd: Money | None = None
    run_steps: NonNegativeInt | None = None
    run_seconds: SecondsOrNone | None = None
    tenant_tokens_per_day: Tokens | None = None
    tenant_cost_usd_per_day: Money | None = None
    tenant_steps_per_day: NonNegativeInt | None = None
    tenant_seconds_per_day: SecondsOrNone | None = None
    tenants: dict[Tenant, TenantBudget] = Field(default_factory=dict, max_length=1000)


class App(Contract):
    name: str | None = None
    version: str | None = None
    environment: Literal["development", "staging", "production"] | None = None


class Server(Contract):
    host: str | None = None
    port: int | None = Field(default=None, ge=0, le=65_535)
    metrics_port: int | None = Field(default=None, ge=0, le=65_535)
    workers: PositiveInt | None = None


def _but_star(check: Callable[[Sequence[str]], list[str]]) -> AfterValidator:
    """The document's own file has a `*`, which is left out and told of; what stands beside it must be meant."""

    def checked(given: list[str]) -> list[str]:
        stars = [STAR] if STAR in given else []
        return check([one for one in given if one != STAR]) + stars

    return AfterValidator(checked)


class Security(Contract):
    cors_origins: Annotated[list[str], _but_star(origins)] | None = None
    allowed_hosts: Annotated[list[str], _but_star(hosts)] | None = None
    jwt_expire_minutes: PositiveInt | None = None


class Holmes(Contract):
    enabled_toolsets: list[str] | None = None
    default_toolsets: list[str] | None = None
    max_concurrent_investigations: int | None = Field(default=None, ge=1, le=100)
    investigation_timeout: Seconds | None = None


class ContextApi(Contract):
    url: HttpUrl | None = None
    clusters: ClusterUrls | None = None
    timeout: Seconds | None = None
    retry_count: int | None = Field(default=None, ge=0)


class Integrations(Contract):
    context_api: ContextApi | None = None
    kubernetes: dict[str, Any] | None = None
    prometheus: dict[str, Any] | None = None


class Cache(Contract):
    redis_url: str | None = Field(default=None, repr=False)
    ttl: dict[str, NonNegativeInt] | None = Field(
        default=None, description="seconds; `investigations` counts"
    )


class Logging(Contract):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = None
    format: Literal["auto", "json", "console"] | None = None
    structured: bool | None = None
    fields: dict[str, str] | None = None


class RateLimiting(Contract):
    enabled: bool | None = None
    requests_per_minute: PositiveInt | None = None
    burst_size: PositiveInt | None = None


class Performance(Contract):
    request_timeout: Seconds | None = None
    rate_limiting: RateLimiting | None = None


class Configuration(Contract):
    """The whole file, after what it inherits has been put under it and its encrypted values are opened."""

    app: App | None = None
    server: Server | None = None
    security: Security | None = None
    llm: Llm | None = None
    budgets: Budgets = Budgets()
    holmesgpt: Holmes = Holmes()
    toolsets: Documents = Documents()
    integrations: Integrations | None = None
    cache: Cache | None = None
    logging: Logging | None = None
    performance: Performance | None = None


_BY_NO_TIME = (
    "only results are kept here, for `HOLMESGPT_RESULT_CACHE_TTL`; evidence is kept by the Context API"
)
_KEYS = "credentials are in `AUTH_KEYS_FILE`; tokens are the platform service's"
_CLUSTERS = "clusters are the Context API's"
_OTHERS = {
    ("app",): "the service says its own name and version",
    ("server", "workers"): "scale by replicas",
    ("security", "jwt_expire_minutes"): "tokens are the platform service's",
    ("integrations", "context_api", "retry_count"): "a run is tried again until its deadline",
    ("integrations", "kubernetes"): _CLUSTERS,
    ("integrations", "prometheus"): "metrics are the Context API's",
    ("logging", "structured"): "`logging.format` says it",
    ("logging", "fields"): "every line says its service",
    ("performance", "request_timeout"): "deadlines are the callers' and `SYNC_ANSWER_TIMEOUT`",
    ("performance", "rate_limiting", "enabled"): "callers are always limited",
    ("performance", "rate_limiting", "burst_size"): "a caller's burst is its window's requests",
}
_VARIABLES = {
    "APP_NAME": "the service says its own name",
    "APP_VERSION": "the service says its own version",
    "ENVIRONMENT": "nothing here differs between environments",
    "DEBUG": "there is no mode that shows faults to callers; `LOG_LEVEL=DEBUG` shows them in the log",
    "HOLMESGPT_WORKERS": "scale by replicas",
    "JWT_SECRET_KEY": _KEYS,
    "JWT_ALGORITHM": _KEYS,
    "JWT_EXPIRE_MINUTES": _KEYS,
    "KUBERNAUT_CONTEXT_API_TOKEN": "each question goes with a short-lived token of its own, made from `AUTH_KEYS_FILE`",
    "KUBECONFIG": _CLUSTERS,
    "KUBERNETES_IN_CLUSTER": _CLUSTERS,
    "KUBERNETES_NAMESPACE": _CLUSTERS,
    "CACHE_TTL_DEFAULT": _BY_NO_TIME,
    "CACHE_TTL_CONTEXT": _BY_NO_TIME,
    "LOG_FILE": "the log is standard output; whoever starts the process keeps it",
    "REQUEST_TIMEOUT": "deadlines are the callers' and `SYNC_ANSWER_TIMEOUT`",
}
"""Of the document's §9.1, those that are read by nobody here."""
SETTINGS: Mapping[tuple[str, ...], str] = {
    ("server", "host"): "host",
    ("server", "port"): "port",
    ("server", "metrics_port"): "metrics_port",
    ("security", "cors_origins"): "cors_origins",
    ("security", "allowed_hosts"): "allowed_hosts",
    ("holmesgpt", "max_concurrent_investigations"): "worker_concurrency",
    ("holmesgpt", "investigation_timeout"): "investigation_timeout",
    ("integrations", "context_api", "url"): "context_api_url",
    ("integrations", "context_api", "clusters"): "context_api_urls",
    ("integrations", "context_api", "timeout"): "context_api_timeout",
    ("cache", "redis_url"): "redis_url",
    ("cache", "ttl", "investigations"): "result_cache_ttl",
    ("logging", "level"): "log_level",
    ("logging", "format"): "log_format",
    ("performance", "rate_limiting", "requests_per_minute"): "rate_limit_requests",
}
"""Path in the file to the setting it is: read at start, below the environment's word."""


def settings_in(configuration: Configuration) -> dict[str, Any]:
    """The settings that the file gives, by their field's name; `*` is left out."""
    found = {name: _at(configuration, path) for path, name in SETTINGS.items()}
    for name in ("cors_origins", "allowed_hosts"):
        if STAR in (found[name] or ()):
            found[name] = [one for one in found[name] if one != STAR] or None
    return {name: value for name, value in found.items() if value is not None}


def variables_not_honoured(named: Collection[str], toolsets: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Variable to the reason, of the document's that are set and have no effect.

    Args:
        named: what the environment has, in upper case; no value is looked at.
        toolsets: variables that name toolsets, with those named.
    """
    told = {name: why for name, why in _VARIABLES.items() if name in named}
    return told | {name: why for name, given in toolsets.items() if (why := _unsafe(given))}


def not_honoured(configuration: Configuration) -> dict[str, str]:
    """Path to the reason, of all that stands in the file and has no effect."""
    told = {".".join(path): why for path, why in _OTHERS.items() if _at(configuration, path) is not None}
    for path in (("security", "cors_origins"), ("security", "allowed_hosts")):
        if STAR in (_at(configuration, path) or ()):
            told[".".join(path)] = "`*` would let everybody in; name them"
    for path in (("holmesgpt", "enabled_toolsets"), ("holmesgpt", "default_toolsets")):
        if why := _unsafe(_at(configuration, path) or ()):
            told[".".join(path)] = why
    for name in _at(configuration, ("cache", "ttl")) or ():
        if ("cache", "ttl", name) not in SETTINGS:
            told[f"cache.ttl.{name}"] = _BY_NO_TIME
    return told


def _unsafe(toolsets: Sequence[str]) -> str | None:
    unsafe = sorted(set(toolsets) & FORBIDDEN)
    return f"{', '.join(unsafe)}: no such toolset is offered" if unsafe else None


def _at(configuration: Configuration, path: tuple[str, ...]) -> Any:
    found: Any = configuration
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else getattr(found, part, None)
    return found
