"""Boots the Context API: settings → wiring → application."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import NoReturn

from fastapi import FastAPI

from libs.auth import Authenticator, KeyRing
from libs.metrics import Metrics
from libs.web import ServiceInfo, serve
from libs.web import create_app as build
from libs.web.server import Program, load
from services.context_api import wiring
from services.context_api.routes import bundle, context, for_models, older, tuning
from services.context_api.routes.kept import KEPT
from services.context_api.routes.problems import PROBLEMS
from services.context_api.settings import Settings

INFO = ServiceInfo(
    name=wiring.SERVICE,
    title="Context API",
    description="Gathers and ranks evidence about a Kubernetes object, and finds causes.",
    version=context.VERSION,
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

        return wiring.serving(settings, ring, counted, version=INFO.version)

    return build(
        info=INFO,
        settings=settings,
        wiring=ports,
        routers=[context.router, bundle.router, older.router, tuning.router, for_models.router],
        problems_of=PROBLEMS,
        kept=KEPT,
        pages=lambda ports: ports.pages,
        metrics=counted,
        checks=wiring.checks,
        authenticator=authenticator,
    )


def main() -> NoReturn:
    """One process; this service has no worker."""
    settings = load(Settings)
    metrics = Metrics(INFO.name)
    serve(Program(INFO.name, settings, lambda: create_app(settings, metrics=metrics), metrics))
