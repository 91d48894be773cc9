"""The one way out to a foreign system: one origin, an address that was looked at, and bounds on everything.

No client of a library's with its conveniences: cookies, redirects, proxies from the environment and decompression are
what a hostile server would use. What a name means is looked up here, every address is looked at, and the connection
goes to the one that was.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Literal

import httpx

from libs.clients import Breaker
from libs.clients.breaker import Admission
from services.holmesgpt_api.domain.custom.bound import Bound
from services.holmesgpt_api.domain.custom.origin import Address, Origin, address, may_be

LARGEST = 1024 * 1024
"""Bytes of an answer. A model reads 24,000 characters of it at most; a document's `result` may choose from more."""

KEPT_OPEN = 30.0
"""Seconds that an idle connection is kept."""

USER_AGENT = "kubernaut-holmesgpt-api"

Word = Literal[
    "busy", "unresolved", "forbidden-address", "unreachable", "timeout", "redirected", "too-large", "bad-content",
    "broken",
]  # fmt: skip
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]


class NoAnswer(Exception):
    """No answer that can be used. The text is for the model; it names no address and no credential.

    Attributes:
        maybe: whether what was asked may have been done all the same.
    """

    def __init__(self, word: Word, said: str, *, maybe: bool) -> None:
        super().__init__(said)
        self.word, self.maybe = word, maybe


@dataclass(frozen=True, slots=True)
class Head:
    status: int
    media_type: str
    headers: Mapping[str, str]


async def resolved(host: str, port: int) -> Sequence[Address]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = (address(str(one[4][0])) for one in found)
    return list(dict.fromkeys(one for one in addresses if one is not None))


@cache
def trusted() -> ssl.SSLContext:
    """The certificates that are believed; `SSL_CERT_FILE` adds an operator's own."""
    return httpx.create_ssl_context()


class Door:
    """To one origin, for one event loop. Close it when done."""

    def __init__(self, origin: Origin, *, at_once: int, resolve: Resolve = resolved) -> None:
        self.origin = origin
        self._resolve, self._places = resolve, asyncio.Semaphore(at_once)
        self._breaker = Breaker()
        self._transport = httpx.AsyncHTTPTransport(
            verify=trusted() if origin.scheme == "https" else False,
            trust_env=False,
            limits=httpx.Limits(
                max_connections=at_once, max_keepalive_connections=at_once, keepalive_expiry=KEPT_OPEN
            ),
        )

    async def close(self) -> None:
        await self._transport.aclose()

    @asynccontextmanager
    async def place(self, within: float) -> AsyncIterator[None]:
        """One of the places at this origin, and leave of its breaker; what is raised inside counts against it.

        Raises:
            NoAnswer: `busy`: nothing was sent.
        """
        try:
            async with asyncio.timeout(within):
                await self._places.acquire()
        except TimeoutError:
            raise NoAnswer(
                "busy", "as many calls as may be are under way there; ask later", maybe=False
            ) from None
        try:
            admission = self._breaker.admit()
            if not isinstance(admission, Admission):
                raise NoAnswer("busy", "it has failed often and is left alone for now", maybe=False)
            try:
                yield
            except NoAnswer as error:
                failed = error.word in ("unresolved", "unreachable", "timeout", "broken")
                (self._breaker.failed if failed else self._breaker.succeeded)(admission)
                raise
            except BaseException:
                self._breaker.abandoned(admission)
                raise
            else:
                self._breaker.succeeded(admission)
        finally:
            self._places.release()

    async def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Sequence[tuple[str, str]],
        content: bytes | None,
        within: float,
    ) -> tuple[Head, bytes]:
        """One request and its whole answer, whatever its status. Raises NoAnswer."""
        pieces, size = [], 0
        try:
            async with (
                asyncio.timeout(within),
                self.opened(method, target, headers=headers, content=content, within=within) as (head, body),
            ):
                async for piece in body:
                    size += len(piece)
                    if size > LARGEST:
                        raise NoAnswer(
                            "too-large", f"its answer has more than {LARGEST} bytes; ask for less", maybe=True
                        )
                    pieces.append(piece)
        except TimeoutError:
            raise NoAnswer("timeout", f"it did not answer within {within:.0f} s", maybe=True) from None
        return head, b"".join(pieces)

    @asynccontextmanager
    async def opened(
        self,
        method: str,
        target: str,
        *,
        headers: Sequence[tuple[str, str]],
        content: bytes | None,
        within: float,
    ) -> AsyncIterator[tuple[Head, AsyncIterator[bytes]]]:
        """One request; its answer is read while the block runs. Raises NoAnswer.

        Args:
            target: path and query, encoded.
        """
        where = await self._address(within)
        request = self._request(where, method, target, headers, content, within)
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.HTTPError as error:
            raise _fault(error, within) from None
        try:
            if response.is_redirect or 300 <= response.status_code < 400:
                raise NoAnswer("redirected", "it sends elsewhere, which is not followed", maybe=True)
            if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
                # Nothing was said to be accepted; unpacking what comes anyway is how little becomes very much.
                raise NoAnswer("bad-content", "its answer is compressed, which was not asked for", maybe=True)
            media_type = response.headers.get("content-type", "")
            yield Head(response.status_code, media_type, dict(response.headers)), _read(response, within)
        finally:
            with suppress(httpx.HTTPError):
                await response.aclose()

    async def _address(self, within: float) -> Address:
        given = address(self.origin.host)
        try:
            async with asyncio.timeout(within):
                found = [given] if given else list(await self._resolve(self.origin.host, self.origin.port))
        except (OSError, UnicodeError):
            found = []
        except TimeoutError:
            raise NoAnswer("unresolved", "its name was not resolved in time", maybe=False) from None
        if not found:
            raise NoAnswer("unresolved", "its name means nothing here", maybe=False)
        if not all(may_be(one, self.origin) for one in found):
            # One bad address among good ones is no accident: whoever answers for the name is not believed at all.
            raise NoAnswer(
                "forbidden-address", "its name leads to an address that is never asked", maybe=False
            )
        return found[0]

    def _request(
        self,
        where: Address,
        method: str,
        target: str,
        headers: Sequence[tuple[str, str]],
        content: bytes | None,
        within: float,
    ) -> httpx.Request:
        given = [("Host", self.origin.authority), ("User-Agent", USER_AGENT), ("Accept-Encoding", "identity")]
        host = f"[{where}]" if where.version == 6 else str(where)
        url = httpx.URL(f"{self.origin.scheme}://{host}:{self.origin.port}").copy_with(
            raw_path=target.encode("ascii")
        )
        return httpx.Request(
            method,
            url,
            headers=[*given, *headers],
            content=content,
            extensions={
                "timeout": httpx.Timeout(within).as_dict(),
                # The certificate is the name's, not the address's.
                "sni_hostname": self.origin.host,
            },
        )


async def _read(response: httpx.Response, within: float) -> AsyncIterator[bytes]:
    try:
        async for piece in response.aiter_raw():
            yield piece
    except httpx.HTTPError as error:
        raise _fault(error, within) from None


def _fault(error: httpx.HTTPError, within: float) -> NoAnswer:
    match error:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            return NoAnswer("timeout", f"no connection within {within:.0f} s", maybe=False)
        case httpx.TimeoutException():
            return NoAnswer("timeout", f"it did not answer within {within:.0f} s", maybe=True)
        case httpx.ConnectError() | httpx.UnsupportedProtocol():
            return NoAnswer("unreachable", "no connection to it can be made", maybe=False)
        case httpx.LocalProtocolError():
            return NoAnswer("broken", "the request could not be written", maybe=False)
    return NoAnswer("broken", f"the connection broke: {type(error).__name__}", maybe=True)


def headers_of(one: Bound) -> list[tuple[str, str]]:
    return list(one.headers)
