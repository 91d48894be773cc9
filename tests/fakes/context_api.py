"""A Context API on a real socket that answers what the test says, and logs every call it gets.

In a thread of its own, so that a worker process under test can be killed while it waits for an answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel

from libs.contracts.causes import CausesAnswer
from libs.contracts.context import ContextHealth, Resolution
from libs.contracts.evidence import EvidencePage, LogAnswer
from tests.support.investigations import CHECKOUT, NOW, found

Mood = Literal["answers", "hangs", "garbage", "unavailable", "refuses"]


@dataclass
class FakeContextApi:
    """Set `mood` at any time (its /health is always well); `let_go` ends the waits of those who hang."""

    mood: Mood = "answers"
    causes: CausesAnswer = field(default_factory=found)
    resolution: Resolution = field(
        default_factory=lambda: Resolution(target=CHECKOUT, owner=CHECKOUT, exists=True, reason="label:pod")
    )
    about: Callable[[str], CausesAnswer] | None = None
    """Causes by the path asked, where one answer does not do for all."""
    says: Callable[[str], BaseModel | None] | None = None
    """The whole answer by the path asked, where it gives one."""
    takes_s: Callable[[], float] | None = None
    """How long an answer takes, where it is not to come at once; a refusal always does."""
    page: EvidencePage | None = None
    logs: LogAnswer | None = None
    calls: list[str] = field(default_factory=list)
    """`METHOD /path?query`, in order of arrival."""
    credentials: list[str | None] = field(default_factory=list)
    url: str = ""
    _free: threading.Event = field(default_factory=threading.Event)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    def let_go(self) -> None:
        self._free.set()

    def wait_for_calls(self, number: int, path: str = "", *, within: float = 20) -> None:
        """Block until so many calls to paths beginning like this have arrived."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.asked(path)) >= number, within):
                raise AssertionError(f"only {self.calls} arrived within {within} s")

    def asked(self, path: str = "") -> list[str]:
        return [call for call in self.calls if call.partition(" ")[2].startswith(path)]

    def _log(self, call: str, credential: str | None) -> None:
        with self._arrived:
            self.calls.append(call)
            self.credentials.append(credential)
            self._arrived.notify_all()

    def _answer(self, path: str) -> tuple[int, str]:
        if path.endswith("/health"):
            return 200, _HEALTH.model_dump_json()
        match self.mood:
            case "unavailable":
                return 503, '{"title": "No", "status": 503, "code": "evidence-unavailable"}'
            case "garbage":
                return 200, '{"ranked": "n'
            case "refuses":
                return 403, '{"title": "No", "status": 403, "code": "not-allowed"}'
            case "hangs":
                self._free.wait()
            case "answers" if self.takes_s is not None:
                self._free.wait(self.takes_s())
        if self.says is not None and (said := self.says(path)) is not None:
            return 200, said.model_dump_json()
        if path.endswith("/resolve"):
            return 200, self.resolution.model_dump_json()
        if path.startswith("/api/v1/context/logs/"):
            return _or_unknown(self.logs)
        if path.startswith("/api/v1/context/evidence/"):
            return _or_unknown(self.page)
        return 200, (self.about(path) if self.about else self.causes).model_dump_json()


def _or_unknown(answer: EvidencePage | LogAnswer | None) -> tuple[int, str]:
    if answer is None:
        return 404, '{"title": "No", "status": 404, "code": "no-log", "detail": "nothing recorded there"}'
    return 200, answer.model_dump_json()


_HEALTH = ContextHealth(
    status="healthy",
    timestamp=NOW,
    version="0",
    cache_hit_rate=0.0,
    context_types=5,
    kubernetes_connectivity="healthy",
)


@contextmanager
def context_api(**fields: Any) -> Iterator[FakeContextApi]:
    fake = FakeContextApi(**fields)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake._log(f"{self.command} {self.path}", self.headers.get("Authorization"))
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text = fake._answer(urlsplit(self.path).path)
            body = text.encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # whoever asked has been killed, or gave up

        do_POST = do_GET  # noqa: N815 - the base class names it

        def log_message(self, format: str, *args: object) -> None:
            """`calls` is the log."""

    class Server(ThreadingHTTPServer):
        # Twenty runs ask at once; with the default of 5 the kernel drops some of them for a second or more.
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.let_go()
        server.shutdown()
        server.server_close()
        thread.join()
