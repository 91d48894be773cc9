"""What an operator can set about the HolmesGPT API.

Names follow the architecture document (§9.1) where it has one. Its unsafe defaults are not honoured: `*` for
CORS origins and hosts, listening on every address, a token secret in the environment, the internet toolset. Which of
its variables are set and have no effect is in `GET /api/v1/config`, under `not_honoured`.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    HttpUrl,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from libs.auth.settings import AuthSettings
from libs.cache.settings import RedisSettings
from libs.contracts.base import Duration
from libs.jobs.settings import JobsSettings
from libs.storage.settings import StorageSettings
from libs.web.settings import Port, WebSettings, WordList
from services.holmesgpt_api.adapters.config_file import BadConfiguration, load
from services.holmesgpt_api.domain.configuration import NEEDS_URL, Provider, settings_in
from services.holmesgpt_api.settings_budget import BudgetSettings
from services.holmesgpt_api.settings_clusters import ClusterSettings
from services.holmesgpt_api.settings_engine import EngineSettings
from services.holmesgpt_api.toolset_settings import ToolsetSettings


def _or_null(value: object) -> object:
    """The environment has no null but the word."""
    return None if value in ("null", "") else value


class HolmesSettings(BaseSettings):
    """Its own part; `Settings` adds what every service has."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    sync_answer_timeout: Duration = Field(
        default=timedelta(seconds=25), validation_alias="SYNC_ANSWER_TIMEOUT", gt=timedelta(0)
    )
    """Longest time of a synchronous call, in seconds, from its coming in to its answer; then the caller is told triage's
    result while a model is still being asked, or how far the investigation is. The Go application gives up after 30 s
    and makes a result up, so it must have ours before that."""

    investigation_timeout: Duration = Field(
        default=timedelta(seconds=300), validation_alias="HOLMESGPT_INVESTIGATION_TIMEOUT", gt=timedelta(0)
    )
    """From being asked for to the end, in seconds: by then an investigation has ended, with a result or with
    the reason why there is none. Five minutes let a dependency restart in between."""

    context_api_timeout: Duration = Field(
        default=timedelta(seconds=10), validation_alias="KUBERNAUT_CONTEXT_API_TIMEOUT", gt=timedelta(0)
    )
    """Longest wait for one answer of the Context API, in seconds; for a question of a chat, of all its answers together.
    It answers in well under one; two such waits still fit into a synchronous answer, which the architecture document's
    30 s do not."""

    investigation_retention: Duration = Field(
        default=timedelta(days=30), validation_alias="HOLMESGPT_INVESTIGATION_RETENTION", gt=timedelta(0)
    )
    """How long ended investigations are kept (ISO 8601, or seconds). A month covers a review of an incident."""

    platform_url: HttpUrl | None = Field(default=None, validation_alias="PLATFORM_URL")
    """Base URL under which callers reach the platform service, e.g. `https://kubernaut.example`. Requests to `/auth/…`
    are sent on there (308), and with them the passwords that older callers send: `https` outside of one machine.
    Unset: 404 that names this setting. No default, since an address that only works inside would mislead callers."""

    @field_validator("platform_url")
    @classmethod
    def _names_a_place_alone(cls, url: HttpUrl | None) -> HttpUrl | None:
        if url is not None and (url.username or url.password or url.query or url.fragment):
            raise ValueError("want scheme://host[:port][/path]; every caller is shown it")
        return url


class CourseSettings(BaseSettings):
    """Investigations under way, and following them."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    result_cache_ttl: Duration = Field(
        default=timedelta(hours=1),
        validation_alias=AliasChoices("HOLMESGPT_RESULT_CACHE_TTL", "CACHE_TTL_INVESTIGATIONS"),
        ge=timedelta(0),
    )
    """How long a model's verdict answers the same question again while the evidence is the same, in seconds. An alert
    that repeats costs no model call within the hour; 0 asks each time."""

    investigations: int = Field(default=1000, ge=1, validation_alias="HOLMESGPT_INVESTIGATIONS")
    """Investigations of one caller under way at once; 429 beyond, so that one caller's storm fills neither the database
    nor the line. Of priority `critical` (P0) up to twice as many, so that a storm of others does not keep those out."""

    event_streams: int = Field(default=1000, ge=1, le=10_000, validation_alias="HOLMESGPT_EVENT_STREAMS")
    """Event streams one API process serves at once; 503 beyond. One costs a socket and a few kilobytes."""

    event_streams_per_caller: int = Field(
        default=50, ge=1, le=10_000, validation_alias="HOLMESGPT_EVENT_STREAMS_PER_CALLER"
    )
    """Of these, for one caller; 429 beyond. A console that follows every open investigation has enough."""


class ChatSettings(BaseSettings):
    """Questions and answers."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    chat_timeout: Duration = Field(
        default=timedelta(seconds=60),
        validation_alias="HOLMESGPT_CHAT_TIMEOUT",
        gt=timedelta(0),
        le=timedelta(minutes=10),
    )
    """Longest time for an answer, in seconds, where the asker sees a model's steps (a stream, a WebSocket); a model has
    of it what looking up has left. By REST it is `SYNC_ANSWER_TIMEOUT`. A model with tools needs 5 to 40 s; nobody waits longer than a minute."""

    chat_idle: Duration = Field(
        default=timedelta(minutes=30), validation_alias="HOLMESGPT_CHAT_IDLE_TIMEOUT", ge=timedelta(seconds=1)
    )
    """How long a session lives after its last question. Then it and all it has said are deleted."""

    chat_sessions: int = Field(default=200, ge=1, validation_alias="HOLMESGPT_CHAT_SESSIONS")
    """Sessions one caller may have; more are refused with 429. A platform that chats for its people under one
    credential has one for each of them."""

    chat_questions: int = Field(default=20, ge=1, validation_alias="HOLMESGPT_CHAT_QUESTIONS")
    """Questions of one caller at a model or waiting for it; more are refused with 429, so that one caller does not
    take all places. Answers of triage are not counted, they take milliseconds."""

    chat_sockets: int = Field(default=100, ge=1, validation_alias="HOLMESGPT_CHAT_SOCKETS")
    """WebSockets one caller may have open at one process; more are refused with 429."""


class ModelSettings(BaseSettings):
    """The model and the engine that asks it. Without a model's name there is no engine."""

    model_config = SettingsConfigDict(
        use_attribute_docstrings=True, extra="ignore", populate_by_name=True, protected_namespaces=()
    )

    llm_model: str | None = Field(
        default=None,
        max_length=200,
        validation_alias=AliasChoices("HOLMESGPT_LLM_MODEL", "MODEL"),
    )
    """Name of the model that investigates, e.g. `gpt-4.1`, or with its provider as litellm names it:
    `anthropic/claude-sonnet-4`. Unset: no model is asked, and triage answers."""

    llm_provider: Provider = Field(default="openai", validation_alias="HOLMESGPT_LLM_PROVIDER")
    """Who serves the model, where its name does not say so. `local_llm`: any server that speaks OpenAI's
    protocol (vLLM, llama.cpp, LocalAI) at `HOLMESGPT_LLM_BASE_URL`."""

    llm_api_key: SecretStr | None = Field(default=None, validation_alias="HOLMESGPT_LLM_API_KEY")
    """The provider's key. Unset: none is sent, which local servers accept."""

    llm_api_key_file: Path | None = Field(default=None, validation_alias="HOLMESGPT_LLM_API_KEY_FILE")
    """File that holds the key instead (a mounted secret); read at start. It counts before the variable."""

    llm_base_url: HttpUrl | None = Field(default=None, validation_alias="HOLMESGPT_LLM_BASE_URL")
    """Base URL of the provider's API, e.g. `http://llm:8080/v1`. Unset: the provider's own. Needed for
    `local_llm`, `ollama` and `azure_openai`."""

    llm_api_version: str | None = Field(
        default=None, max_length=40, validation_alias="HOLMESGPT_LLM_API_VERSION"
    )
    """Version of Azure OpenAI's API; only there."""

    fallback_llm_provider: Provider = Field(
        default="openai", validation_alias="HOLMESGPT_FALLBACK_LLM_PROVIDER"
    )
    """Who serves the model that is asked where the first one does not answer."""

    fallback_llm_model: str | None = Field(
        default=None, max_length=200, validation_alias="HOLMESGPT_FALLBACK_LLM_MODEL"
    )
    """Its name. Unset: there is none. More than one, and limits and prices of their own, are written into the
    configuration file."""

    fallback_llm_api_key: SecretStr | None = Field(
        default=None, validation_alias="HOLMESGPT_FALLBACK_LLM_API_KEY"
    )
    """Its provider's key."""

    fallback_llm_api_key_file: Path | None = Field(
        default=None, validation_alias="HOLMESGPT_FALLBACK_LLM_API_KEY_FILE"
    )
    """File that holds the key instead."""

    fallback_llm_base_url: HttpUrl | None = Field(
        default=None, validation_alias="HOLMESGPT_FALLBACK_LLM_BASE_URL"
    )
    """Base URL of its provider's API; needed where it is for the first one."""

    llm_tools: bool | None = Field(default=None, validation_alias="HOLMESGPT_LLM_TOOLS")
    """Whether the models named here call tools. Unset: each is asked once to call one. A model that calls none
    only writes conclusions down."""

    llm_probe_interval: Duration = Field(
        default=timedelta(seconds=30), validation_alias="HOLMESGPT_LLM_PROBE_INTERVAL", gt=timedelta(0)
    )
    """Pause between two looks for models to be probed, in seconds: those whose tool calls are unknown, and those
    that were left alone for failing. One that answers is never probed: runs tell how it does."""

    toolsets: WordList = Field(default_factory=list, validation_alias="HOLMESGPT_TOOLSETS")
    """Toolsets that requests may name. Empty: the configuration file's, or all that there are. `internet`, `docker`
    and `bash` are not offered, and left out."""

    default_toolsets: WordList = Field(default_factory=list, validation_alias="HOLMESGPT_DEFAULT_TOOLSETS")
    """Toolsets of requests that name none. Empty: the configuration file's, or `kubernetes` and `prometheus`."""

    config_file: Path | None = Field(default=None, validation_alias="HOLMESGPT_CONFIG_FILE")
    """Configuration file (YAML): models with limits and prices, budgets, toolsets, and other settings below the
    environment's word. Unset: the environment alone."""

    config_key_file: Path | None = Field(default=None, validation_alias="HOLMESGPT_CONFIG_KEY_FILE")
    """File with the Fernet keys that open the configuration file's encrypted values, one a line; the first one
    that fits is used, so that keys can be changed."""

    llm_timeout: Duration = Field(
        default=timedelta(seconds=60), validation_alias="HOLMESGPT_LLM_TIMEOUT", gt=timedelta(0)
    )
    """Longest wait for one answer of the model, in seconds, and never beyond the investigation's deadline. The
    architecture document's value; the SDK's own is ten minutes, three times over."""

    llm_attempts: int = Field(default=3, ge=1, le=10, validation_alias="HOLMESGPT_LLM_ATTEMPTS")
    """Requests for one answer, the first included, when the model is unreachable, overloaded or too slow. A
    `Retry-After` is honoured where the deadline allows it."""

    llm_temperature: Annotated[float | None, BeforeValidator(_or_null)] = Field(
        default=0.0, ge=0, le=2, validation_alias="HOLMESGPT_LLM_TEMPERATURE"
    )
    """Randomness of the answers. 0, because the same evidence should give the same cause. JSON `null` leaves it
    out, for models that refuse it."""

    llm_max_tokens: int = Field(default=4000, ge=256, le=200_000, validation_alias="HOLMESGPT_LLM_MAX_TOKENS")
    """Longest answer, in tokens (the architecture document's value). The SDK would reserve 64,000."""

    llm_context_tokens: int = Field(
        default=32_000, ge=4_000, le=4_000_000, validation_alias="HOLMESGPT_LLM_CONTEXT_TOKENS"
    )
    """Size of the model's window, in tokens, its answer included. 32,000 fits every model worth asking; a larger
    value lets it read more, at its price."""

    llm_input_price: float | None = Field(default=None, ge=0, validation_alias="HOLMESGPT_LLM_INPUT_PRICE")
    """US dollars per million tokens read. Unset: the price list that comes with the SDK, 0 for unknown models."""

    llm_output_price: float | None = Field(default=None, ge=0, validation_alias="HOLMESGPT_LLM_OUTPUT_PRICE")
    """US dollars per million tokens written; counts only together with the one above."""

    max_steps: int = Field(default=12, ge=2, le=100, validation_alias="HOLMESGPT_MAX_STEPS")
    """Answers of the model in one investigation, or to one question of a chat, until it must conclude. Eight have
    sufficed in trials; the SDK's 100 would spend a budget on a loop. Writing an investigation's conclusion down takes
    one more, two where the first was no valid document; HOLMESGPT_BUDGET_RUN_STEPS bounds them all."""

    max_running: int | None = Field(default=None, ge=1, le=100, validation_alias="HOLMESGPT_MAX_RUNNING")
    """Investigations at the model at once, per worker process; more are held, and say their place in the queue.
    Unset: as many as memory allows, (limit - 400 MB) / 80 MB, and 50 at most."""

    @model_validator(mode="after")
    def _a_model_can_be_reached(self) -> Self:
        if self.fallback_llm_model and self.fallback_llm_provider in NEEDS_URL:
            _need("HOLMESGPT_FALLBACK_LLM", self.fallback_llm_provider, self.fallback_llm_base_url)
        if self.llm_model is None:
            if self.fallback_llm_model:
                raise ValueError(
                    "HOLMESGPT_FALLBACK_LLM_MODEL needs HOLMESGPT_LLM_MODEL, which is asked first"
                )
            return self
        if self.llm_provider in NEEDS_URL:
            _need("HOLMESGPT_LLM", self.llm_provider, self.llm_base_url)
        if self.llm_context_tokens < 2 * self.llm_max_tokens:
            raise ValueError(
                "HOLMESGPT_LLM_CONTEXT_TOKENS must be at least twice HOLMESGPT_LLM_MAX_TOKENS, or there is no room "
                "for a question"
            )
        self._check_key()
        return self

    def _check_key(self) -> None:
        for name, key in (("LLM", self.llm_key), ("FALLBACK_LLM", self.fallback_llm_key)):
            try:
                key()
            except OSError as error:
                raise ValueError(f"HOLMESGPT_{name}_API_KEY_FILE cannot be read: {error.strerror}") from None

    def llm_key(self) -> str | None:
        """The provider's key. Raises OSError: its file cannot be read."""
        return _key(self.llm_api_key_file, self.llm_api_key)

    def fallback_llm_key(self) -> str | None:
        """The key of the fallback's provider. Raises OSError: its file cannot be read."""
        return _key(self.fallback_llm_api_key_file, self.fallback_llm_api_key)

    def variables_set(self) -> frozenset[str]:
        """What the environment has, in upper case, since case does not count; the empty ones left out."""
        return frozenset(name.upper() for name, value in os.environ.items() if value)

    def variable(self, name: str) -> str | None:
        """What the environment has under a name that the configuration file gives (`api_key_env`, `token_env`)."""
        return os.environ.get(name)


def _need(prefix: str, provider: str, base_url: HttpUrl | None) -> None:
    if base_url is None:
        raise ValueError(f"{prefix}_BASE_URL is needed with {prefix}_PROVIDER={provider}")


def _key(file: Path | None, given: SecretStr | None) -> str | None:
    if file is not None:
        return file.read_text("utf-8").strip()
    return given.get_secret_value() if given else None


ENGINE_SEES = (
    *("PATH", "LANG", "LC_ALL", "TZ"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)


class _FileSource(PydanticBaseSettingsSource):
    """The settings that the configuration file gives. A file that cannot be used gives none: `Settings` refuses it."""

    def __init__(self, settings_cls: type[BaseSettings], *above: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._above = above

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for source in reversed(self._above):
            given |= source()
        file = given.get("HOLMESGPT_CONFIG_FILE") or given.get("config_file")
        key = given.get("HOLMESGPT_CONFIG_KEY_FILE") or given.get("config_key_file")
        if not file:
            return {}
        try:
            return settings_in(load(Path(file), Path(key) if key else None).configuration)
        except BadConfiguration:
            return {}


class Settings(
    HolmesSettings,
    CourseSettings,
    ChatSettings,
    ToolsetSettings,
    ModelSettings,
    BudgetSettings,
    EngineSettings,
    WebSettings,
    StorageSettings,
    RedisSettings,
    AuthSettings,
    JobsSettings,
    ClusterSettings,
):
    """Everything this service reads: from the environment, and below its word from the configuration file."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = _FileSource(settings_cls, init_settings, env_settings)
        return init_settings, env_settings, dotenv_settings, file_secret_settings, file

    @model_validator(mode="after")
    def _the_file_can_be_used(self) -> Self:
        if self.config_file is not None:
            try:
                load(self.config_file, self.config_key_file)
            except BadConfiguration as error:
                raise ValueError(f"HOLMESGPT_CONFIG_FILE: {error}") from None
        return self

    host: str = Field(default="127.0.0.1", validation_alias=AliasChoices("HOLMESGPT_HOST", "HOST"))
    """Address to listen on. Loopback unless told otherwise; images set `0.0.0.0`."""

    def engine_sees(self) -> dict[str, str]:
        """The part of this process's environment that the engine gets to see."""
        names = {
            *ENGINE_SEES,
            *(name.lower() for name in ENGINE_SEES if "PROXY" in name),
            *self.engine_environment,
        }
        return {name: os.environ[name] for name in sorted(names) if name in os.environ}

    @property
    def chat_life(self) -> timedelta:
        """The longest that a question may take, however it is asked."""
        return max(self.chat_timeout, self.sync_answer_timeout)

    port: Port = Field(default=8090, validation_alias=AliasChoices("HOLMESGPT_PORT", "PORT"))
    """TCP port of the API; 0 takes any free one."""

    metrics_port: Port = Field(
        default=9091, validation_alias=AliasChoices("HOLMESGPT_METRICS_PORT", "METRICS_PORT")
    )
    """TCP port of `/metrics`; when it is taken the next free one is used, and said."""

    worker_concurrency: int = Field(
        default=10,
        ge=1,
        le=100,
        validation_alias=AliasChoices("HOLMESGPT_MAX_CONCURRENT", "WORKER_CONCURRENCY"),
    )
    """Investigations one worker process runs at once; more are held and visible as `started`. They wait for the
    Context API most of the time, so ten share the few database connections easily."""
