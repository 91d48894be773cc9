"""Boots the alerts service: settings → wiring → application."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

from fastapi import FastAPI

from libs.auth import Authenticator, KeyRing
from libs.metrics import Metrics
from libs.web import ServiceInfo, serve
from libs.web import create_app as build
from libs.web.server import Program, load
from services.alerts import wiring
from services.alerts.routes import alerts, webhook
from services.alerts.routes.problems import PROBLEMS
from services.alerts.settings import Settings

INFO = ServiceInfo(
    name=wiring.SERVICE,
    title="Alerts",
    description="Takes alerts in, decides what each means, and follows them until people know the cause.",
    version="1.0.0",
)


def create_app(
    settings: Settings, *, metrics: Metrics | None = None, authenticator: Authenticator | None = None
) -> FastAPI:
    """The application. Opens nothing before it starts; `authenticator` is given by tests."""
    counted = metrics or Metrics(INFO.name)

    def ports(app: FastAPI) -> AbstractAsyncContextManager[wiring.Ports]:
        def ring() -> KeyRing | None:
            known: Authenticator | None = app.state.edge.authenticator
            return known.ring if known else None

        return wiring.serving(settings, ring, counted)

    return build(
        info=INFO,
        settings=settings,
        wiring=ports,
        routers=[alerts.router],
        fast_routes=webhook.ROUTES,
        problems_of=PROBLEMS,
        metrics=counted,
        checks=wiring.checks,
        authenticator=authenticator,
    )


def main() -> NoReturn:
    """One process in its role."""
    settings = load(Settings)
    metrics = Metrics(INFO.name)

    async def work(stop: asyncio.Event) -> None:
        await wiring.working(settings, metrics, stop)

    serve(Program(INFO.name, settings, lambda: create_app(settings, metrics=metrics), metrics, work))
