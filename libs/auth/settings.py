"""What an operator sets about callers: where the keys are, and which networks need none."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.auth.networks import TrustedNetwork


class AuthSettings(BaseSettings):
    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    auth_keys_file: Path | None = Field(default=None, validation_alias="AUTH_KEYS_FILE")
    """Keys file, YAML or JSON: token keys, API keys, basic-auth users (a mounted secret, re-read when it
    changes). No default: a service that knows nobody refuses to start."""

    trusted_networks: dict[str, TrustedNetwork] = Field(
        default_factory=dict, validation_alias="TRUSTED_NETWORKS"
    )
    """JSON, CIDR to principal, roles, tenant and namespaces: callers from there need no credentials.
    Empty by default: an address is a weak proof, so it has to be given on purpose. The address is the
    socket's peer, never a forwarded header."""
