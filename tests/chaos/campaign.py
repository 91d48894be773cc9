"""Posts alerts like a patient Alertmanager while its service's processes are killed, and keeps the history."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.chaos.history import History, Outcome
from tests.support.stack import Stack

BATCH = 5
"""Alerts per webhook body: more than one, so that a torn batch would show."""

POSTERS = 16
PATIENCE_S = 240.0
PAUSE_S = 0.05


def some_of_twenty(key: str) -> str:
    """The workload an alert is about: one of twenty."""
    return f"service-{int(key[1:]) % 20}"


def webhook(keys: Sequence[str], workload_of: Callable[[str], str] = some_of_twenty) -> bytes:
    """A v4 body whose alerts carry these keys as their `instance` label."""
    alerts = [
        {
            "status": "firing",
            "labels": {
                "alertname": "HighErrorRate",
                "namespace": "shop",
                "deployment": workload_of(key),
                "instance": key,
                "severity": "warning",
            },
            "annotations": {},
            "startsAt": "2026-11-21T01:25:36.568Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": key,
        }
        for key in keys
    ]
    return orjson.dumps(
        {
            "receiver": "chaos",
            "status": "firing",
            "alerts": alerts,
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example:9093",
            "version": "4",
            "groupKey": f"{{}}:{{{keys[0]}}}",
            "truncatedAlerts": 0,
        }
    )


@dataclass
class Campaign:
    """One campaign: how much is posted, and how often each victim dies meanwhile."""

    stack: Stack
    alerts: int
    kills_each: int
    victims: Sequence[str] = ("alerts api", "alerts worker", "postgres")
    patience_s: float = PATIENCE_S
    """For posting and killing together."""
    history: History = field(default_factory=History)
    killed: list[str] = field(default_factory=list)
    recoveries_s: list[float] = field(default_factory=list)
    """From each kill to the next acknowledged alert."""

    async def run(self) -> None:
        batches = iter([[f"a{n + i}" for i in range(BATCH)] for n in range(0, self.alerts, BATCH)])
        limits = httpx.Limits(max_connections=POSTERS)
        async with (
            httpx.AsyncClient(
                base_url=self.stack.urls["alerts"], timeout=15, trust_env=False, limits=limits
            ) as http,
            asyncio.timeout(self.patience_s),
            asyncio.TaskGroup() as group,
        ):
            for _ in range(POSTERS):
                group.create_task(self._post_all(http, batches))
            group.create_task(self.kill_all())

    def workload_of(self, key: str) -> str:
        return some_of_twenty(key)

    async def turn(self, keys: Sequence[str]) -> None:
        """Wait until these may be posted; at once, unless a campaign paces its posters."""

    async def _post_all(self, http: httpx.AsyncClient, batches: Iterator[list[str]]) -> None:
        for keys in batches:
            await self.turn(keys)
            await self._post_until_acknowledged(http, keys)

    async def _post_until_acknowledged(self, http: httpx.AsyncClient, keys: Sequence[str]) -> None:
        body = webhook(keys, self.workload_of)
        while True:
            try:
                answer = await http.post(
                    "/api/v1/webhooks/alertmanager", content=body, headers=self.stack.ingest_headers()
                )
            except httpx.TransportError:
                self._record(keys, Outcome.info)
            else:
                if answer.status_code == 202:
                    self._record(keys, Outcome.ok)
                    return
                # Alertmanager repeats on 5xx alone; any other answer here is a broken promise.
                assert answer.status_code == 503, f"{answer.status_code}: {answer.text}"
                assert "retry-after" in answer.headers
                self._record(keys, Outcome.fail)
            await asyncio.sleep(PAUSE_S)

    def _record(self, keys: Sequence[str], outcome: Outcome) -> None:
        for key in keys:
            self.history.record(key, outcome)

    async def kill_all(self) -> None:
        """Spread the kills evenly over the posting; each waits until the victim is back."""
        order = [victim for _ in range(self.kills_each) for victim in self.victims]
        for number, victim in enumerate(order, start=1):
            await self.reached(self.alerts * number // (len(order) + 1))
            await self._kill(victim)

    async def reached(self, count: int) -> None:
        while len(self.history.acknowledged) < count:
            await asyncio.sleep(0.01)

    async def _kill(self, victim: str) -> None:
        before = len(self.history.acknowledged)
        began = await self.kill(victim)
        if before + BATCH < self.alerts:
            await self.reached(before + 1)
            self.recoveries_s.append(time.monotonic() - began)

    async def kill(self, victim: str) -> float:
        """Kill -9, and wait until another process has taken the victim's place; when it was killed."""
        pid_of: Callable[[], int | None] = (
            (lambda: self.stack.postgres.pid)
            if victim == "postgres"
            else (lambda: self.stack.supervisor.pid_of(victim))
        )
        while (pid := pid_of()) is None:
            await asyncio.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        self.killed.append(victim)
        while pid_of() in (None, pid):
            await asyncio.sleep(0.01)
        return began


async def held(stack: Stack, expected: int, *, within_s: float = 120.0) -> list[str]:
    """The keys of all episodes the service lists, once there are as many as expected or the time is up."""
    ends = time.monotonic() + within_s
    while True:
        keys = await _listed(stack)
        if len(keys) >= expected or time.monotonic() > ends:
            return keys
        await asyncio.sleep(0.5)


async def _listed(stack: Stack) -> list[str]:
    return [one["labels"]["instance"] for one in await listed(stack, "alerts", "/api/v1/alerts", at_once=200)]


async def listed(stack: Stack, service: str, path: str, *, at_once: int = 100) -> list[dict[str, Any]]:
    """Everything that a service lists, page by page."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    async with httpx.AsyncClient(
        base_url=stack.urls[service], timeout=15, trust_env=False, headers=stack.headers()
    ) as http:
        while True:
            query = {"limit": str(at_once), **({"cursor": cursor} if cursor else {})}
            answer = await http.get(path, params=query)
            answer.raise_for_status()
            page = answer.json()
            items += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return items
