"""A real Prometheus with the series of two clusters: it understands what we send, and gives one cluster's alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web

from services.context_api.adapters.live.limits import LiveLimits
from services.context_api.adapters.live.prometheus import Metrics, Prometheus
from services.context_api.domain.metric_questions import MetricQuestion, metric_questions
from services.context_api.domain.promql import matches_of
from tests.fakes.kube_api import serving
from tests.support.prometheus import prometheus

pytestmark = [
    pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-018"),
    pytest.mark.needs("prometheus"),
]

PAGE = """# TYPE orders_total counter
orders_total{cluster="eu-1",namespace="shop",pod="api-0"} 1
orders_total{cluster="eu-2",namespace="shop",pod="api-0"} 2
orders_total{namespace="shop",pod="api-0",note="\\"}"} 3
"""
QUESTIONS = (
    "orders_total",
    "sum(orders_total)",
    "max_over_time(orders_total[5m:1s])",
    "orders_total or orders_total offset 1s",
    "absent(orders_total)",
    "label_replace(orders_total, \"cluster\", \"eu-2\", \"pod\", \"(.*)\")",
    "count by (cluster) ({__name__=\"orders_total\"} @ end())",
    "topk(9, -orders_total)",
)  # fmt: skip


async def page(request: web.Request) -> web.StreamResponse:
    return web.Response(text=PAGE, content_type="text/plain")


async def asked(url: str, *questions: MetricQuestion, matchers: str = "") -> Metrics:
    at = Prometheus(url, matches=matches_of(matchers))
    return await at.ask(questions, datetime.now(UTC), LiveLimits())


def values(found: Metrics) -> set[str]:
    return {series["value"][1] for answer in found.answers for series in answer.data["result"]}


async def test_of_two_clusters_series_no_query_brings_the_others(tmp_path: Path):
    all_of = MetricQuestion("all", "orders_total", "instant")
    async with serving(page) as exporter:
        port = urlsplit(exporter).port or 0
        with prometheus(tmp_path / "p", scraping=port, alerting="http://127.0.0.1:9") as url:
            async with asyncio.timeout(60):
                while len(values(await asked(url, all_of))) < 3:
                    await asyncio.sleep(0.2)
            questions = [MetricQuestion(f"q{n}", query, "instant") for n, query in enumerate(QUESTIONS)]
            mine = await asked(url, *questions, matchers='cluster="eu-1"')
            nobody = await asked(url, all_of, matchers='cluster="eu-3"')
            ours = await asked(
                url, *metric_questions(), *metric_questions(["shop"]), matchers='cluster="eu-1"'
            )

    assert list(mine.gaps) == []
    assert values(mine) == {"1", "-1"}
    assert values(nobody) == set()
    assert list(ours.gaps) == []
    assert ours.part is not None
    assert ours.part.calls == len(metric_questions()) + len(metric_questions(["shop"]))
