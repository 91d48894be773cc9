"""Asks a server that speaks the Model Context Protocol: what it offers, and one of its tools.

The SDK's client, on our way out instead of its own (`outbound`). Each call is a session of its own: nothing of one
tenant's call is there in another's, and what is called was looked at a moment before. A server's own requests
(sampling, elicitation, roots) have nobody to answer them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from services.holmesgpt_api.adapters.outbound import LARGEST, Door, NoAnswer
from services.holmesgpt_api.adapters.toolset_http import SUCCESS, Answer
from services.holmesgpt_api.domain.custom import reading
from services.holmesgpt_api.domain.custom.pin import Offer
from services.holmesgpt_api.domain.custom.words import plain

if TYPE_CHECKING:
    import httpx2
    from mcp.client.session import ClientSession

PAGES = 10
"""Of a list of tools; a server with more than these has other plans."""

MOST = 500
"""Tools of one server that are looked at."""

STREAM = "text/event-stream"


async def offers(
    door: Door, endpoint: str, *, headers: Sequence[tuple[str, str]], within: float
) -> dict[str, Offer]:
    """What the server offers, by name. Raises NoAnswer."""
    async with _session(door, endpoint, headers, within) as session:
        return await _offers(session)


async def ask(
    door: Door,
    endpoint: str,
    tool: str,
    arguments: Mapping[str, Any],
    *,
    expected: str,
    headers: Sequence[tuple[str, str]],
    within: float,
    idempotency_key: str | None,
) -> Answer:
    """Call a tool that is still the one that was looked at.

    Args:
        expected: hash of the offer.

    Raises:
        NoAnswer
        Changed: the server says something else of the tool now; it was not called.
    """
    import mcp_types as types

    given = [*headers, *([("Idempotency-Key", idempotency_key)] if idempotency_key else [])]
    async with _session(door, endpoint, given, within) as session:
        found = (await _offers(session)).get(tool)
        if found is None or found.hash != expected:
            raise Changed(found)
        meta = {"kubernaut/idempotency-key": idempotency_key} if idempotency_key else None
        # Not `call_tool`: that compiles the server's output schema, patterns included, with a backtracking matcher.
        try:
            result = await session.send_request(
                types.CallToolRequest(
                    params=types.CallToolRequestParams(name=tool, arguments=dict(arguments), _meta=meta)
                ),
                types.CallToolResult,
            )
        except NoAnswer:
            raise
        except Exception as error:
            raise _fault(error, maybe=True) from None
    return _answer(result)


class Changed(Exception):
    """The server says something else of a tool than at the first look; None: it does not have it."""

    def __init__(self, offer: Offer | None) -> None:
        super().__init__("the server has changed what it says of this tool since somebody looked at it")
        self.offer = offer


async def _offers(session: ClientSession) -> dict[str, Offer]:
    import mcp_types as types

    found: dict[str, Offer] = {}
    cursor: str | None = None
    try:
        for _ in range(PAGES):
            page = await session.send_request(
                types.ListToolsRequest(params=types.PaginatedRequestParams(cursor=cursor)),
                types.ListToolsResult,
            )
            for one in page.tools[:MOST]:
                hints = one.annotations
                found.setdefault(
                    one.name,
                    Offer(
                        name=one.name,
                        description=one.description or "",
                        input_schema=one.input_schema,
                        read_only=hints.read_only_hint if hints else None,
                        destructive=hints.destructive_hint if hints else None,
                    ),
                )
            cursor = page.next_cursor
            if not cursor or len(found) >= MOST:
                break
    except NoAnswer:
        raise
    except Exception as error:
        raise _fault(error, maybe=False) from None
    return found


@asynccontextmanager
async def _session(
    door: Door, endpoint: str, headers: Sequence[tuple[str, str]], within: float
) -> AsyncIterator[ClientSession]:
    """A session that has begun. Raises NoAnswer, whatever the SDK makes of what happens on the way."""
    await asyncio.to_thread(_imported)
    import httpx2
    from mcp.client.session import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    way = _way(door, headers, within)
    url = f"{door.origin}{endpoint}"
    said: NoAnswer | Changed | None = None
    late = NoAnswer("timeout", f"it did not answer within {within:.0f} s", maybe=True)
    try:
        async with (
            asyncio.timeout(within),
            httpx2.AsyncClient(transport=way, trust_env=False, timeout=within) as client,
            streamable_http_client(url, http_client=client, max_sse_event_size=LARGEST) as (read, write),
            ClientSession(read, write, read_timeout_seconds=within) as session,
        ):
            try:
                try:
                    await session.initialize()
                except Exception as error:
                    raise _fault(error, maybe=False) from None
                yield session
            except (NoAnswer, Changed) as error:
                said = error  # on its way out the SDK's task groups put it into a group, or another one in its place
                raise
    except TimeoutError:
        raise way.fault or late from None
    except Exception as error:
        # What the way out says is the reason: the SDK only says that a stream has ended, or breaks with it.
        # A cancelled run is no such exception, and goes on through here.
        if isinstance(said, Changed):
            raise said from None
        raise way.fault or said or _fault(error, maybe=True) from None


def _imported() -> None:
    """Two seconds of processor time, so in a thread and only where such a toolset is configured."""
    import mcp.client.session
    import mcp.client.streamable_http  # noqa: F401

    # They write down session ids, addresses and what a server says; what is worth knowing is told here, in a word.
    for name in ("mcp.client", "httpx2"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _way(door: Door, headers: Sequence[tuple[str, str]], within: float) -> Any:
    """The SDK's transport, made of ours."""
    import httpx2

    class Way(httpx2.AsyncBaseTransport):
        fault: NoAnswer | None = None

        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            if request.method == "GET":
                # The server's own way to speak first. Nobody here would answer.
                return httpx2.Response(405, request=request)
            try:
                return await self._passed_on(request)
            except NoAnswer as error:
                self.fault = self.fault or error
                raise httpx2.TransportError(str(error)) from error

        async def _passed_on(self, request: httpx2.Request) -> httpx2.Response:
            content = await request.aread()
            kept = [(name, value) for name, value in request.headers.items() if _is_protocol(name)]
            async with AsyncExitStack() as stack:
                head, body = await stack.enter_async_context(
                    door.opened(
                        request.method,
                        request.url.raw_path.decode("ascii"),
                        headers=[*kept, *headers],
                        content=content,
                        within=within,
                    )
                )
                kind = head.media_type.partition(";")[0].strip().lower()
                if head.status in SUCCESS and kind not in (STREAM, "application/json", ""):
                    said = plain(head.media_type, 60)
                    raise NoAnswer(
                        "bad-content", f"its answer is {said}, which no such server gives", maybe=True
                    )
                if head.status not in SUCCESS and request.method == "POST":
                    self.fault = self.fault or NoAnswer(
                        "broken", f"HTTP {head.status}", maybe=head.status >= 500
                    )
                answered = {
                    name: value
                    for name, value in head.headers.items()
                    if name.lower() in ("content-type", "mcp-session-id")
                }
                return httpx2.Response(
                    head.status, headers=answered, stream=Stream(self, body, stack.pop_all()), request=request
                )

    class Stream(httpx2.AsyncByteStream):
        def __init__(self, way: Way, body: AsyncIterator[bytes], stack: AsyncExitStack) -> None:
            self._way, self._body, self._stack = way, body, stack

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            try:
                async for piece in self._body:
                    size += len(piece)
                    _check_size(size)
                    yield piece
            except NoAnswer as error:
                self._way.fault = self._way.fault or error
                raise httpx2.TransportError(str(error)) from error

        async def aclose(self) -> None:
            await self._stack.aclose()

    return Way()


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise NoAnswer("too-large", f"its answer has more than {LARGEST} bytes; ask for less", maybe=True)


def _is_protocol(name: str) -> bool:
    lowered = name.lower()
    return lowered.startswith("mcp-") or lowered in ("accept", "content-type")


def _fault(error: Exception, *, maybe: bool) -> NoAnswer:
    """Whatever the SDK raises, in a word; what it says is the server's text."""
    return NoAnswer("broken", f"{type(error).__name__}: {plain(str(error), 200)}", maybe=maybe)


def _answer(result: Any) -> Answer:
    texts = [one.text for one in result.content if one.type == "text"]
    others = len(result.content) - len(texts)
    shown: Any = result.structured_content
    if isinstance(shown, dict) and list(shown) == ["result"]:
        shown = shown["result"]  # so servers wrap what is no object
    if shown is None:
        shown = "\n".join(texts) if texts else {}
    if isinstance(shown, str):
        shown = _unwrapped(shown)
    if result.is_error:
        return Answer(None, plain("\n".join(texts) or "it failed and does not say why", 300), maybe=True)
    if failed := reading.failure(shown):
        return Answer(None, failed, maybe=True)
    if others:
        shown = {"text": shown, "left_out": f"{others} parts that are no text"}
    return Answer(shown)


def _unwrapped(text: str) -> Any:
    """JSON in a text is how most servers answer; what it tells of a failure is looked for then too."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
