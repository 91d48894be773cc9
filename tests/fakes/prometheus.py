"""A Prometheus with one answer to every query, and faults on order: what it was asked is written down.

Speaks `query` and `query_range` of prometheus.io/docs, "HTTP API". It evaluates nothing; a real Prometheus stands in
`tests/support/prometheus.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.fakes.kube_api import Fault, serving


@dataclass
class FakePrometheus:
    series: dict[str, list[Mapping[str, str]]] = field(default_factory=dict)
    """A part of a query → the label sets it answers, each with the value under the label `value`."""
    faults: list[Fault] = field(default_factory=list)
    """What it answers first, in order; the last for ever when `sticky`."""
    sticky: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.asked.append({"path": request.path, **form})
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.faults:
                fault = self.faults[0] if self.sticky and len(self.faults) == 1 else self.faults.pop(0)
                await asyncio.sleep(fault.wait)
                if fault.body is not None or fault.status != 200:
                    return web.Response(body=fault.body or b"", status=fault.status, headers=fault.headers)
            return self._answer(form, ranged=request.path.endswith("_range"))
        finally:
            self.at_once -= 1

    def _answer(self, form: Mapping[str, str], *, ranged: bool) -> web.Response:
        moment = float(form["end" if ranged else "time"])
        result: list[dict[str, Any]] = []
        for part, sets in self.series.items():
            if part in form["query"]:
                for labels in sets:
                    sample = [moment, labels["value"]]
                    metric = {name: value for name, value in labels.items() if name != "value"}
                    result.append(
                        {"metric": metric, **({"values": [sample]} if ranged else {"value": sample})}
                    )
        data = {"resultType": "matrix" if ranged else "vector", "result": result}
        body = json.dumps({"status": "success", "data": data}).encode()
        return web.Response(body=body, content_type="application/json")


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[tuple[FakePrometheus, str]]:
    """The fake, and its URL."""
    fake = FakePrometheus(**settings)
    async with serving(fake) as url:
        yield fake, url
