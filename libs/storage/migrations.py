"""Bring a service's schema to the state its code expects.

The scripts are each service's own (`services/<service>/migrations/versions`); running them at start-up,
in one transaction and one at a time, is decided here. No alembic.ini and no env.py: what would stand in
them is the same for every service.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import psycopg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from libs.storage.connection import libpq_uri
from libs.storage.errors import StorageError, storage_faults

_SERVICES = Path(__file__).resolve().parents[2] / "services"
_LOCK_WAIT_MS = 60_000  # a second process waits for the first one's migration, but not for ever


class MigrationFailed(StorageError):
    """The schema could not be brought to this code's state; nothing of the attempt remains."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"schema {service}: {reason}")
        self.service = service


def migrate(database_url: str, service: str, *, versions: Path | None = None) -> None:
    """Create or upgrade the schema named after the service. Safe to call from any number of processes.

    Everything happens in one transaction under an advisory lock: who comes second waits, then finds
    nothing to do.

    Args:
        versions: folder of the Alembic scripts; by rule `services/<service>/migrations/versions`.

    Raises:
        StorageUnavailable: the database does not answer, or another migration held the lock for a minute.
        MigrationFailed: a script failed, or the schema is newer than this code.
    """
    scripts = _scripts(versions or _SERVICES / service / "migrations" / "versions")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", service):
        raise ValueError(f"not a name for a schema: {service!r}")
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: _connect(database_url, service), poolclass=NullPool
    )
    try:
        with storage_faults(), engine.begin() as connection:
            _upgrade(connection, scripts, service)
    except (CommandError, SQLAlchemyError) as error:
        raise MigrationFailed(service, str(error)) from error
    finally:
        engine.dispose()


def _connect(database_url: str, service: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        libpq_uri(database_url),
        application_name=f"kubernaut-{service}-migrate",
        connect_timeout=5,
        options=f"-c search_path={service} -c lock_timeout={_LOCK_WAIT_MS}",
    )


def _scripts(versions: Path) -> ScriptDirectory:
    if not versions.is_dir():
        raise MigrationFailed(versions.parent.parent.name, f"no migrations at {versions}")
    config = Config()
    config.set_main_option("script_location", str(versions.parent).replace("%", "%%"))
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return ScriptDirectory.from_config(config)


def _upgrade(connection: Connection, scripts: ScriptDirectory, service: str) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _lock_key(service)})
    # Asked first, because CREATE SCHEMA wants a right on the database that the service's role need not have.
    if connection.scalar(text("SELECT to_regnamespace(:schema)"), {"schema": service}) is None:
        connection.execute(text(f'CREATE SCHEMA "{service}"'))

    def steps(revision: object, context: MigrationContext) -> list[RevisionStep]:
        return scripts._upgrade_revs("head", revision)  # type: ignore[arg-type]

    environment = EnvironmentContext(Config(), scripts, fn=steps, destination_rev="head")
    with environment:
        environment.configure(connection=connection, version_table_schema=service)
        environment.run_migrations()


def _lock_key(service: str) -> int:
    digest = hashlib.sha256(f"kubernaut/migrate/{service}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
