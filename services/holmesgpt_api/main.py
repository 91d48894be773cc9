"""Boots the HolmesGPT API: settings → wiring → application."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

from fastapi import FastAPI

from libs.auth import Authenticator, KeyRing
from libs.metrics import Metrics
from libs.web import ServiceInfo, serve
from libs.web import create_app as build
from libs.web.health import FINE, HealthBoard
from libs.web.server import Program, load
from services.holmesgpt_api import wiring
from services.holmesgpt_api.routes import (
    analysis,
    approvals,
    chat,
    chat_problems,
    chat_socket,
    course,
    elsewhere,
    investigate,
    overview,
)
from services.holmesgpt_api.routes.problems import PROBLEMS
from services.holmesgpt_api.settings import Settings

INFO = ServiceInfo(
    name=wiring.SERVICE,
    title="HolmesGPT API",
    description="Investigates alerts: root cause, evidence, recommendations.",
    version="1.0.0",
    older_names={"holmesgpt_sdk": "llm"},  # the Python server's name for its engine and the models behind it
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

        def fine() -> bool:
            board: HealthBoard = app.state.board
            return all(one.status in FINE for one in board.health().checks.values())

        return wiring.serving(
            settings, ring, INFO, counted, fine, stopping=lambda: not app.state.board.serving
        )

    return build(
        info=INFO,
        settings=settings,
        wiring=ports,
        routers=[
            investigate.router,
            course.router,
            approvals.router,
            chat.router,
            chat_socket.router,
            analysis.router,
            overview.router,
            overview.older,
            elsewhere.routes(settings.platform_url),
        ],
        problems_of={
            **PROBLEMS,
            **chat_problems.PROBLEMS,
            **approvals.PROBLEMS,
            **elsewhere.PROBLEMS,
        },
        metrics=counted,
        checks=wiring.checks,
        elsewhere=elsewhere.TEMPLATES,
        authenticator=authenticator,
    )


def main() -> NoReturn:
    """One process in its role."""
    settings = load(Settings)
    metrics = Metrics(INFO.name)

    async def work(stop: asyncio.Event) -> None:
        await wiring.working(settings, metrics, stop)

    serve(Program(INFO.name, settings, lambda: create_app(settings, metrics=metrics), metrics, work))
