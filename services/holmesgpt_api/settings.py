"""What an operator can set about the HolmesGPT API.

Names follow the architecture document (§9.1) where it has one. Its unsafe defaults are not honoured: `*` for
CORS origins and hosts, listening on every address, a token secret in the environment, the internet toolset.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.auth.settings import AuthSettings
from libs.cache.settings import RedisSettings
from libs.clients.settings import ContextPeerSettings
from libs.contracts.base import Duration
from libs.jobs.settings import JobsSettings
from libs.storage.settings import StorageSettings
from libs.web.settings import Port, WebSettings


class HolmesSettings(BaseSettings):
    """Its own part; `Settings` adds what every service has."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    sync_answer_timeout: Duration = Field(
        default=timedelta(seconds=25), validation_alias="SYNC_ANSWER_TIMEOUT", gt=timedelta(0)
    )
    """Longest wait of a synchronous caller, in seconds; then it is told how far the investigation is. The Go
    application gives up after 30 s and makes a result up, so it must have ours before that."""

    investigation_timeout: Duration = Field(
        default=timedelta(seconds=300), validation_alias="HOLMESGPT_INVESTIGATION_TIMEOUT", gt=timedelta(0)
    )
    """From being asked for to the end, in seconds: by then an investigation has ended, with a result or with
    the reason why there is none. Five minutes let a dependency restart in between."""

    context_api_timeout: Duration = Field(
        default=timedelta(seconds=10), validation_alias="KUBERNAUT_CONTEXT_API_TIMEOUT", gt=timedelta(0)
    )
    """Longest wait for one answer of the Context API, in seconds. It answers in well under one; two such waits
    still fit into a synchronous answer, which the architecture document's 30 s do not."""

    investigation_retention: Duration = Field(
        default=timedelta(days=30), validation_alias="HOLMESGPT_INVESTIGATION_RETENTION", gt=timedelta(0)
    )
    """How long ended investigations are kept (ISO 8601, or seconds). A month covers a review of an incident."""


class Settings(
    HolmesSettings,
    WebSettings,
    StorageSettings,
    RedisSettings,
    AuthSettings,
    JobsSettings,
    ContextPeerSettings,
):
    """Everything this service reads."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    host: str = Field(default="127.0.0.1", validation_alias=AliasChoices("HOLMESGPT_HOST", "HOST"))
    """Address to listen on. Loopback unless told otherwise; images set `0.0.0.0`."""

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
