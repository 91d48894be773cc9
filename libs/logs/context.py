"""The request this task works for: its id and trace, for log lines and for calls to other services."""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple


class RequestContext(NamedTuple):
    request_id: str
    traceparent: str
    """W3C trace context of our own span: what a call made for this request must carry."""

    @property
    def trace_id(self) -> str:
        return self.traceparent[3:35]


current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)
