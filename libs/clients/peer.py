"""Peer: one of our services, called over HTTP. Typed answers out; nothing of httpx leaves this module.

The deadline covers the whole call. httpx's own timeouts are per read, so a peer that drips a byte a second would
hold a caller for hours; they stay as a second fence.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import ClassVar, NamedTuple, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from libs.clients.breaker import Admission, Breaker
from libs.clients.errors import PeerRefused, PeerUnavailable
from libs.contracts.problem import Problem
from libs.logs.context import current_request

TokenSource = Callable[[str], str | None]
"""Tenant in, bearer credential out; None: send none and let the peer's trusted networks decide."""

Answer = TypeVar("Answer", bound=BaseModel)

DEADLINE_HEADER = "X-Request-Deadline"
"""Seconds left, relative: two hosts' clocks need not agree."""

LONGEST_CALL = timedelta(hours=1)
"""What the services accept as a deadline at most; a longer one is cut to it."""

MAX_ANSWER = 32 * 1024 * 1024
"""Bytes. An answer with every finding of a 1,000-object snapshot has about 2 MB."""

MAX_CONNECTIONS = 64
"""Per peer and process; more callers wait in line, within their deadline."""

_LATER = frozenset({408, 425, 429})
"""4xx that mean "not now": the request was fine."""


LONGEST_PAUSE = timedelta(hours=1)
"""A peer that asks for more is asked again after this; nobody means a year."""


class _Reply(NamedTuple):
    status: int
    retry_after: str | None
    content: bytes


@functools.cache
def trusted(ca_file: Path | None) -> ssl.SSLContext:
    """What a peer's certificate and name are checked against; read once, and only where a peer speaks TLS.

    With a file its authorities alone; else those of certifi, which take 30 ms of CPU.
    """
    if ca_file is None:
        return httpx.create_ssl_context(trust_env=False)
    context = ssl.create_default_context(cafile=str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class Peer:
    """One base URL. Close it when done, or use it as an async context manager."""

    name: ClassVar[str]

    def __init__(
        self,
        base_url: object,
        *,
        token: TokenSource | None = None,
        breaker: Breaker | None = None,
        ca_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Open no connection yet.

        Args:
            base_url: text or a pydantic URL.
            ca_file: the authorities to believe where the URL is `https`; the settings have looked into it.
            transport: replaces the network in tests (`httpx.ASGITransport`, `httpx.MockTransport`).
        """
        self.breaker = breaker or Breaker()
        self._token = token
        self._http = httpx.AsyncClient(
            base_url=str(base_url),
            transport=transport,
            verify=trusted(ca_file) if str(base_url).lower().startswith("https:") else False,
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(
                max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS // 2
            ),
            headers={"Accept": "application/json", "User-Agent": "kubernaut-services"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        answer: type[Answer],
        deadline: timedelta,
        tenant: str,
        body: BaseModel | bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Call, and read the answer as this contract.

        Raises:
            PeerUnavailable: no usable answer within the deadline.
            PeerRefused: the peer answered 4xx.
        """
        left = min(deadline.total_seconds(), LONGEST_CALL.total_seconds())
        if left < 0.001:  # the header counts in milliseconds
            raise PeerUnavailable(self.name, "deadline-passed")
        request = self._request(method, path, left, tenant, body, query, headers)
        # Last, so that nothing can fail between being admitted and settling it.
        admission = self.breaker.admit()
        if isinstance(admission, timedelta):
            raise PeerUnavailable(self.name, "breaker-open", retry_after=admission)
        reply = await self._exchange(request, left, admission)
        if 200 <= reply.status < 300:
            return self._contract(reply, answer)
        raise self._refusal(reply)

    def _request(
        self,
        method: str,
        path: str,
        left: float,
        tenant: str,
        body: BaseModel | bytes | None,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Request:
        fields = {**(headers or {}), DEADLINE_HEADER: f"{left:.3f}"}
        if (cause := current_request.get()) is not None:  # one search finds what a request did at its peers
            fields["traceparent"], fields["X-Request-ID"] = cause.traceparent, cause.request_id
        if self._token is not None and (token := self._token(tenant)) is not None:
            fields["Authorization"] = f"Bearer {token}"
        content = _bytes(body)
        if content is not None:
            fields.setdefault("Content-Type", "application/json")
        return self._http.build_request(
            method, path, params=query, headers=fields, content=content, timeout=httpx.Timeout(left)
        )

    async def _exchange(self, request: httpx.Request, left: float, admission: Admission) -> _Reply:
        """Send, read everything, and tell the breaker what it says about the peer."""
        try:
            async with asyncio.timeout(left):
                reply = await self._send(request)
        except (TimeoutError, httpx.TimeoutException) as error:
            self.breaker.failed(admission)
            raise PeerUnavailable(self.name, "timeout", detail=f"after {left:.3f} s") from error
        except httpx.HTTPError as error:
            self.breaker.failed(admission)
            reason = "connect" if isinstance(error, httpx.ConnectError) else "network"
            raise PeerUnavailable(
                self.name, reason, detail=_distrust(error) or type(error).__name__
            ) from error
        except PeerUnavailable:
            self.breaker.failed(admission)
            raise
        except BaseException:
            self.breaker.abandoned(admission)
            raise
        if reply.status >= 500:
            self.breaker.failed(admission)
        else:
            self.breaker.succeeded(admission)
        return reply

    async def _send(self, request: httpx.Request) -> _Reply:
        response = await self._http.send(request, stream=True)
        try:
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_ANSWER:
                    raise PeerUnavailable(self.name, "answer-too-large", detail=f"over {MAX_ANSWER} bytes")
            return _Reply(response.status_code, response.headers.get("retry-after"), bytes(content))
        finally:
            await response.aclose()

    def _contract(self, reply: _Reply, answer: type[Answer]) -> Answer:
        try:
            return answer.model_validate_json(reply.content)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise PeerUnavailable(
                self.name, "unexpected-answer", detail=f"{where or 'body'}: {first['msg']}"
            ) from error

    def _refusal(self, reply: _Reply) -> PeerRefused | PeerUnavailable:
        problem = _problem(reply)
        if 400 <= reply.status < 500 and reply.status not in _LATER:
            return PeerRefused(self.name, reply.status, problem)
        return PeerUnavailable(
            self.name,
            f"http-{reply.status}",
            retry_after=_pause(reply.retry_after, datetime.now(UTC)),
            detail=problem.detail or problem.title,
        )


def _bytes(body: BaseModel | bytes | None) -> bytes | None:
    if isinstance(body, BaseModel):
        return body.model_dump_json(by_alias=True, exclude_unset=True).encode()
    return body


def _distrust(error: BaseException | None) -> str | None:
    """What is wrong with the peer's certificate, where that is the cause: it is mended in another place than a network."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"certificate: {error.verify_message}"
        error = error.__cause__ or error.__context__
    return None


def segment(text: str) -> str:
    """One path segment, whatever it contains: a slash or a dot-dot stays inside it."""
    return quote(text, safe="").replace(".", "%2E") if text in (".", "..") else quote(text, safe="")


def _problem(reply: _Reply) -> Problem:
    """The answer's problem document; one made from the status when it carries none."""
    try:
        return Problem.model_validate_json(reply.content)
    except ValidationError:
        return Problem(
            title=f"HTTP {reply.status}", status=max(reply.status, 400), code="no-problem-document"
        )


def _pause(retry_after: str | None, now: datetime) -> timedelta | None:
    """`Retry-After` as seconds or as an HTTP date (RFC 9110, 10.2.3); None when absent or unreadable."""
    if retry_after is None:
        return None
    if retry_after.isdecimal():
        return min(timedelta(seconds=int(retry_after[:9])), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment - now, timedelta(0)), LONGEST_PAUSE)
