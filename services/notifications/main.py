"""Boots the notifications service: settings → wiring → application."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from fastapi import FastAPI

from libs.auth import Authenticator
from libs.metrics import Metrics
from libs.web import app as web
from libs.web.info import ServiceInfo
from libs.web.server import Program, load, serve
from services.notifications import wiring
from services.notifications.routes import notifications
from services.notifications.routes.problems import PROBLEMS
from services.notifications.settings import Settings

INFO = ServiceInfo(
    name=wiring.SERVICE,
    title="Notifications",
    description="Tells the right people, once, on a channel that works.",
    version="1.0.0",
)


def create_app(
    settings: Settings, *, metrics: Metrics | None = None, authenticator: Authenticator | None = None
) -> FastAPI:
    """The application. Opens nothing before it starts; `authenticator` is given by tests."""
    counted = metrics or Metrics(INFO.name)
    return web.create_app(
        info=INFO,
        settings=settings,
        wiring=lambda _: wiring.serving(settings, counted),
        routers=[notifications.router],
        problems_of=PROBLEMS,
        metrics=counted,
        checks=wiring.checks,
        authenticator=authenticator,
    )


def main() -> NoReturn:
    """One process in the role its settings name."""
    settings, metrics = load(Settings), Metrics(INFO.name)

    async def work(stop: asyncio.Event) -> None:
        await wiring.working(settings, metrics, stop)

    serve(Program(INFO.name, settings, lambda: create_app(settings, metrics=metrics), metrics, work))
