"""Health of a service: checks run in the background, answers come at once from their last result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Self

from fastapi import APIRouter, Request
from starlette.responses import Response

from libs.contracts.health import ComponentHealth, Health, Readiness
from libs.logs import get_logger
from libs.metrics import Gauge, Metrics
from libs.web.info import Check, Checks, ServiceInfo

EVERY = timedelta(seconds=10)
WITHIN = timedelta(seconds=5)
"""One check's patience; a dependency that needs longer is not healthy."""

WHILE_UNHEALTHY = timedelta(seconds=1)
"""A component that was not healthy is asked this often, so that readiness returns with it and not 10 s later."""

STUCK_AFTER = timedelta(seconds=15)
"""An event loop that has not turned for so long is busy with something that should be in a thread."""

FINE = frozenset({"healthy", "not_configured"})
STATUSES = ("healthy", "degraded", "unhealthy", "unknown", "not_configured")
"""Of a component, as `libs.contracts.health` names them."""

_log = get_logger("health")


class HealthBoard:
    """The last result of every check, and whether this process takes requests."""

    def __init__(self, info: ServiceInfo, metrics: Metrics) -> None:
        self._info, self._metrics = info, metrics
        self._gauge: Gauge | None = None
        self._told: dict[str, set[str]] = {}
        """Of each component, the statuses that metrics have told."""
        self._checks: Checks = {}
        self._results: dict[str, tuple[ComponentHealth, float]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.serving = False
        """False before everything is wired and from the moment a stop was asked for."""

    async def start(self, checks: Checks) -> None:
        """Run every check once, then keep running them."""
        self._checks = checks
        self._gauge = self._metrics.gauge(
            "kubernaut_component_status",
            "What /health says of each component: 1 for the status it has, 0 for those it had before.",
            {"component": tuple(checks), "status": STATUSES},
        )
        await asyncio.gather(*(self._once(name, check) for name, check in checks.items()))
        self._tasks = [asyncio.create_task(self._repeat(name, check)) for name, check in checks.items()]
        self.serving = True

    async def stop(self) -> None:
        self.serving = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def ready(self) -> bool:
        return self.serving and all(
            self._results[name][0].status != "unhealthy"
            for name, check in self._checks.items()
            if check.critical
        )

    def health(self) -> Health:
        now = datetime.now(UTC)
        checks = self._components()
        fine = all(component.status in FINE for component in checks.values())
        return Health(
            status="healthy" if fine else "degraded",
            service=self._info.name,
            version=self._info.version,
            timestamp=now,
            timestamp_unix=now.timestamp(),
            checks=checks,
            services=self._by_name(checks),
        )

    def readiness(self) -> Readiness:
        return Readiness(
            ready=self.ready,
            status="ready" if self.ready else "not ready" if self.serving else "stopping or starting",
            timestamp=datetime.now(UTC),
            services=self._by_name(self._components()),
        )

    def _by_name(self, checks: Mapping[str, ComponentHealth]) -> dict[str, str]:
        older = {
            name: checks[check].status for name, check in self._info.older_names.items() if check in checks
        }
        return {name: component.status for name, component in checks.items()} | older

    def _components(self) -> dict[str, ComponentHealth]:
        now = time.monotonic()
        return {
            name: result.model_copy(update={"age_s": round(now - at, 1)})
            for name, (result, at) in self._results.items()
        }

    async def _repeat(self, name: str, check: Check) -> None:
        while True:
            fine = self._results[name][0].status in FINE
            await asyncio.sleep((EVERY if fine else WHILE_UNHEALTHY).total_seconds())
            await self._once(name, check)

    async def _once(self, name: str, check: Check) -> None:
        before = self._results.get(name)
        try:
            async with asyncio.timeout(WITHIN.total_seconds()):
                result = await check.probe() or ComponentHealth(status="healthy")
        except TimeoutError:
            result = ComponentHealth(
                status="unhealthy", detail=f"no answer within {WITHIN.total_seconds():.0f} s"
            )
        except Exception as error:  # whatever a dependency does, health must be able to say it
            result = ComponentHealth(status="unhealthy", detail=f"{type(error).__name__}: {error}"[:300])
        self._results[name] = (result, time.monotonic())
        self._count(name, result.status)
        if before is None or before[0].status != result.status:
            write = _log.info if result.status in FINE else _log.warning
            write("component", component_name=name, status=result.status, detail=result.detail)

    def _count(self, name: str, status: str) -> None:
        # Only what was seen: a component for each of a hundred clusters should not take the room of other metrics.
        if self._gauge is not None:
            had = self._told.setdefault(name, set())
            had.add(status)
            for one in had:
                self._gauge.set(one == status, component=name, status=one)


class Pulse:
    """Whether a worker's event loop still turns: all that can be said from outside of a process without an API."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._beat = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._turn())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def report(self) -> bytes:
        """The /health document; asked by the metrics server's thread, which answers even when the loop is stuck."""
        age = time.monotonic() - self._beat
        turning = age < STUCK_AFTER.total_seconds()
        loop = ComponentHealth(status="healthy" if turning else "unhealthy", age_s=round(age, 1))
        now = datetime.now(UTC)
        return (
            Health(
                status="healthy" if turning else "degraded",
                service=self._service,
                version="",
                timestamp=now,
                timestamp_unix=now.timestamp(),
                checks={"event_loop": loop},
                services={"event_loop": loop.status},
            )
            .model_dump_json()
            .encode()
        )

    async def _turn(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(1)


def routes(board: HealthBoard) -> APIRouter:
    """`/health` (always 200), its older alias, and `/ready` (503 when not)."""
    router = APIRouter(tags=["health"])

    async def health() -> Health:
        """This service and what it depends on, as last checked in the background."""
        return board.health()

    async def ready(request: Request, response: Response) -> Readiness:
        """Whether requests should be sent here."""
        answer = board.readiness()
        response.status_code = 200 if answer.ready else 503
        return answer

    router.add_api_route("/health", health, methods=["GET"])
    router.add_api_route("/api/v1/health", health, methods=["GET"], name="health_alias")
    router.add_api_route("/ready", ready, methods=["GET"], responses={503: {"model": Readiness}})
    return router
