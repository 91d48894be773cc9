"""The tests' PostgreSQL: one server per pytest process, a database of its own for whoever asks."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from libs.storage.embedded import EmbeddedPostgres
from libs.storage.migrations import migrate
from libs.storage.settings import StorageSettings

_NUMBERS = itertools.count(1)


@contextmanager
def state_folder() -> Iterator[Path]:
    """A short-named folder that the server's user may pass through when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="kn-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_server() -> Iterator[EmbeddedPostgres]:
    """Without fsync, because no test cuts the power; commits still survive every kill."""
    with state_folder() as folder:
        quick = {"fsync": "off", "full_page_writes": "off"}
        with EmbeddedPostgres(folder, base=folder / "system", settings=quick) as server:
            yield server


def kill_postmaster(server: EmbeddedPostgres) -> None:
    """SIGKILL, and wait until its parent knows of it."""
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while server.poll() is None:
        assert time.monotonic() < deadline, "the postmaster survived SIGKILL"
        time.sleep(0.01)


@contextmanager
def frozen(server: EmbeddedPostgres) -> Iterator[None]:
    """Stop the postmaster and all its processes with SIGSTOP: connections stay open, nothing answers."""
    assert server.pid is not None
    stopped = [server.pid]
    os.kill(server.pid, signal.SIGSTOP)  # first, so that it has no more children
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
    for pid in map(int, children.read_text().split()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
    try:
        yield
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@dataclass(frozen=True)
class FreshDatabase:
    """A database with a role and an empty schema for each service asked for."""

    server: EmbeddedPostgres
    name: str

    def url(self, service: str) -> str:
        return self.server.url(service, self.name)

    def settings(self, service: str, **others: Any) -> StorageSettings:
        return StorageSettings.model_construct(**self.values(service), **others)

    def values(self, service: str) -> dict[str, Any]:
        """For the constructor of a service's own settings."""
        return dict(StorageSettings(database_url=self.url(service)))

    def migrate(self, service: str, *, versions: Path | None = None) -> None:
        migrate(self.url(service), service, versions=versions)


MakeDatabase = Callable[..., FreshDatabase]


CONNECTIONS = 60
"""Of a role at once: they are the server's, and shared by all tests that leave connections open."""

_TEMPLATES: dict[tuple[EmbeddedPostgres, tuple[str, ...]], str] = {}


def _migrated(server: EmbeddedPostgres, services: tuple[str, ...]) -> str:
    """Name of a database to copy. Nobody is connected to it, or it could not be copied."""
    known = _TEMPLATES.get((server, services))
    if known is not None:
        return known
    name = f"template_{os.getpid()}_{next(_NUMBERS)}"
    server.provision(dict.fromkeys(services, CONNECTIONS), database=name)
    for service in services:
        migrate(server.url(service, name), service)
    _TEMPLATES[server, services] = name
    return name


def _copy(server: EmbeddedPostgres, template: str, name: str) -> None:
    with psycopg.connect(server.url(database="postgres"), autocommit=True) as connection:
        names = (sql.Identifier(one) for one in (name, template))
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))


@contextmanager
def databases(server: EmbeddedPostgres) -> Iterator[MakeDatabase]:
    """A maker of databases that removes them at the end: `make("alerts", "notifications")`.

    With `migrated=True` the schemas are as after the services' first start, copied from a database that was brought
    there once: nine scripts, run before each of hundreds of tests, take longer than most of them.
    """
    made: list[str] = []

    def make(*services: str, migrated: bool = False) -> FreshDatabase:
        name = f"test_{os.getpid()}_{next(_NUMBERS)}"
        made.append(name)
        if migrated:
            _copy(server, _migrated(server, services), name)
        server.provision(dict.fromkeys(services, CONNECTIONS), database=name)
        return FreshDatabase(server, name)

    try:
        yield make
    finally:
        for name in made:
            server.drop_database(name)
