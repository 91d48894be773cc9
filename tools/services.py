"""The services of this repository, found by their folders, each as its settings and its app.

Apps are made with settings that name nothing real: `create_app` does no I/O, so its documents need no database.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

from fastapi import FastAPI
from pydantic_settings import BaseSettings

from tools.generated import ROOT

EXAMPLE_ENVIRONMENT: Mapping[str, str] = {
    "DATABASE_URL": "postgresql://kubernaut@127.0.0.1:1/kubernaut",
    "TRUSTED_NETWORKS": '{"127.0.0.0/8": {"principal": "local", "roles": ["viewer"]}}',
    "RECORDED_CLUSTER": "examples/incidents",
}
"""What the services refuse to start without, and nothing else: documents must not depend on who makes them."""


def services() -> list[str]:
    """Names of the services, e.g. `alerts`."""
    return sorted(path.parent.name for path in (ROOT / "services").glob("*/main.py"))


def settings_class(service: str) -> type[BaseSettings]:
    found = import_module(f"services.{service}.settings").Settings
    if not (isinstance(found, type) and issubclass(found, BaseSettings)):
        raise TypeError(f"services.{service}.settings.Settings is not a settings class")
    return found


def example_app(service: str) -> FastAPI:
    with only(EXAMPLE_ENVIRONMENT):
        settings = settings_class(service)()
    app = import_module(f"services.{service}.main").create_app(settings)
    if not isinstance(app, FastAPI):
        raise TypeError(f"services.{service}.main.create_app returns no FastAPI app")
    return app


@contextmanager
def only(environment: Mapping[str, str]) -> Iterator[None]:
    """Run with exactly these variables; the caller's come back afterwards."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
