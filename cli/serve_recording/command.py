"""`kubernaut serve-recording`: takes the port, reads the recording, serves it, and how all that ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import cast

import uvicorn
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cli.call import complain
from cli.serve_recording.answers import Desk
from cli.serve_recording.app import App
from cli.serve_recording.greeting import greeting
from cli.serve_recording.index import Index, index_of
from cli.serve_recording.kubeconfig import CannotWriteKubeconfig, written
from libs.web.protocol import BoundedProtocol, sweep
from libs.web.server import CannotStart, listening, settle_garbage_collection
from services.context_api.adapters.recording import UnreadableRecording, load_recording

SERVED, NOT_SERVED = 0, 2

HOST = "127.0.0.1"
"""Nobody is asked who they are, so only this machine is answered."""

MOST_CONNECTIONS = 256
RECEIVE_WITHIN_S = 20.0
KEEP_ALIVE_S = 75
FINISH_WITHIN_S = 5


def main(directory: Path, *, port: int, kubeconfig: Path | None) -> int:
    """Serve until Ctrl-C; returns the exit code."""
    try:
        # First the port: nobody should wait for a large recording to learn that it is taken.
        with listening(HOST, port) as listener:
            url = f"http://{HOST}:{listener.getsockname()[1]}"
            index, lines = _read(directory, url, kubeconfig)
            # Its loop sends at once. asyncio's own holds back what comes in two parts, for 40 ms an answer (measured).
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(index, listener, url, kubeconfig, lines))
    except (UnreadableRecording, CannotStart, CannotWriteKubeconfig) as error:
        complain("serve-recording", str(error))
        return NOT_SERVED
    return SERVED


def _read(directory: Path, url: str, kubeconfig: Path | None) -> tuple[Index, list[str]]:
    """What is served, and what is said of it; the parsed snapshot is let go of here."""
    # A million small objects, and nothing to collect until they are indexed.
    gc.disable()
    try:
        snapshot = load_recording(directory)
        return index_of(snapshot), list(greeting(snapshot, directory, url, kubeconfig))
    finally:
        gc.enable()


async def _serve(
    index: Index, listener: socket.socket, url: str, kubeconfig: Path | None, lines: list[str]
) -> None:
    settle_garbage_collection()
    stopping = asyncio.Event()
    server = _Server(_config(App(Desk(index, url.removeprefix("http://")), stopping, index.now)))

    def stop() -> None:
        # The second time nobody waits for answers under way.
        server.force_exit = stopping.is_set()
        server.should_exit = True
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)
    # Only now: whoever reads the greeting may already send the signal.
    with written(kubeconfig, url):
        for line in lines:
            print(line, flush=True)
        await _until_stopped(server, listener)


async def _until_stopped(server: _Server, listener: socket.socket) -> None:
    sweeper = asyncio.create_task(sweep(_connections(server), RECEIVE_WITHIN_S))
    try:
        await server.serve(sockets=[listener])
    finally:
        sweeper.cancel()
        await asyncio.gather(sweeper, return_exceptions=True)


def _connections(server: _Server) -> Collection[HttpToolsProtocol]:
    """With the protocol set in `_config` they are all of this class."""
    return cast(Collection[HttpToolsProtocol], server.server_state.connections)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: this module decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http=BoundedProtocol,
        ws="none",  # `kubectl exec` asks for an upgrade, and is refused as plain HTTP
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="error",  # its warnings are about upgrades, which are refused
        server_header=False,
        date_header=False,  # the recording tells its own
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=FINISH_WITHIN_S,
    )
