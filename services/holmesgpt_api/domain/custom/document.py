"""Documents of custom toolsets, as an operator writes them. Pure.

A document says what there is and how it is asked. It opens nothing by itself: its origin must be in a setting
besides (`HOLMESGPT_TOOLSET_ORIGINS`), and whatever changes something is done only after a person has agreed to it,
which no document can switch off.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from libs.contracts.base import Contract, Duration
from services.holmesgpt_api.domain.custom import schema, template
from services.holmesgpt_api.domain.custom.errors import BadToolset
from services.holmesgpt_api.domain.custom.origin import Origin, origin
from services.holmesgpt_api.domain.custom.words import NAME, TOOL, fault_in

READING = ("GET", "HEAD")
"""Methods that change nothing (RFC 9110, 9.2.1). A server that changes something on GET is not asked by a document."""

RESERVED = frozenset(
    {
        *("kubernetes", "prometheus", "context-api", "kubernaut", "kubernaut-context"),
        *("internet", "docker", "bash", "shell", "all", "none", "default", "custom"),
    }
)
"""Names of ours, names of what is never offered, and words that would be taken for something else."""

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_OURS = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"),
        *("accept-encoding", "content-encoding", "content-type", "idempotency-key", "cookie", "user-agent"),
        *("proxy-authorization", "proxy-connection", "keep-alive", "range", "forwarded"),
        *("x-forwarded-for", "x-forwarded-host", "x-real-ip", "x-http-method-override", "x-http-method"),
        *("x-method-override", "mcp-session-id", "mcp-protocol-version", "last-event-id"),
    }
)
"""Headers that are ours to set, or that say to a proxy what was not asked."""

POINTER = r"^(/([^/~]|~[01])*){0,20}$"

ToolName = Annotated[str, StringConstraints(pattern=TOOL)]
Header = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Said = Annotated[str, StringConstraints(min_length=1, max_length=600)]


class Credential(Contract):
    """What a foreign system knows us by: one header. Its value is never written down in plain text."""

    header: Header = "Authorization"
    scheme: str = Field(default="Bearer", max_length=40, pattern=r"^[A-Za-z0-9-]*$", description="before it")
    token: str | None = Field(default=None, repr=False, description="encrypted only: `enc:v1:…`")
    token_file: Path | None = None
    token_env: str | None = Field(default=None, pattern=r"^[A-Z][A-Z0-9_]*$")

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Self:
        if sum(one is not None for one in (self.token, self.token_file, self.token_env)) != 1:
            raise ValueError("credential: give one of token, token_file and token_env")
        _check_header(self.header)
        return self


class HttpTool(Contract):
    """One request, with gaps for a model's arguments."""

    name: ToolName
    description: Said
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str = Field(max_length=1_000, description="`/hosts/{host}/owners`: gaps fill one segment each")
    query: dict[str, str] = Field(default_factory=dict, max_length=20)
    parameters: dict[str, Any] = Field(default_factory=dict, description="JSON Schema, the closed part of it")
    body: Any = Field(default=None, description="JSON with gaps; only of tools that write")
    approval: Literal["required"] | None = Field(
        default=None, description="`required` for every method but GET and HEAD"
    )
    result: str | None = Field(
        default=None,
        max_length=400,
        pattern=POINTER,
        description="JSON pointer to what of the answer is shown",
    )

    @property
    def writes(self) -> bool:
        return self.method not in READING or self.approval is not None

    @property
    def schema_(self) -> schema.Schema:
        return schema.read(self.parameters, whole=True)

    @model_validator(mode="after")
    def _can_be_asked(self) -> Self:
        if self.method not in READING and self.approval != "required":
            raise ValueError(f"{self.name}: {self.method} changes something: approval must be `required`")
        if self.body is not None and self.method in (*READING, "DELETE"):
            raise ValueError(f"{self.name}: a body goes with POST, PUT and PATCH only")
        known = self.schema_
        path, query = template.path(self.path), template.query(self.query)
        in_body = template.names_in(self.body)
        if strangers := sorted((path.names | query.names | in_body) - known.names):
            raise ValueError(f"{self.name}: {', '.join(strangers)}: a gap without a parameter")
        if idle := sorted(known.names - path.names - query.names - in_body):
            raise ValueError(f"{self.name}: {', '.join(idle)}: a parameter without a gap")
        if loose := sorted(path.names - known.required):
            raise ValueError(f"{self.name}: {', '.join(loose)}: stands in the path, so it must be required")
        return self


class McpTool(Contract):
    """One tool of a server. What it takes is the server's to say, once: a changed one is withdrawn."""

    name: ToolName = Field(description="as the server calls it")
    access: Literal["read", "write"] = Field(description="a server's own word can only make it stricter")
    approval: Literal["required"] | None = Field(default=None, description="`required` with `access: write`")
    description: Said | None = Field(default=None, description="left out: the server's own")
    pin: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 that the server's description and schema must have; left out: that of the first look",
    )

    @property
    def writes(self) -> bool:
        return self.access == "write" or self.approval is not None

    @model_validator(mode="after")
    def _writing_needs_approval(self) -> Self:
        if self.access == "write" and self.approval != "required":
            raise ValueError(f"{self.name}: access is write: approval must be `required`")
        return self


class _Toolset(Contract):
    name: str = Field(pattern=NAME)
    version: str = Field(
        max_length=40,
        pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$",
        description="semver",
    )
    description: Said
    origin: str = Field(max_length=300, description="scheme://host[:port], exactly")
    allow_http: bool = Field(default=False, description="without TLS beyond this machine; else only https")
    credential: Credential | None = None
    headers: dict[Header, str] = Field(
        default_factory=dict, max_length=10, description="fixed, none of them secret"
    )
    timeout_s: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(seconds=60))] = timedelta(seconds=10)
    max_output_chars: int = Field(default=8_000, ge=200, le=24_000)
    tenants: list[Annotated[str, StringConstraints(min_length=1, max_length=63)]] = Field(
        default_factory=list, max_length=200, description="who may use it; empty: all"
    )

    @property
    def where(self) -> Origin:
        return origin(self.origin)

    @property
    def digest(self) -> str:
        """Of everything it says but its credential's value: another document has another one."""
        told = self.model_dump_json(exclude={"credential": {"token"}})
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    @model_validator(mode="after")
    def _may_be_called_so(self) -> Self:
        if self.name in RESERVED:
            raise ValueError(f"{self.name}: this name is taken, or never offered")
        if self.where.scheme == "http" and not (self.allow_http or self.where.is_loopback):
            raise ValueError(f"{self.name}: origin: want https, or allow_http: true where nobody can listen")
        for header, value in self.headers.items():
            _check_header(header)
            if header.lower() == "authorization" or not value.isascii() or fault_in(value, lines=False):
                raise ValueError(f"{self.name}: headers: {header[:40]}: a credential, or no plain text")
        return self


class HttpToolset(_Toolset):
    """Requests to one origin."""

    type: Literal["http"]
    tools: list[HttpTool] = Field(min_length=1, max_length=40)

    @model_validator(mode="after")
    def _tools_are_told_apart(self) -> Self:
        _distinct(self.name, [one.name for one in self.tools])
        return self


class McpToolset(_Toolset):
    """Tools of one server that speaks the Model Context Protocol over streamable HTTP."""

    type: Literal["mcp"]
    endpoint: str = Field(default="/mcp", max_length=300)
    tools: list[McpTool] = Field(
        min_length=1, max_length=40, description="others of the server are not offered"
    )

    @model_validator(mode="after")
    def _tools_are_told_apart(self) -> Self:
        _distinct(self.name, [one.name for one in self.tools])
        if template.path(self.endpoint).names:
            raise ValueError(f"{self.name}: endpoint: has no gaps")
        return self


Document = Annotated[HttpToolset | McpToolset, Field(discriminator="type")]


class Documents(Contract):
    """Toolsets of foreign systems."""

    directory: str | None = Field(
        default=None, max_length=400, description="every *.yaml in it is one document more"
    )
    custom: list[Document] = Field(default_factory=list, max_length=50)

    @model_validator(mode="after")
    def _names_are_told_apart(self) -> Self:
        _distinct("toolsets", [one.name for one in self.custom])
        return self


def _distinct(where: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        # A model does not tell `restart_web` from `restart-web` reliably.
        folded = name.lower().replace("_", "-")
        if folded in seen:
            raise ValueError(f"{where}: {name}: there are two of this name, or nearly")
        seen.add(folded)


def _check_header(name: str) -> None:
    if not _HEADER.fullmatch(name) or name.lower() in _OURS:
        raise BadToolset(f"header {name[:40]!r}: not to be set")
