"""A Loki of a few streams, with faults on order: what it was asked is written down, what it does is scripted.

Speaks `query_range` as grafana.com/docs/loki, "Loki HTTP API", describes it: selectors of equalities, times in
nanoseconds, a limit and a direction over all streams together, values as pairs of strings; errors are plain text.
It evaluates no filter and no metric query.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from tests.fakes.kube_api import Fault, serving

_MATCHER = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)=("(?:[^"\\]|\\.)*")')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000


@dataclass
class Stream:
    labels: Mapping[str, str]
    lines: list[tuple[int, str]]
    """Nanoseconds since 1970, line."""
    tenant: str = "fake"
    """Loki's own name for the tenant where none is told apart."""


@dataclass
class FakeLoki:
    streams: list[Stream] = field(default_factory=list)
    tenants: bool = False
    """Whether it asks for `X-Scope-OrgID`."""
    faults: list[Fault] = field(default_factory=list)
    """What it answers first, in order; the last for ever when `sticky`."""
    sticky: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    """The parameters of every request, with `path`, `tenant` and `authorization`."""
    at_once: int = 0
    most_at_once: int = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        tenant = request.headers.get("X-Scope-OrgID", "")
        told = {
            "path": request.path,
            "tenant": tenant,
            "authorization": request.headers.get("Authorization", ""),
        }
        self.asked.append({**told, **request.query})
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.faults:
                fault = self.faults[0] if self.sticky and len(self.faults) == 1 else self.faults.pop(0)
                await asyncio.sleep(fault.wait)
                if fault.body is not None or fault.status != 200:
                    return web.Response(body=fault.body or b"", status=fault.status, headers=fault.headers)
            return self._answer(request, tenant)
        finally:
            self.at_once -= 1

    def _answer(self, request: web.Request, tenant: str) -> web.StreamResponse:
        if not request.path.endswith("/loki/api/v1/query_range"):
            return web.Response(text="404 page not found", status=404)
        if self.tenants and not tenant:
            return web.Response(text="no org id", status=401)
        wanted = _selector(request.query.get("query", ""))
        if wanted is None:
            return web.Response(text="parse error : queries require at least one matcher", status=400)
        start, end = int(request.query["start"]), int(request.query["end"])
        limit = int(request.query.get("limit", "100"))
        newest_first = request.query.get("direction", "backward") == "backward"
        found = [
            (moment, number, line)
            for number, stream in enumerate(self.streams)
            if wanted.items() <= stream.labels.items() and stream.tenant == (tenant or "fake")
            for moment, line in stream.lines
            if start <= moment < end
        ]
        kept = sorted(found, reverse=newest_first)[:limit]
        result = [
            {
                "stream": dict(stream.labels),
                "values": [[str(moment), line] for moment, of, line in kept if of == number],
            }
            for number, stream in enumerate(self.streams)
            if any(of == number for _, of, _ in kept)
        ]
        return _json({"status": "success", "data": {"resultType": "streams", "result": result, "stats": {}}})


def _selector(query: str) -> dict[str, str] | None:
    """The equalities of `{a="…",b="…"}`; None for what is no such selector."""
    if not query.startswith("{") or not query.endswith("}"):
        return None
    inside, place, found = query[1:-1], 0, dict[str, str]()
    while place < len(inside):
        one = _MATCHER.match(inside, place)
        if one is None:
            return None
        found[one[1]] = json.loads(re.sub(r"\\U0000([0-9a-f]{4})", r"\\u\1", one[2]))
        place = one.end()
        if place < len(inside):
            if inside[place] != ",":
                return None
            place += 1
    return found or None


def _json(document: dict[str, Any]) -> web.Response:
    return web.Response(body=json.dumps(document).encode(), content_type="application/json")


@asynccontextmanager
async def running(*streams: Stream, **settings: Any) -> AsyncIterator[tuple[FakeLoki, str]]:
    """The fake, and its URL."""
    fake = FakeLoki(list(streams), **settings)
    async with serving(fake) as url:
        yield fake, url
