"""Run a service's Alembic scripts: what `migrations.migrate` does when there is something to do.

A file of its own because Alembic and what it brings take a quarter of a second of CPU to import, and of the
processes that start, few find anything to migrate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
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

from libs.storage.errors import MigrationFailed, storage_faults


def upgrade(
    connect: Callable[[], psycopg.Connection[tuple[object, ...]]], service: str, versions: Path
) -> None:
    """Bring the schema to the newest script, in one transaction under an advisory lock.

    Raises:
        StorageUnavailable: the database does not answer, or another migration held the lock too long.
        MigrationFailed: a script failed, or the schema is newer than this code.
    """
    scripts = scripts_in(versions)
    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    try:
        with storage_faults(), engine.begin() as connection:
            _upgrade(connection, scripts, service)
    except (CommandError, SQLAlchemyError) as error:
        raise MigrationFailed(service, str(error)) from error
    finally:
        engine.dispose()


def scripts_in(versions: Path) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(versions.parent).replace("%", "%%"))
    config.set_main_option("version_locations", str(versions).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    return ScriptDirectory.from_config(config)


def _upgrade(connection: Connection, scripts: ScriptDirectory, service: str) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key(service)})
    # Asked first, because CREATE SCHEMA wants a right on the database that the service's role need not have.
    if connection.scalar(text("SELECT to_regnamespace(:schema)"), {"schema": service}) is None:
        connection.execute(text(f'CREATE SCHEMA "{service}"'))

    def steps(revision: object, context: MigrationContext) -> list[RevisionStep]:
        return scripts._upgrade_revs("head", revision)  # type: ignore[arg-type]

    environment = EnvironmentContext(Config(), scripts, fn=steps, destination_rev="head")
    with environment:
        environment.configure(connection=connection, version_table_schema=service)
        environment.run_migrations()


def lock_key(service: str) -> int:
    digest = hashlib.sha256(f"kubernaut/migrate/{service}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
