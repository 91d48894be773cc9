"""Runs the sample service as a process of its own and talks to it over plain sockets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.children import REPOSITORY

LOOPBACK = json.dumps({"127.0.0.1/32": {"principal": "test", "roles": ["operator"]}})
SAMPLE = "tests.support.web_service"
PATIENCE_S = 20.0
"""For something that must happen; only a broken server waits this long."""

Line = dict[str, Any]


@dataclass
class Service:
    """A running process; `lines` are what it logged so far."""

    process: asyncio.subprocess.Process
    lines: list[Line] = field(default_factory=list)
    patience_s: float = PATIENCE_S
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _silent: bool = False

    async def said(self, wanted: Callable[[Line], bool]) -> Line:
        """The first log line like this, past or to come."""

        def found() -> Line | None:
            return next((line for line in self.lines if wanted(line)), None)

        async with asyncio.timeout(self.patience_s), self._news:
            await self._news.wait_for(lambda: found() is not None or self._silent)
        line = found()
        assert line is not None, f"it ended without saying so: {self.lines}"
        return line

    async def port(self) -> int:
        line = await self.said(lambda line: line["event"] == "listening")
        return int(line["url"].rpartition(":")[2])

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE_S + 10):
            return await self.process.wait()

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            async with self._news:
                self.lines.append(_parsed(raw))
                self._news.notify_all()
        async with self._news:
            self._silent = True
            self._news.notify_all()


def _parsed(raw: bytes) -> Line:
    try:
        line = json.loads(raw)
    except ValueError:
        line = {"event": "not JSON", "raw": raw.decode(errors="replace")}
    return line if isinstance(line, dict) else {"event": "not JSON", "raw": raw.decode(errors="replace")}


@asynccontextmanager
async def running(
    environment: Mapping[str, str] | None = None, *, module: str = SAMPLE, patience_s: float = PATIENCE_S
) -> AsyncIterator[Service]:
    """Start it on a free port; ended at the latest when the block ends. `module`: a service of ours instead."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        cwd=REPOSITORY,
        stderr=asyncio.subprocess.PIPE,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("KUBERNAUT_")},
            "PYTHONPATH": str(REPOSITORY),
            "PORT": "0",
            "METRICS_PORT": "0",
            "LOG_FORMAT": "json",
            "KUBERNAUT_ROLE": "api",
            "TRUSTED_NETWORKS": LOOPBACK,
            **(environment or {}),
        },
    )
    service = Service(process, patience_s=patience_s)
    reading = asyncio.create_task(service.read())
    try:
        yield service
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await reading


@dataclass
class Connection:
    """One TCP connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> int:
        """How many bytes it was."""
        self.writer.write(data)
        await self.writer.drain()
        return len(data)

    async def rest(self, within: float = PATIENCE_S) -> bytes:
        """Everything until the server closes.

        Raises:
            TimeoutError: it kept the connection open.
        """
        async with asyncio.timeout(within):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def answer(self, within: float = PATIENCE_S) -> tuple[int, dict[str, str], bytes]:
        """One response: status, headers, body."""
        async with asyncio.timeout(within):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(head[0].split()[1]), headers, body


@asynccontextmanager
async def connected(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        yield Connection(reader, writer)
    finally:
        if tls is None:
            writer.close()
        else:
            writer.transport.abort()  # closed, it would wait for the server's goodbye and outlive the test


def request(
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    length: int | None = None,
) -> bytes:
    """An HTTP/1.1 request as bytes; `length` overrides what Content-Length says."""
    fields = {"Host": "localhost", **(headers or {})}
    if body or length is not None:
        fields.setdefault("Content-Type", "application/json")
        fields["Content-Length"] = str(len(body) if length is None else length)
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
