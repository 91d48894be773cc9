"""Serves /metrics and /health on a port of their own, from a thread of its own.

Printing 20,000 lines blocks whoever does it for 174 ms (measured 2026-11); on the API's event loop that would be
every scrape's gift to its callers.
"""

from __future__ import annotations

import errno
import ssl
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from libs.logs import get_logger
from libs.metrics.metrics import Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
TRIES = 50
"""Ports tried above the wanted one before giving up."""

SOCKET_TIMEOUT_S = 10.0
"""A scraper that stops reading holds a thread no longer than this."""

Health = Callable[[], tuple[int, bytes]]
"""Status code and JSON document for /health."""

_log = get_logger("metrics")


class MetricsServer:
    """Started on construction; `port` tells where it listens."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        host: str,
        port: int,
        health: Health | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Take the port, or the next free one above it, and say so. `tls`: speak nothing else.

        Raises:
            OSError: none of `TRIES` ports is free, or the address is not ours.
        """
        self._server = _bound(host, port, _handler(metrics, health))
        if tls is not None:
            # Shaken by the thread that answers, within its timeout; not by the only one that lets in.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]
        if port and self.port != port:
            _log.warning("metrics port taken, using the next free one", wanted=port, port=self.port)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """socketserver would print a traceback for each scraper that goes away or speaks HTTP where TLS is."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            _log.debug("a scrape was broken off", reason=f"{type(error).__name__}: {error}")
        else:
            _log.error("a scrape failed", reason=type(error).__name__, exc_info=error)


def _bound(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> _Server:
    for candidate in range(port, port + TRIES) if port else (0,):
        try:
            return _Server((host, candidate), handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"no free metrics port from {port} to {port + TRIES - 1}")


def _handler(metrics: Metrics, health: Health | None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = SOCKET_TIMEOUT_S
        server_version = "kubernaut"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer(200, CONTENT_TYPE, metrics.exposition())
            elif path == "/health" and health is not None:
                status, document = health()
                self._answer(status, "application/json", document)
            else:
                self._answer(404, "text/plain; charset=utf-8", b"see /metrics\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes every few seconds are no news."""

    return Handler
