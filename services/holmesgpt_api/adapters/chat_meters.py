"""What chat counts. Names follow the architecture document (§10.1)."""

from __future__ import annotations

from libs.contracts.chat import ChatAnswer
from libs.metrics import Metrics

KINDS = ("rest", "stream", "websocket")
ENGINES = ("triage", "holmesgpt")
_DURATIONS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 25.0, 30.0, 60.0)
"""Seconds; a synchronous answer's 25 are among them."""


class ChatMeters:
    def __init__(self, metrics: Metrics) -> None:
        self._messages = metrics.counter(
            "holmesgpt_api_chat_messages_total",
            "Questions answered, by how they were asked and by whom they were answered.",
            {"session_type": KINDS, "engine": ENGINES},
        )
        self._response = metrics.histogram(
            "holmesgpt_api_chat_response_time_seconds",
            "From a question being recorded to its answer.",
            {"session_type": KINDS},
            buckets=_DURATIONS,
        )
        self._sockets = metrics.gauge("holmesgpt_api_chat_sockets", "WebSockets open.", {})

    def answered(self, kind: str, answer: ChatAnswer) -> None:
        self._messages.inc(session_type=kind, engine=str(answer.metadata["engine"]))
        self._response.observe(float(answer.metadata["response_time"]), session_type=kind)

    def sockets(self, number: int) -> None:
        self._sockets.set(number)
