"""A small service built as the real ones are, for tests that need a process and sockets.

Run as `python -m tests.support.web_service`; settings come from the environment, as everywhere.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, NoReturn

from fastapi import APIRouter, Depends, FastAPI
from pydantic import BaseModel

from libs.auth import Authenticator, AuthSettings
from libs.auth.guards import require_permission
from libs.auth.principal import Principal
from libs.metrics import Metrics
from libs.web import (
    Checks,
    FastRequest,
    FastResponse,
    ProblemSpec,
    ServiceInfo,
    TimeLeft,
    TimeSpent,
    WebSettings,
    create_app,
    fast_route,
    serve,
)
from libs.web.server import Program, load


class Settings(WebSettings, AuthSettings):
    work_log: Path | None = None
    """Where the worker writes what it did."""
    broken_wiring: bool = False


class Away(Exception):
    """A dependency cannot be reached."""


class Note(BaseModel):
    text: str
    number: int = 0
    more: dict[str, Any] = {}


router = APIRouter(prefix="/api/v1")


@router.post("/notes")
async def keep(note: Note) -> Note:
    return note


@router.get("/notes/{name}")
async def read(name: str) -> Note:
    return Note(text=name)


@router.get("/slow")
async def slow(seconds: float) -> Note:
    """Answers after a while: what a request under way looks like."""
    await asyncio.sleep(seconds)
    return Note(text="finished")


@router.get("/patience")
async def patience(left: TimeLeft) -> Note:
    return Note(text="none" if left is None else "some")


@router.post("/spent")
async def spent(note: Note, here_for: TimeSpent, left: TimeLeft) -> list[float]:
    """Seconds since the request came in, and those left of the caller's deadline."""
    return [here_for.total_seconds(), 0.0 if left is None else left.total_seconds()]


@router.get("/large")
async def large(size: int) -> Note:
    return Note(text="x" * size)


@router.get("/away")
async def away() -> Note:
    raise Away("db.internal:5432")


@router.get("/tenant")
async def tenant(caller: Annotated[Principal, Depends(require_permission("view:alerts"))]) -> Note:
    return Note(text=caller.tenant)


@router.get("/boom")
async def boom() -> Note:
    raise RuntimeError("postgresql://alerts:hunter2@db/alerts is away")


async def swallow(request: FastRequest) -> FastResponse:
    """Say how many bytes came."""
    body = await request.body()
    return FastResponse(202, b'{"text": "%d"}' % len(body))


def application(
    settings: Settings,
    metrics: Metrics,
    *,
    authenticator: Authenticator | None = None,
    checks: Checks | None = None,
) -> FastAPI:
    @asynccontextmanager
    async def wiring(app: FastAPI) -> AsyncIterator[None]:
        if settings.broken_wiring:
            raise ConnectionError("cannot reach postgresql://alerts:hunter2@db/alerts")
        yield None

    return create_app(
        info=ServiceInfo("sample", "Sample", "A service of the test suite.", "1"),
        settings=settings,
        wiring=wiring,
        routers=[router],
        problems_of={
            Away: ProblemSpec(
                503, "away", retry_after=lambda _: timedelta(seconds=1.5), detail=lambda _: "ask again"
            )
        },
        metrics=metrics,
        checks=lambda _: checks or {},
        authenticator=authenticator,
        fast_routes=[
            fast_route(
                "POST",
                "/api/v1/hook",
                swallow,
                permission="ingest:alerts",
                summary="Count bytes",
                request_model=Note,
                response_model=Note,
                status=202,
            )
        ],
    )


def main() -> NoReturn:
    settings = load(Settings)
    metrics = Metrics("sample")

    async def work(stop: asyncio.Event) -> None:
        await stop.wait()
        if settings.work_log is not None:
            await asyncio.to_thread(settings.work_log.write_text, f"ended in {os.getpid()}")

    serve(Program("sample", settings, lambda: application(settings, metrics), metrics, work))


if __name__ == "__main__":
    main()
