"""Where the other services are. A service inherits the mixins of those it calls."""

from __future__ import annotations

import ssl
from pathlib import Path

from pydantic import Field, HttpUrl, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_CONFIG = SettingsConfigDict(
    use_attribute_docstrings=True, extra="ignore", populate_by_name=True, validate_default=True
)


class PeerSettings(BaseSettings):
    """What is the same for all of them."""

    model_config = _CONFIG

    peer_ca_file: Path | None = Field(default=None, validation_alias="KUBERNAUT_CA_FILE")
    """PEM file of the authorities that signed the other services' certificates, for base URLs with `https`; no other is
    then believed. OpenShift writes its own into a ConfigMap that has the annotation
    `service.beta.openshift.io/inject-cabundle: "true"`, key `service-ca.crt`. Unset: the public ones. Read at the start."""

    @field_validator("peer_ca_file")
    @classmethod
    def _has_authorities(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                ssl.create_default_context(cafile=str(path))
            except ssl.SSLError as error:
                raise ValueError(f"{path} holds no certificate in PEM") from error
            except OSError as error:
                raise ValueError(f"{path}: {error.strerror}") from error
            path = path.absolute()  # the engine's processes have another working directory
        return path


class ContextPeerSettings(PeerSettings):
    model_config = _CONFIG

    context_api_url: HttpUrl = Field(
        default=HttpUrl("http://127.0.0.1:8091"), validation_alias="KUBERNAUT_CONTEXT_API_URL"
    )
    """Base URL of the Context API. The default is where `make run` starts it."""


class HolmesPeerSettings(PeerSettings):
    model_config = _CONFIG

    holmesgpt_url: HttpUrl = Field(
        default=HttpUrl("http://127.0.0.1:8090"), validation_alias="KUBERNAUT_HOLMESGPT_URL"
    )
    """Base URL of the HolmesGPT API. The default is where `make run` starts it."""


class AlertsPeerSettings(PeerSettings):
    model_config = _CONFIG

    alerts_url: HttpUrl = Field(
        default=HttpUrl("http://127.0.0.1:8092"), validation_alias="KUBERNAUT_ALERTS_URL"
    )
    """Base URL of the alerts service. The default is where `make run` starts it."""


class NotificationsPeerSettings(PeerSettings):
    model_config = _CONFIG

    notifications_url: HttpUrl = Field(
        default=HttpUrl("http://127.0.0.1:8093"), validation_alias="KUBERNAUT_NOTIFICATIONS_URL"
    )
    """Base URL of the notifications service. The default is where `make run` starts it."""
