"""A transport for the clients that answers one document and keeps the last request."""

from __future__ import annotations

import json
from typing import Any

import httpx


class Recorded:
    request: httpx.Request

    @property
    def line(self) -> str:
        return f"{self.request.method} {self.request.url.raw_path.decode()}"

    @property
    def json(self) -> Any:
        return json.loads(self.request.content)


def recorded(answer: dict[str, Any], status: int = 200) -> tuple[httpx.MockTransport, Recorded]:
    asked = Recorded()

    def handle(request: httpx.Request) -> httpx.Response:
        asked.request = request
        return httpx.Response(status, json=answer)

    return httpx.MockTransport(handle), asked
