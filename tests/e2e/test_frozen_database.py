"""A database that stops answering without closing a connection: callers hear 503 soon, and health goes on saying so."""

import asyncio
import time

import httpx
import pytest

from tests.chaos.campaign import webhook
from tests.support.postgres import frozen
from tests.support.stack import running

pytestmark = pytest.mark.requirement("API-BR-PERF-034", "INT-BR-REL-004")

READS = {
    "alerts": "/api/v1/alerts",
    "holmesgpt_api": "/api/v1/investigate",
    "notifications": "/api/v1/notifications",
}
SOON_S = 9.0
"""The pool's and the connection's limits are 5 s together; the rest is two busy cores."""


async def asked(http, method, url, **request):
    began = time.monotonic()
    answer = await http.request(method, url, **request)
    return answer, time.monotonic() - began


async def test_reads_and_webhooks_are_refused_soon_while_the_database_is_frozen_and_served_after_it(tmp_path):
    async with (
        running(tmp_path, services={"alerts", "holmesgpt_api", "notifications"}) as stack,
        httpx.AsyncClient(timeout=30, trust_env=False) as http,
    ):
        reads = [stack.urls[service] + path for service, path in READS.items()]
        hook = stack.urls["alerts"] + "/api/v1/webhooks/alertmanager"
        for url in reads:
            assert (await http.get(url, headers=stack.headers())).status_code == 200

        with frozen(stack.postgres):
            answers = await asyncio.gather(
                *(asked(http, "GET", url, headers=stack.headers()) for url in reads * 3),
                asked(http, "POST", hook, content=webhook(["a1"]), headers=stack.ingest_headers()),
            )
            health = [await asked(http, "GET", f"{stack.urls[service]}/health") for service in READS]

        for answer, took in answers:
            assert answer.status_code == 503, (answer.url, answer.text)
            assert "retry-after" in answer.headers
            assert took < SOON_S, (answer.url, took)
        for answer, took in health:
            assert answer.status_code == 200
            assert took < 1, (answer.url, took)

        async with asyncio.timeout(30):
            for url in reads:
                while (await http.get(url, headers=stack.headers())).status_code != 200:
                    await asyncio.sleep(0.2)
            while (
                await http.post(hook, content=webhook(["a1"]), headers=stack.ingest_headers())
            ).status_code != 202:
                await asyncio.sleep(0.2)
