"""A model server that speaks OpenAI's protocol (and by `dialects` Anthropic's and Ollama's), answers by a script, and logs every request it gets.

In a thread of its own. What it says is made from what it was sent, so that a mix-up between runs would show.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from tests.fakes import dialects

Mood = Literal[
    "concludes",  # asks for causes, concludes, and cites what it was shown
    "invents",  # concludes, and cites what does not exist
    "prose",  # concludes, and never writes the document
    "mends",  # writes the document at the second try
    "loops",  # asks for tools for ever
    "at-once",  # concludes without having asked anything
    "digs",  # asks about one object of `digs_into` after the other, then as "concludes"
    "unknown-tool",  # asks for a tool there is none of, then concludes with nothing
    "bad-arguments",  # its arguments are no JSON, then as "concludes"
    "unauthorized",
    "rate-limited",
    "broken",
    "recovers",  # 503 once, then as "concludes"
    "hangs",
    "garbage",  # an HTML page with status 200
    "wordy",  # never calls a tool
    "unknown-here",  # the server has no model of that name
    "too-long",  # the question is longer than its window
    "cut-off",  # every answer ends in its middle, at the limit of its length
    "breaks-off",  # the connection ends in an answer's middle
]

TOO_LONG = (
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens. "
    "Please reduce the length of the messages."
)

Document = Callable[[dict[str, Any]], dict[str, Any]]
"""The conclusion from what the last question says is known (`evidence`, `triage`, `investigation`)."""


def agreeing(known: dict[str, Any]) -> dict[str, Any]:
    """What a sound model writes: triage's object, and the first fact as evidence."""
    ids = [line.partition(":")[0] for line in known["evidence"]]
    return {
        "summary": f"The model says: {known['investigation']}",
        "cause": {
            "target": known["triage"]["target"],
            "reason": "ConfigChangedBeforeOnset",
            "text": "It was edited, and the database did not start again.",
            "confidence": 0.9,
            "evidence_ids": ids[:1],
        },
        "claims": [
            {"text": "It was edited before the onset.", "evidence_ids": ids[:1]},
            {"text": "Nobody else did it.", "evidence_ids": ["ev-ffffffffffffffff"]},
        ],
        "recommendations": [
            {
                "title": "Put it back",
                "description": "Undo the edit.",
                "command": "kubectl edit configmap x -n data",
            },
            {"title": "Wipe it", "description": "Start anew.", "command": "kubectl delete namespace data"},
        ],
        "agrees_with_triage": True,
    }


@dataclass
class FakeModel:
    """Set `mood` at any time; `let_go` ends the waits of those who hang."""

    mood: Mood = "concludes"
    document: Document = agreeing
    target: str = "Deployment.apps/shop/checkout"
    """What it asks the tools about, where the question does not say."""
    says: str = ""
    """What a chat's answer ends with."""
    delay: float = 0.0
    """Seconds that each answer takes."""
    asks: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """What it asks the tools at once, instead of the causes of what the question is about."""
    turn: Callable[[dict[str, Any]], dict[str, Any] | None] | None = None
    """The whole message it answers a request with, where it gives one."""
    digs_into: tuple[str, ...] = ("Deployment.apps/shop/a", "StatefulSet.apps/data/b", "ConfigMap/data/c")
    holds_at: int | None = None
    """The request, counted from 1, that gets no answer."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    """Of whoever asks: one for each connection."""
    url: str = ""
    _free: threading.Event = field(default_factory=threading.Event)
    _arrived: threading.Condition = field(default_factory=threading.Condition)

    def reset(self) -> None:
        """As new, for the next test: whoever hangs is let go."""
        self.let_go()
        self._free = threading.Event()
        self.mood, self.document, self.asks, self.turn = "concludes", agreeing, [], None
        self.says, self.delay, self.holds_at = "", 0.0, None
        self.requests.clear()
        self.keys.clear()
        self.paths.clear()
        self.ports.clear()

    def let_go(self) -> None:
        self._free.set()

    def wait_for(self, number: int, *, within: float = 60) -> None:
        """Block until so many requests have arrived."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= number, within):
                raise AssertionError(f"only {len(self.requests)} requests arrived within {within} s")

    def _log(self, body: dict[str, Any], key: str | None, path: str, port: int) -> int:
        with self._arrived:
            self.ports.append(port)
            self.paths.append(path)
            self.requests.append(body)
            self.keys.append(key)
            self._arrived.notify_all()
            return len(self.requests)

    def _answer(self, body: dict[str, Any], number: int, path: str) -> tuple[int, dict[str, str], str]:
        if number == self.holds_at:
            self._free.wait()
        if self.delay:
            self._free.wait(self.delay)
        match self.mood:
            case "unauthorized":
                return 401, {}, _error("Incorrect API key provided: sk-secret123.", "invalid_request_error")
            case "unknown-here":
                return 404, {}, _error("The model `scripted` does not exist", "invalid_request_error")
            case "rate-limited":
                return 429, {"Retry-After": "2"}, _error("Rate limit reached", "requests")
            case "broken":
                return 500, {}, _error(self.says or "boom", "server_error")
            case "too-long":
                return 400, {}, _error(TOO_LONG, "invalid_request_error", "context_length_exceeded")
            case "recovers" if number == 1:
                return 503, {}, _error("starting", "server_error")
            case "garbage":
                return 200, {"Content-Type": "text/html"}, "<html>a proxy's page</html>"
            case "hangs":
                self._free.wait()
        if path in dialects.KNOWN:
            status, said = dialects.KNOWN[path](body, self._message)
            return status, {}, json.dumps(said)
        message = self._message(body)
        if self.mood == "cut-off":
            return 200, {}, json.dumps(_completion(_halved(message), finish_reason="length"))
        return 200, {}, json.dumps(_completion(message))

    def _message(self, body: dict[str, Any]) -> dict[str, Any]:
        messages = body["messages"]
        if self.turn is not None and (said := self.turn(body)) is not None:
            return said
        if len(messages) == 1:
            return self._probed()
        if "JSON Schema" in str(messages[1]["content"]):
            return self._writes(messages)
        if str(messages[0]["content"]).startswith("You answer questions"):
            return self._chats(messages)
        answered = [one for one in messages if one["role"] == "tool"]
        if self.mood == "loops":
            return _calls("get_evidence", {"of": f"Pod/shop/loop-{len(answered)}"})
        if self.mood == "wordy":
            return {"role": "assistant", "content": "I would look at its logs."}
        if self.mood == "at-once":
            return {"role": "assistant", "content": "Nothing needs to be asked."}
        if self.mood == "digs" and len(answered) < len(self.digs_into):
            return _calls("get_causes", {"target": self.digs_into[len(answered)]})
        if not answered:
            match self.mood:
                case "unknown-tool":
                    return _calls("kubectl_exec", {"command": "id"})
                case "bad-arguments":
                    return _calls("get_causes", "{not json")
            if self.asks:
                return _many(self.asks)
            known = telemetry(messages[1]["content"])
            return _calls("get_causes", {"target": known.get("target") or self.target})
        if self.mood == "bad-arguments" and len(answered) == 1:
            return _calls("get_causes", {"target": self.target})
        return {"role": "assistant", "content": f"It was edited. {canaries(json.dumps(messages))}"}

    def _chats(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """Asks for causes once, then answers with what it was asked, how often before, and what it was shown."""
        answered = [one for one in messages if one["role"] == "tool"]
        if self.mood == "digs" and len(answered) < len(self.digs_into):
            return _calls("get_causes", {"target": self.digs_into[len(answered)]})
        if self.mood == "loops" or (not answered and self.mood not in ("prose", "at-once")):
            return _calls(
                "get_causes",
                {"target": self.target}
                if self.mood != "loops"
                else {"target": f"Pod/shop/a-{len(answered)}"},
            )
        asked = [str(one["content"]).partition("\n")[0] for one in messages if one["role"] == "user"]
        ids = re.findall(r"ev-[0-9a-f]{16}", json.dumps(answered))
        cited = "ev-0000000000000000" if self.mood == "invents" else (ids[0] if ids else "")
        return {
            "role": "assistant",
            "content": f"Asked: {' | '.join(asked)} It was edited [{cited}]. {self.says}",
        }

    def _probed(self) -> dict[str, Any]:
        if self.mood == "wordy":
            return {"role": "assistant", "content": "ready"}
        return _calls("report", {"word": "ready"})

    def _writes(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        known = telemetry(messages[1]["content"])
        if self.mood == "prose" or (self.mood == "mends" and len(messages) == 2):
            return {"role": "assistant", "content": "I think it was the config map."}
        document = self.document(known)
        if self.mood in ("invents", "unknown-tool"):
            document["cause"]["evidence_ids"] = ["ev-0000000000000000"]
        return {"role": "assistant", "content": json.dumps(document)}


def telemetry(content: str) -> dict[str, Any]:
    found = re.search(r"<telemetry>\n(.*)\n</telemetry>", content, re.DOTALL)
    assert found is not None
    known: dict[str, Any] = json.loads(found.group(1))
    return known


def canaries(text: str) -> list[str]:
    return sorted(set(re.findall(r"canary-\d+", text)))


def _error(message: str, kind: str, code: str | None = None) -> str:
    return json.dumps({"error": {"message": message, "type": kind, "code": code, "param": None}})


def _halved(message: dict[str, Any]) -> dict[str, Any]:
    """Half of each text of a message."""
    asks = [
        (one["function"]["name"], one["function"]["arguments"]) for one in message.get("tool_calls") or ()
    ]
    if asks:
        return _many([(tool, text[: len(text) // 2]) for tool, text in asks])
    return {**message, "content": message["content"][: len(message["content"]) // 2]}


def _calls(tool: str, arguments: object) -> dict[str, Any]:
    return _many([(tool, arguments)])


def calls(asks: Sequence[tuple[str, object]]) -> dict[str, Any]:
    """A message that asks several tools at once; arguments that are a text are sent as they are."""
    return _many(asks)


def _many(calls: Sequence[tuple[str, object]]) -> dict[str, Any]:
    texts = [one if isinstance(one, str) else json.dumps(one) for _, one in calls]
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": f"call_{abs(hash(text)) % 10**9}",
                "type": "function",
                "function": {"name": tool, "arguments": text},
            }
            for (tool, _), text in zip(calls, texts, strict=True)
        ],
    }


def _completion(message: dict[str, Any], *, finish_reason: str = "stop") -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "scripted",
        "choices": [{"index": 0, "finish_reason": finish_reason, "message": message}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050},
    }


@contextmanager
def model() -> Iterator[FakeModel]:
    fake = FakeModel()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one piece; in two the second waits 40 ms for the first one's receipt

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            key = self.headers.get("Authorization") or self.headers.get("x-api-key")
            number = fake._log(body, key, self.path, self.client_address[1])
            status, headers, text = fake._answer(body, number, self.path)
            try:
                self.send_response(status)
                for name, value in ({"Content-Type": "application/json"} | headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                said = text.encode()
                if fake.mood == "breaks-off":
                    self.close_connection, said = True, said[: len(said) // 2]
                self.wfile.write(said)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # whoever asked has been killed

        def log_message(self, format: str, *args: object) -> None:
            """`requests` is the log."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that was killed in the middle of a request is what these tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.let_go()
        server.shutdown()
        server.server_close()
        thread.join()
