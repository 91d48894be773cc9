"""Where the other services are. A service inherits the mixins of those it calls."""

from __future__ import annotations

from pydantic import Field, HttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict

_CONFIG = SettingsConfigDict(
    use_attribute_docstrings=True, extra="ignore", populate_by_name=True, validate_default=True
)


class ContextPeerSettings(BaseSettings):
    model_config = _CONFIG

    context_api_url: HttpUrl = Field(
        default=HttpUrl("http://127.0.0.1:8091"), validation_alias="KUBERNAUT_CONTEXT_API_URL"
    )
    """Base URL of the Context API. The default is where `make run` starts it."""


class HolmesPeerSettings(BaseSettings):
    model_config = _CONFIG

    holmesgpt_url: HttpUrl = Field(
        default=HttpUrl("http://127.0.0.1:8090"), validation_alias="KUBERNAUT_HOLMESGPT_URL"
    )
    """Base URL of the HolmesGPT API. The default is where `make run` starts it."""


class AlertsPeerSettings(BaseSettings):
    model_config = _CONFIG

    alerts_url: HttpUrl = Field(
        default=HttpUrl("http://127.0.0.1:8092"), validation_alias="KUBERNAUT_ALERTS_URL"
    )
    """Base URL of the alerts service. The default is where `make run` starts it."""


class NotificationsPeerSettings(BaseSettings):
    model_config = _CONFIG

    notifications_url: HttpUrl = Field(
        default=HttpUrl("http://127.0.0.1:8093"), validation_alias="KUBERNAUT_NOTIFICATIONS_URL"
    )
    """Base URL of the notifications service. The default is where `make run` starts it."""
