"""What an operator can set about the Context API."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.auth.settings import AuthSettings
from libs.cache.settings import RedisSettings
from libs.contracts.base import Duration
from libs.web.settings import Port, WebSettings
from services.context_api.steps.ask import UNNAMED


class EvidenceSettings(BaseSettings):
    """Its own part; `Settings` adds what every service has."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    recorded_cluster: Path | None = Field(default=None, validation_alias="RECORDED_CLUSTER")
    """A recorded cluster to answer from: a must-gather, a `kubectl cluster-info dump`, a folder of objects, or a tar
    archive of one. Read once, at the start. Unset: the service runs, is not ready, and says so."""

    evidence_cluster: str = Field(default=UNNAMED, max_length=253, validation_alias="EVIDENCE_CLUSTER")
    """Name of the cluster the evidence is of. With the default, questions about any cluster are answered from it;
    with a name, those about another get 404."""

    answer_timeout: Duration = Field(
        default=timedelta(seconds=10), validation_alias="CONTEXT_ANSWER_TIMEOUT", gt=timedelta(0)
    )
    """Longest wait for one answer, shorter when the caller says so. Causes take 15 ms in 1,000 objects (measured);
    ten seconds are for a full recording on a busy machine."""

    answer_ttl: Duration = Field(
        default=timedelta(minutes=10), validation_alias="CONTEXT_ANSWER_TTL", gt=timedelta(0)
    )
    """How long an answer is kept. A recording does not change, so this only bounds what the cache holds."""

    most_waiting: int = Field(default=64, ge=1, validation_alias="CONTEXT_MOST_WAITING")
    """Different questions that may wait for their answer at once; above it 503. At 15 ms each the last one waits
    a second."""


class Settings(EvidenceSettings, WebSettings, RedisSettings, AuthSettings):
    """Everything this service reads."""

    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    host: str = Field(default="127.0.0.1", validation_alias=AliasChoices("CONTEXT_API_HOST", "HOST"))
    """Address to listen on. Loopback unless told otherwise; images set `0.0.0.0`."""

    port: Port = Field(default=8091, validation_alias=AliasChoices("CONTEXT_API_PORT", "PORT"))
    """TCP port of the API; 0 takes any free one."""

    metrics_port: Port = Field(
        default=9092, validation_alias=AliasChoices("CONTEXT_API_METRICS_PORT", "METRICS_PORT")
    )
    """TCP port of `/metrics`; when it is taken the next free one is used, and said."""
