"""A foreign system on a real socket: answers over HTTP by a script, byte for byte, and logs what it gets.

In a thread of its own, so that a worker process under test can be killed while it waits for an answer.
"""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Got:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Says:
    """One answer. `pieces` are written one by one, each after `pause` seconds."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    raw: bytes | None = None
    """The whole answer in place of all this."""
    pieces: tuple[bytes, ...] = ()
    pause: float = 0.0
    length: bool = True


def says(value: Any, status: int = 200, **headers: str) -> Says:
    given = {
        "Content-Type": "application/json",
        **{name.replace("_", "-"): one for name, one in headers.items()},
    }
    return Says(json.dumps(value).encode(), status, tuple(given.items()))


@dataclass
class ForeignSystem:
    """Set `answer` at any time; `let_go` ends the waits of those who hang."""

    answer: Callable[[Got], Says] = lambda got: says({"asked": got.target})
    got: list[Got] = field(default_factory=list)
    url: str = ""
    holds: bool = False
    """Whether a request that changes something is answered only when it is let go; it is logged before."""
    _free: threading.Event = field(default_factory=threading.Event)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    def reset(self) -> None:
        self.let_go()
        self._free = threading.Event()
        self.holds, self.answer = False, lambda got: says({"asked": got.target})
        self.got.clear()

    def let_go(self) -> None:
        self._free.set()

    @property
    def effects(self) -> list[Got]:
        """What would have changed something."""
        return [one for one in self.got if one.method not in ("GET", "HEAD")]

    def wait_for_effects(self, number: int, *, within: float = 60) -> None:
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.effects) >= number, within):
                raise AssertionError(f"{len(self.effects)} of {number} effects within {within} s")

    def _log(self, got: Got) -> Says:
        with self._arrived:
            self.got.append(got)
            self._arrived.notify_all()
        if self.holds and got.method not in ("GET", "HEAD"):
            self._free.wait(60)
        return self.answer(got)


@contextmanager
def foreign_system(tls: ssl.SSLContext | None = None) -> Iterator[ForeignSystem]:
    fake = ForeignSystem()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = fake._log(Got(self.command, self.path, headers, body))
            with suppress(OSError):
                self._write(said)

        def _write(self, said: Says) -> None:
            if said.raw is not None:
                self.wfile.write(said.raw)
                self.close_connection = True
                return
            self.send_response(said.status)
            for name, value in said.headers:
                self.send_header(name, value)
            if said.length and not said.pieces:
                self.send_header("Content-Length", str(len(said.body)))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            self.wfile.write(said.body)
            for piece in said.pieces:
                fake._free.wait(said.pause)
                self.wfile.write(piece)

        def log_message(self, *_: object) -> None:
            """Nothing of it is of interest."""

    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._any)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    fake.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.let_go()
        server.shutdown()
        server.server_close()
