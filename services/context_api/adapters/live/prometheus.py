"""Ask Prometheus what `domain.metric_questions` wants to know, over its HTTP API, kept to the operator's matchers.

Source: prometheus.io/docs, "HTTP API". Works with what speaks the same API (Thanos, Mimir, VictoriaMetrics).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from services.context_api.adapters.live.errors import ApiFailure, HeldBack, Why
from services.context_api.adapters.live.fetch import body_of
from services.context_api.adapters.live.gate import Gate, Round
from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.domain.kube import mapping
from services.context_api.domain.metric_questions import LOOK_BACK, STEP, MetricQuestion
from services.context_api.domain.promql import Match, QueryRefused, guarded
from services.context_api.domain.snapshot import MetricAnswer, NotRead
from services.context_api.domain.sources import Part, SourceName, last_answer

AT_ONCE = 3
"""Queries under way; Prometheus' own limit is 20 for everybody together."""

MOST_NAMED = 3
"""Queries that failed alike and are named one by one; more are one thing that could not be read."""


@dataclass(frozen=True, slots=True)
class Metrics:
    answers: Sequence[MetricAnswer] = ()
    gaps: Sequence[NotRead] = ()
    part: Part | None = None
    """How Prometheus took part; None where there is none."""


class Prometheus:
    """One server. `url` may have a path in front of `/api/v1` and, like any URL, a user.

    Answers are told under the question as it was put, without the operator's matchers: analyzers read it, and a
    tenant's name must not change what they understand.
    """

    def __init__(
        self,
        url: str,
        *,
        token: SecretStr | None = None,
        matches: Sequence[Match] = (),
        gate: Gate | None = None,
    ) -> None:
        self._url = httpx.URL(url)
        self._token = token
        self._matches = tuple(matches)
        self.gate = gate
        self.name = str(self._url.copy_with(username=None, password=None, query=None))
        """The URL without what may be secret in it."""

    async def ask(self, questions: Sequence[MetricQuestion], now: datetime, limits: LiveLimits) -> Metrics:
        """Every question, all within the gate's deadline; what is not answered is named, and the others go on."""
        headers = {"Authorization": f"Bearer {self._token.get_secret_value()}"} if self._token else {}
        gate = self.gate or Gate(SourceName.prometheus, deadline=limits.metrics_within, at_once=AT_ONCE)
        taking = gate.round()
        # No redirects: the token belongs to this server.
        async with httpx.AsyncClient(headers=headers, timeout=taking.left, follow_redirects=False) as client:

            def one(question: MetricQuestion) -> Callable[[], Awaitable[Sequence[MetricAnswer]]]:
                return lambda: self._one(client, question, now, limits, taking)

            found = await taking.all([one(question) for question in questions])
        answered = list(zip(questions, found, strict=True))
        part = taking.part()
        return Metrics(
            [answer for _, answers in answered if not isinstance(answers, ApiFailure) for answer in answers],
            self._gaps([(q.name, one) for q, one in answered if isinstance(one, ApiFailure)], part),
            part,
        )

    def _gaps(self, failures: Sequence[tuple[str, ApiFailure]], part: Part) -> list[NotRead]:
        """What could not be read. That nothing could is one thing and not twenty; its age is told with it."""
        gaps = []
        made = Counter(one.reason for _, one in failures if not isinstance(one, HeldBack))
        # What was no longer asked after failures in a row is missing for their reason.
        why = made.most_common(1)[0][0] if made else ""
        failed = [(name, why if why and isinstance(one, HeldBack) else one.reason) for name, one in failures]
        count = Counter(reason for _, reason in failed)
        for reason, times in count.items():
            if times <= MOST_NAMED:
                gaps += [
                    NotRead(f"metrics {name} of {self.name}", reason)
                    for name, told in failed
                    if told == reason
                ]
                continue
            last = f"; {last_answer(part.age)}" if part.calls == len(failed) else ""
            gaps.append(
                NotRead(f"metrics of {self.name}", f"{reason} ({times} of {part.calls} queries){last}")
            )
        return gaps

    async def _one(
        self,
        client: httpx.AsyncClient,
        question: MetricQuestion,
        now: datetime,
        limits: LiveLimits,
        taking: Round,
    ) -> Sequence[MetricAnswer]:
        try:
            query = sent(question.query, self._matches)
        except QueryRefused as error:
            raise ApiFailure(Why.refused, f"not asked: {error}") from error
        moment = now.timestamp()
        if question.kind == "range":
            place, when = "query_range", {"start": moment - LOOK_BACK.total_seconds(), "end": moment, "step": STEP.total_seconds()}  # fmt: skip
        else:
            place, when = "query", {"time": moment}
        url = self._url.copy_with(path=f"{self._url.path.rstrip('/')}/api/v1/{place}")
        body = await body_of(
            # POST: a query is longer than some proxies let a URL be.
            client.stream("POST", url, data={"query": query, **when}),
            limits.metric_bytes,
            taking.sent,
            telling=_TELLING,
        )
        data = await asyncio.to_thread(data_of, body, limits.metric_series)
        return [
            MetricAnswer(question.query, question.kind, now, part, origin=name)
            for name, part in by_namespace(question.name, data)
        ]


@lru_cache(maxsize=256)
def sent(query: str, matches: tuple[Match, ...]) -> str:
    """What is sent for a question. The questions are always the same: each is parsed once."""
    return guarded(query, matches)


_TELLING = frozenset({200, 400, 422, 503})
"""Statuses whose body says what is wrong."""


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
