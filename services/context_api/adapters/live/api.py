"""One GET against the API server: bounded in time, size and number, tried again when that may help, failures named.

Decides what an HTTP answer means; which paths are asked is decided elsewhere. Answers are bytes as the server
printed them: the client's typed models would drop unknown fields, and cost ten times the parsing.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson
from kubernetes.aio.client import ApiClient

from services.context_api.adapters.live.errors import ApiFailure, Why
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.live.quota import Bucket

JSON = "application/json"
PAUSE = timedelta(milliseconds=250)
"""Before a second try when the server does not say how long."""

_CHUNK = 64 * 1024
_LATER = frozenset({Why.overloaded, Why.broken, Why.unreachable})

Query = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    date: datetime | None
    """The server's clock; None when it does not say."""
    cut: bool = False
    """True when only the end was kept."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that got an answer, whatever it said."""

    status: int
    date: datetime | None
    waited: float
    """Seconds it waited for its turn (`quota`)."""
    sent: float
    """On the loop's clock."""
    received: float


Watcher = Callable[[Asked], None]


class KubeApi:
    """Reads from one API server. `connect` is called again when the server no longer takes our credentials."""

    def __init__(self, connect: Callable[[], Awaitable[ApiClient]], limits: LiveLimits) -> None:
        self._connect = connect
        self._limits = limits
        self._client: ApiClient | None = None
        self._renewing = asyncio.Lock()
        self._bucket = Bucket(limits.quota, clock=_now)
        self.watchers: list[Watcher] = []
        """Told of every request that was answered."""

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    @property
    def server(self) -> str:
        return str(self._client.configuration.host) if self._client is not None else "the cluster"

    async def get(
        self,
        path: str,
        query: Query = (),
        *,
        accept: str = JSON,
        within: timedelta | None = None,
        most: int | None = None,
        tail: int | None = None,
        attempts: int | None = None,
    ) -> Answer:
        """Ask, and ask again while time is left and it may help.

        Args:
            most: bytes of the answer; beyond it the call fails, with `tail` it ends there.
            tail: keep only this many bytes of the end.

        Raises:
            ApiFailure: it did not work out within `within` (default: the limit for one call).
            NoAccess: the credentials cannot be read.
        """
        allowed = within or self._limits.call
        until = _now() + allowed.total_seconds()
        tries, renewed = 0, False
        while True:
            tries += 1
            try:
                async with asyncio.timeout_at(until):
                    waited = await self._bucket.take(until)
                    client = await self._connected()
                    return await self._once(client, path, query, accept, most, tail, waited)
            except TimeoutError as error:
                raise ApiFailure(Why.slow, f"no answer within {allowed.total_seconds():g} s") from error
            except ApiFailure as failure:
                if failure.why is Why.unauthorized and not renewed:
                    renewed = True
                    await self._renew(client)
                    continue
                pause = (failure.retry_after or PAUSE * tries).total_seconds()
                more = tries < (attempts or self._limits.attempts) and failure.why in _LATER
                if not more or _now() + pause >= until:
                    raise
                await asyncio.sleep(pause)

    async def lines(
        self, path: str, query: Query, *, opening: timedelta, silence: Callable[[], timedelta], most: int
    ) -> AsyncGenerator[Sequence[bytes]]:
        """The lines of an answer that goes on, as they come; first none, when it has begun.

        Nothing is queued: who does not read keeps the server from sending more than the socket holds.

        Args:
            opening: longest wait for it to begin.
            silence: longest wait for its next word, asked anew for each.
            most: bytes of one line.

        Raises:
            ApiFailure: it was refused, broke (also in the middle of a line), fell silent, or a line is too long.
            NoAccess: the credentials cannot be read.
        """
        answer = await self._opened(path, query, opening)
        try:
            yield ()
            rest = b""
            while True:
                most_quiet = silence().total_seconds()
                try:
                    async with asyncio.timeout(most_quiet):
                        part = await answer.content.readany()
                except TimeoutError as error:
                    raise ApiFailure(Why.silent, f"no word for {most_quiet:g} s") from error
                except (aiohttp.ClientError, OSError) as error:
                    raise ApiFailure(
                        Why.unreachable, f"the connection broke ({type(error).__name__})"
                    ) from error
                if not part:
                    break
                *whole, rest = (rest + part).split(b"\n")
                if len(rest) > most or any(len(line) > most for line in whole):
                    raise ApiFailure(Why.large, f"an object is over the limit of {most / 2**20:g} MiB")
                if whole:
                    yield whole
            if rest.strip():
                raise ApiFailure(Why.unreachable, "the connection ended in the middle of an object")
        finally:
            _let_go(answer)

    async def _opened(self, path: str, query: Query, opening: timedelta) -> aiohttp.ClientResponse:
        until, renewed = _now() + opening.total_seconds(), False
        while True:
            try:
                async with asyncio.timeout_at(until):
                    waited = await self._bucket.take(until)
                    client = await self._connected()
                    # The client's own limit of five minutes is for answers that end.
                    endless = aiohttp.ClientTimeout(total=None)
                    return await self._ask(client, path, query, JSON, waited, endless)
            except TimeoutError as error:
                raise ApiFailure(Why.slow, f"no answer within {opening.total_seconds():g} s") from error
            except ApiFailure as failure:
                if failure.why is not Why.unauthorized or renewed:
                    raise
                renewed = True
                await self._renew(client)

    async def _connected(self) -> ApiClient:
        if self._client is None:
            await self._renew(None)
        assert self._client is not None  # noqa: S101 - _renew sets it or raises
        return self._client

    async def _renew(self, stale: ApiClient | None) -> None:
        """A client with new credentials, unless somebody else has made one meanwhile."""
        async with self._renewing:
            if self._client is stale:
                # The old one is closed with its calls: they were refused like ours.
                fresh = await self._connect()
                if stale is not None:
                    await stale.close()
                self._client = fresh

    async def _once(
        self,
        client: ApiClient,
        path: str,
        query: Query,
        accept: str,
        most: int | None,
        tail: int | None,
        waited: float,
    ) -> Answer:
        bound = most or self._limits.answer_bytes
        answer = await self._ask(client, path, query, accept, waited, None)
        try:
            body, cut = await (_end(answer, bound, tail) if tail else _whole(answer, bound))
            return Answer(body, _date(answer.headers.get("Date")), cut)
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise ApiFailure(Why.unreachable, f"the connection broke ({type(error).__name__})") from error
        finally:
            _let_go(answer)

    async def _ask(
        self,
        client: ApiClient,
        path: str,
        query: Query,
        accept: str,
        waited: float,
        lasts: aiohttp.ClientTimeout | None,
    ) -> aiohttp.ClientResponse:
        """The beginning of an answer that is none of a refusal."""
        sent = _now()
        try:
            answer = await self._sent(client, path, query, accept, lasts)
            asked = Asked(answer.status, _date(answer.headers.get("Date")), waited, sent, _now())
            for watcher in self.watchers:
                watcher(asked)
            if answer.status >= 400:
                refused = await _refusal(answer)
                answer.release()
                raise refused
        except aiohttp.ClientConnectorCertificateError as error:
            raise ApiFailure(Why.unreachable, f"{self.server}: its certificate is not trusted") from error
        except aiohttp.ClientConnectorError as error:
            raise ApiFailure(Why.unreachable, f"{self.server}: {_words(error.os_error)}") from error
        except (aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise ApiFailure(Why.unreachable, f"the connection broke ({type(error).__name__})") from error
        return answer

    async def _sent(
        self, client: ApiClient, path: str, query: Query, accept: str, lasts: aiohttp.ClientTimeout | None
    ) -> aiohttp.ClientResponse:
        method, url, headers, _, _ = await client.param_serialize(
            "GET", path, query_params=list(query), header_params={"Accept": accept}, auth_settings=["BearerToken"]
        )  # fmt: skip
        response = await client.call_api(method, url, header_params=headers, _request_timeout=lasts)
        answer: aiohttp.ClientResponse = response.response
        return answer


def _now() -> float:
    return asyncio.get_running_loop().time()


def _let_go(answer: aiohttp.ClientResponse) -> None:
    """Keep the connection of an answer that was read to its end; drop that of another at once.

    The library would take its leave in TLS first, and nobody waits for that: where the loop ends before the server has
    replied (a server that is busy, or reads no more), the socket stays open.
    """
    connection = answer.connection
    transport = None if connection is None else connection.transport
    # One that is closed a second time lets go of its connection, and cannot be aborted any more.
    open_ = transport is not None and not transport.is_closing()
    answer.release()
    if transport is not None and open_ and transport.is_closing():
        transport.abort()


async def _whole(answer: aiohttp.ClientResponse, most: int) -> tuple[bytes, bool]:
    parts = bytearray()
    async for chunk in answer.content.iter_chunked(_CHUNK):
        parts += chunk
        if len(parts) > most:
            raise ApiFailure(Why.large, f"is over the limit of {most / 2**20:g} MiB for one answer")
    return bytes(parts), False


async def _end(answer: aiohttp.ClientResponse, most: int, keep: int) -> tuple[bytes, bool]:
    """The last bytes, beginning with a whole line. What comes after `most` bytes is not waited for."""
    parts = bytearray()
    seen = 0
    async for chunk in answer.content.iter_chunked(_CHUNK):
        seen += len(chunk)
        parts += chunk
        if len(parts) > 2 * keep:
            del parts[: len(parts) - keep]
        if seen > most:
            break
    if seen <= keep:
        return bytes(parts), False
    _, newline, rest = bytes(parts[-keep:]).partition(b"\n")
    return (rest if newline and rest else bytes(parts[-keep:])), True


async def _refusal(answer: aiohttp.ClientResponse) -> ApiFailure:
    """What a status means. The server's own sentence is kept: it names the missing right."""
    message = _message(await answer.content.read(16 * 1024))
    return failure_of(answer.status, message, _seconds(answer.headers.get("Retry-After")))


def failure_of(code: int, message: str, later: timedelta | None = None) -> ApiFailure:
    """The same for a status that comes inside an answer."""
    said = f"HTTP {code}{f': {message}' if message else ''}"
    match code:
        case 401:
            return ApiFailure(
                Why.unauthorized, f"the cluster does not take our credentials ({said}); renew them"
            )
        case 403:
            return ApiFailure(Why.forbidden, f"not allowed ({said})")
        case 404 | 405 | 406:
            return ApiFailure(Why.missing, f"not there ({said})")
        case 410:
            return ApiFailure(Why.expired, f"what was asked for is too old ({said})")
        case 429:
            return ApiFailure(Why.overloaded, f"the server is overloaded ({said})", retry_after=later)
        case status if status >= 500:
            return ApiFailure(Why.broken, f"the server failed ({said})", retry_after=later)
        case _:
            return ApiFailure(Why.refused, f"the server refused ({said})")


def _words(error: OSError) -> str:
    """The operating system's word for it; the loop writes "Connect call failed" instead. Names unknown to DNS have
    numbers of their own."""
    if error.errno is not None and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno).lower()
    return (error.strerror or type(error).__name__).lower()


def _message(body: bytes) -> str:
    """The `message` of a Status; of anything else the first line."""
    try:
        status: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    text = status.get("message") if isinstance(status, dict) else None
    return printable(
        text if isinstance(text, str) else body.decode("utf-8", "replace").strip().partition("\n")[0]
    )


def printable(words: str) -> str:
    """A server's words as one line of bounded length."""
    return "".join(sign if sign.isprintable() else " " for sign in words)[:240]


def _seconds(text: str | None) -> timedelta | None:
    """Retry-After as the API server writes it: whole seconds. A date is not waited for."""
    return timedelta(seconds=int(text)) if text and text.isdigit() and len(text) < 6 else None


def _date(text: str | None) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC) if text else None
    except ValueError:
        return None
