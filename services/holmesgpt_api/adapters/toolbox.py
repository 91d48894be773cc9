"""The toolsets of foreign systems in one worker: doors to their origins, looks at their servers, calls of their tools."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from libs.storage.errors import StorageUnavailable
from services.holmesgpt_api.adapters import toolset_http, toolset_mcp
from services.holmesgpt_api.adapters.outbound import Door, NoAnswer, Resolve, resolved
from services.holmesgpt_api.adapters.pins import PostgresPins
from services.holmesgpt_api.adapters.toolset_http import Answer
from services.holmesgpt_api.domain.custom.bound import Bound
from services.holmesgpt_api.domain.custom.document import HttpTool, McpToolset
from services.holmesgpt_api.domain.custom.origin import Origin
from services.holmesgpt_api.domain.custom.pin import Pin
from services.holmesgpt_api.domain.custom.ready import Ready, by_name, ready

_log = logging.getLogger(__name__)


class Toolbox:
    """For one event loop. Run `run` beside the worker; close it when done."""

    def __init__(
        self,
        pins: PostgresPins,
        current: Callable[[], Iterable[Bound]],
        *,
        at_once: int,
        every: float,
        resolve: Resolve = resolved,
    ) -> None:
        """Args:
        current: the toolsets that are configured now.
        at_once: calls of one origin.
        every: seconds between two looks.
        """
        self._pins, self._current = pins, current
        self._at_once, self._every, self._resolve = at_once, every, resolve
        self._doors: dict[Origin, Door] = {}
        self._known: dict[str, Mapping[str, Pin]] = {}
        """By the document's digest: a changed one is looked at anew."""

    async def run(self, stop: asyncio.Event) -> None:
        """Look at the servers, until `stop`."""
        while not stop.is_set():
            servers = self._servers()
            current = {one.document.digest for one in servers}
            self._known = {digest: pins for digest, pins in self._known.items() if digest in current}
            for one in servers:
                try:
                    await self.look(one)
                except Exception:
                    # Of one server; the others are looked at all the same.
                    _log.exception("a look at toolset %s failed", one.name)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._every)

    async def close(self) -> None:
        for one in self._doors.values():
            await one.close()
        self._doors.clear()

    def _servers(self) -> list[Bound]:
        return [one for one in self._current() if isinstance(one.document, McpToolset) and not one.withdrawn]

    async def look(self, one: Bound) -> None:
        """See what a server offers now, and keep it. What cannot be seen now stays as it was."""
        document = one.document
        if not isinstance(document, McpToolset):
            return
        within, door = document.timeout_s.total_seconds(), self._door(one.origin)
        try:
            try:
                async with door.place(within):
                    offers = await toolset_mcp.offers(
                        door, document.endpoint, headers=one.headers, within=within
                    )
            except NoAnswer as error:
                _log.info("toolset %s was not looked at: %s: %s", one.name, error.word, error)
                self._known[document.digest] = await self._pins.of(document)
                return
            self._known[document.digest] = pins = await self._pins.looked(document, offers)
        except StorageUnavailable as error:
            _log.info("what toolset %s offers is not kept: %s", one.name, error)
            return
        for pin in pins.values():
            if pin.fault:
                _log.warning("toolset %s: %s is withdrawn: %s", one.name, pin.tool, pin.fault)

    async def offered(self, toolsets: Iterable[Bound]) -> dict[str, Ready]:
        """The tools of these that can be offered now, by the name a model calls them."""
        made: list[Ready] = []
        for one in toolsets:
            document = one.document
            if isinstance(document, McpToolset) and document.digest not in self._known:
                await self.look(one)
            made += ready(one, self._known.get(document.digest, {}))
        return by_name(made)

    def has(self, tool: Ready) -> bool:
        """Whether it is configured as it was when the run began; a reload takes it away from runs under way too."""
        return any(
            one.name == tool.bound.name
            and not one.withdrawn
            and one.document.digest == tool.bound.document.digest
            for one in self._current()
        )

    def place(self, tool: Ready, within: float) -> AbstractAsyncContextManager[None]:
        """A place at its origin. Raises NoAnswer."""
        return self._door(tool.bound.origin).place(within)

    async def ask(
        self, tool: Ready, arguments: Mapping[str, Any], *, within: float, idempotency_key: str | None = None
    ) -> Answer:
        """Call a tool with arguments that its schema has taken.

        Raises:
            NoAnswer
            Unfit: with these it would be another request.
            Changed: its server says something else of it now; it is withdrawn, and was not called.
        """
        bound, door = tool.bound, self._door(tool.bound.origin)
        if isinstance(tool.tool, HttpTool):
            return await toolset_http.ask(
                door,
                tool.tool,
                toolset_http.request(tool.tool, arguments),
                headers=bound.headers,
                within=within,
                idempotency_key=idempotency_key,
            )
        document = bound.document
        if not isinstance(document, McpToolset) or tool.offer is None:
            raise TypeError(type(document).__name__)
        try:
            return await toolset_mcp.ask(
                door,
                document.endpoint,
                tool.tool.name,
                arguments,
                expected=tool.offer.hash,
                headers=bound.headers,
                within=within,
                idempotency_key=idempotency_key,
            )
        except toolset_mcp.Changed as changed:
            _log.warning("toolset %s: %s has changed since the first look", bound.name, tool.tool.name)
            await self._withdraw(document, tool.tool.name, changed)
            raise

    async def _withdraw(self, document: McpToolset, tool: str, changed: toolset_mcp.Changed) -> None:
        known = self._known.get(document.digest, {})
        offers = {name: pin.offer for name, pin in known.items() if pin.offer is not None and name != tool}
        if changed.offer is not None:
            offers[tool] = changed.offer
        try:
            self._known[document.digest] = await self._pins.looked(document, offers)
        except StorageUnavailable as error:
            _log.info("that %s of %s has changed is not kept: %s", tool, document.name, error)

    def _door(self, origin: Origin) -> Door:
        if origin not in self._doors:
            self._doors[origin] = Door(origin, at_once=self._at_once, resolve=self._resolve)
        return self._doors[origin]
