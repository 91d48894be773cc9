"""Ask Prometheus what `domain.metric_questions` wants to know, over its HTTP API.

Source: prometheus.io/docs, "HTTP API". Works with what speaks the same API (Thanos, Mimir, VictoriaMetrics).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from services.context_api.adapters.live.errors import ApiFailure, Why
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.domain.kube import mapping
from services.context_api.domain.metric_questions import LOOK_BACK, STEP, MetricQuestion
from services.context_api.domain.snapshot import MetricAnswer, NotRead

AT_ONCE = 3
"""Queries under way; Prometheus' own limit is 20 for everybody together."""


@dataclass(frozen=True, slots=True)
class Metrics:
    answers: Sequence[MetricAnswer] = ()
    gaps: Sequence[NotRead] = ()


class Prometheus:
    """One server. `url` may have a path in front of `/api/v1` and, like any URL, a user."""

    def __init__(self, url: str, *, token: SecretStr | None = None) -> None:
        self._url = httpx.URL(url)
        self._token = token
        self.name = str(self._url.copy_with(username=None, password=None, query=None))
        """The URL without what may be secret in it."""

    async def ask(self, questions: Sequence[MetricQuestion], now: datetime, limits: LiveLimits) -> Metrics:
        """Every question; one that is not answered is named, and the others go on."""
        at_once = asyncio.Semaphore(AT_ONCE)
        headers = {"Authorization": f"Bearer {self._token.get_secret_value()}"} if self._token else {}
        within = limits.metrics_within.total_seconds()
        # No redirects: the token belongs to this server.
        async with httpx.AsyncClient(headers=headers, timeout=within, follow_redirects=False) as client:

            async def one(question: MetricQuestion) -> Sequence[MetricAnswer] | NotRead:
                try:
                    async with at_once, asyncio.timeout(within):
                        return await self._one(client, question, now, limits)
                except TimeoutError:
                    reason = f"no answer within {within:g} s"
                except ApiFailure as failure:
                    reason = failure.reason
                except httpx.HTTPError as error:
                    # Its text may hold the URL, and the URL a password.
                    reason = f"the connection broke ({type(error).__name__})"
                return NotRead(f"metrics {question.name} of {self.name}", reason)

            found = await asyncio.gather(*(one(question) for question in questions))
        return Metrics(
            [answer for answers in found if not isinstance(answers, NotRead) for answer in answers],
            [gap for gap in found if isinstance(gap, NotRead)],
        )

    async def _one(
        self, client: httpx.AsyncClient, question: MetricQuestion, now: datetime, limits: LiveLimits
    ) -> Sequence[MetricAnswer]:
        moment = now.timestamp()
        if question.kind == "range":
            place, when = "query_range", {"start": moment - LOOK_BACK.total_seconds(), "end": moment, "step": STEP.total_seconds()}  # fmt: skip
        else:
            place, when = "query", {"time": moment}
        url = self._url.copy_with(path=f"{self._url.path.rstrip('/')}/api/v1/{place}")
        body = await _body(client, url, {"query": question.query, **when}, limits.metric_bytes)
        data = await asyncio.to_thread(data_of, body, limits.metric_series)
        return [
            MetricAnswer(question.query, question.kind, now, part, origin=name)
            for name, part in by_namespace(question.name, data)
        ]


async def _body(client: httpx.AsyncClient, url: httpx.URL, form: dict[str, str | float], most: int) -> bytes:
    parts = bytearray()
    # POST: a query is longer than some proxies let a URL be.
    async with client.stream("POST", url, data=form) as answer:
        if answer.status_code not in (200, 400, 422, 503):
            raise ApiFailure(Why.refused, f"HTTP {answer.status_code}")
        async for chunk in answer.aiter_bytes():
            parts += chunk
            if len(parts) > most:
                raise ApiFailure(Why.large, f"is over the limit of {most / 2**20:g} MiB for one answer")
    return bytes(parts)


def by_namespace(name: str, data: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """An answer for each namespace, by name: a caller who may read one namespace is shown its series."""
    parts: dict[str, list[Any]] = {}
    for series in data["result"]:
        namespace = mapping(mapping(series).get("metric")).get("namespace")
        parts.setdefault(namespace if isinstance(namespace, str) else "", []).append(series)
    return [
        (f"{name}-{namespace}" if namespace else name, {**data, "result": parts[namespace]})
        for namespace in sorted(parts)
    ]


def data_of(body: bytes, most_series: int) -> dict[str, Any]:
    """Prometheus' `data`.

    Raises:
        ApiFailure: it reports an error, answers in another shape, or with too many series.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiFailure(Why.broken, "the answer is no JSON") from error
    if not isinstance(document, dict):
        raise ApiFailure(Why.broken, "the answer is not Prometheus'")
    if document.get("status") != "success":
        said = "".join(s if s.isprintable() else " " for s in str(document.get("error", "")))[:200]
        raise ApiFailure(Why.refused, f"Prometheus refused: {said or 'it says no reason'}")
    data = document.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise ApiFailure(Why.broken, "the answer is not Prometheus'")
    if len(data["result"]) > most_series:
        raise ApiFailure(Why.large, f"has more than {most_series} series")
    return data
