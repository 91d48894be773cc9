"""Which routes have a successor, since when, and until when they are answered at least.

One table. From it come the `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link` (RFC 5829) fields of every answer of
such a route, refusals included, and `deprecated` in the OpenAPI document. Bodies stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from string import Formatter
from typing import Any
from urllib.parse import parse_qsl, quote

from fastapi.routing import APIRoute
from starlette.types import Message, Receive, Scope, Send

SINCE = datetime(2026, 11, 26, tzinfo=UTC)
SUNSET = datetime(2027, 11, 30, tzinfo=UTC)
"""A year: what calls these routes is released by others, and some of it twice a year."""

_ROOT = "/api/v1/context"


@dataclass(frozen=True, slots=True)
class Succession:
    """One row."""

    path: str
    successor: str
    """Its path; `{name}` is taken from the request's path, else from its query, else from `otherwise`."""
    otherwise: Mapping[str, str] = field(default_factory=dict)
    since: datetime = SINCE
    sunset: datetime = SUNSET


ROWS = (
    Succession("/api/v1/alerts/history", f"{_ROOT}/action-history/{{alert}}"),
    Succession(f"{_ROOT}/action-history", f"{_ROOT}/action-history/{{alertType}}"),
    Succession(
        "/api/v1/namespace/{namespace}/resources",
        f"{_ROOT}/kubernetes/{{namespace}}/{{resource}}",
        {"resource": "pods"},
    ),
    Succession("/api/v1/namespace/{namespace}/context", f"{_ROOT}/bundle"),
    Succession(f"{_ROOT}/alert/{{severity}}/{{alert_name}}", f"{_ROOT}/bundle"),
    Succession(f"{_ROOT}/investigation/{{investigation_type}}", f"{_ROOT}/bundle"),
    Succession("/api/v1/toolsets", "/api/v1/toolset.yaml"),
    Succession("/api/v1/toolsets/stats", "/api/v1/toolset.yaml"),
    Succession("/api/v1/toolsets/refresh", "/api/v1/toolset.yaml"),
    Succession("/api/v1/service-discovery", f"{_ROOT}/health"),
)
TABLE: Mapping[str, Succession] = {row.path: row for row in ROWS}


def fields(row: Succession, given: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """The header fields. `given`: what the request's path and query name; a successor whose path they do not fill
    is left out, since a link leads to an address and not to a pattern."""
    told = [
        # A structured field's date (RFC 9651, 3.3.7), and HTTP's own (RFC 9110, 5.6.7).
        (b"deprecation", b"@%d" % int(row.since.timestamp())),
        (b"sunset", format_datetime(row.sunset, usegmt=True).encode()),
    ]
    known = {**row.otherwise, **{name: value for name, value in given.items() if value}}
    names = [name for _, name, _, _ in Formatter().parse(row.successor) if name]
    if all(name in known for name in names):
        address = row.successor.format(**{name: quote(known[name], safe="") for name in names})
        told.append((b"link", f'<{address}>; rel="successor-version"'.encode()))
    return told


Told = Callable[[str, bytes], list[tuple[bytes, bytes]]]


def succession(template: str) -> Told | None:
    """What answers of that route tell, by the path and query that were asked; None where it has no successor."""
    row = TABLE.get(template)
    if row is None:
        return None
    names = [part[1:-1] if part.startswith("{") else "" for part in template.split("/")]

    def told(path: str, query: bytes) -> list[tuple[bytes, bytes]]:
        named = dict(parse_qsl(query.decode("latin-1")))
        named |= {name: part for name, part in zip(names, path.split("/"), strict=False) if name}
        return fields(row, named)

    return told


class OlderRoute(APIRoute):
    """A route that tells its succession where it has one."""

    def __init__(self, path: str, endpoint: Any, **described: Any) -> None:
        self._succession = succession(path)
        if self._succession is not None:
            described["deprecated"] = True
        super().__init__(path, endpoint, **described)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._succession is None:
            await super().handle(scope, receive, send)
            return
        told = self._succession(scope["path"], scope["query_string"])

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *told]}
            await send(message)

        await super().handle(scope, receive, telling)
