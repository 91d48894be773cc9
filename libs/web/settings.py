"""What an operator can set about serving HTTP. A mixin: services inherit it into their own settings."""

from __future__ import annotations

import json
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from libs.contracts.base import Duration
from libs.contracts.origins import hosts, origins
from libs.web.tls import CertificateFiles


def _words(value: object) -> object:
    """`a,b` or `["a", "b"]`: both are what people write into an environment."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [word.strip() for word in value.split(",") if word.strip()]


WordList = Annotated[list[str], NoDecode, BeforeValidator(_words)]
Hosts = Annotated[list[str], NoDecode, BeforeValidator(_words), AfterValidator(hosts)]
Origins = Annotated[list[str], NoDecode, BeforeValidator(_words), AfterValidator(origins)]
Port = Annotated[int, Field(ge=0, le=65_535)]
Ports = Annotated[list[Annotated[int, Field(ge=1, le=65_535)]], NoDecode, BeforeValidator(_words)]


class Role(StrEnum):
    api = "api"
    worker = "worker"
    both = "both"


class WebSettings(BaseSettings):
    model_config = SettingsConfigDict(use_attribute_docstrings=True, extra="ignore", populate_by_name=True)

    host: str = "127.0.0.1"
    """Address to listen on. Loopback unless told otherwise; images set `0.0.0.0`."""

    port: Port = 8080
    """TCP port of the API. Each service has its own default; 0 takes any free one."""

    metrics_port: Port = 9090
    """TCP port of `/metrics`; when it is taken the next free one is used, and said."""

    role: Role = Field(default=Role.both, validation_alias="KUBERNAUT_ROLE")
    """`api` serves HTTP, `worker` runs jobs, `both` does both in one process (small installations)."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR. INFO has one line per request."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """`auto`: readable on a terminal, JSON elsewhere."""

    allowed_hosts: Hosts = ["localhost", "*.localhost", "*.svc", "*.svc.cluster.local"]
    """Host names answered to (`*.name` for its subdomains), comma-separated. IP addresses and names without a dot
    are always answered: DNS rebinding needs a dotted name that the attacker owns. Add a Route's or Ingress's. `*`
    alone is refused at start: it would answer to that name too."""

    cors_origins: Origins = []
    """Origins whose pages may call, comma-separated: scheme, host and port exactly, e.g. `https://console.example`.
    Empty: none. `*` is refused at start: any page that a caller has open could then call with what it knows."""

    behind_tls: bool = False
    """True where TLS ends in front of this service: answers then carry Strict-Transport-Security, as they do with
    `TLS_CERT_FILE`."""

    tls_cert_file: Path | None = None
    """PEM file with the certificate for TLS (1.2 or newer) at the API's and the metrics port, those of its authorities
    after it: `tls.crt` of a mounted Secret. Taken up within seconds when it is replaced. Unset: plain HTTP, for one
    machine or a mesh that encrypts by itself."""

    tls_key_file: Path | None = None
    """PEM file with the key of `TLS_CERT_FILE`, without a passphrase: `tls.key` of the same Secret."""

    max_body_bytes: int = Field(default=1024 * 1024, ge=1024, le=256 * 1024 * 1024)
    """Bytes of a request body; above it 413. 1 MiB: a webhook of 500 alerts has about 600 KB."""

    receive_deadline: Duration = timedelta(seconds=10)
    """From a request's first byte (or a connection's start) to its last. Absolute: a byte a second does not
    extend it. A 1 MiB body needs 1 s on a slow line."""

    keep_alive: Duration = timedelta(seconds=75)
    """How long an idle connection is kept. Above the 60 s of common load balancers, so that they close first."""

    max_connections: int = Field(default=10_000, ge=10)
    """Connections held at once; above it 503. 10,000 idle ones take about 110 MB, over TLS 470 MB (measured 2026-11). One
    counts when its TLS handshake is done, for which it has the receive deadline."""

    drain: Duration = timedelta(seconds=0)
    """Between "not ready" and "no new requests" on SIGTERM. Set 5 s behind a load balancer that needs to notice."""

    finish_within: Duration = timedelta(seconds=25)
    """For requests under way on SIGTERM; then they are cut. With the drain below Kubernetes' 30 s default grace."""

    rate_limit_requests: int = Field(default=6_000, ge=1)
    """Requests of one caller per `RATE_LIMIT_WINDOW`. A page per 10 ms; alert webhooks are never limited."""

    rate_limit_window: Duration = timedelta(seconds=60)
    """Window of `RATE_LIMIT_REQUESTS`."""

    @model_validator(mode="after")
    def _tls_has_both_files(self) -> Self:
        if self.tls_cert_file is not None and self.tls_key_file is None:
            raise ValueError("TLS_CERT_FILE is set: set TLS_KEY_FILE as well, or neither for plain HTTP")
        if self.tls_key_file is not None and self.tls_cert_file is None:
            raise ValueError("TLS_KEY_FILE is set: set TLS_CERT_FILE as well, or neither for plain HTTP")
        return self

    @property
    def tls(self) -> CertificateFiles | None:
        """None: plain HTTP."""
        if self.tls_cert_file is None or self.tls_key_file is None:
            return None
        return CertificateFiles(self.tls_cert_file, self.tls_key_file)
