"""Bring a service's schema to the state its code expects.

The scripts are each service's own (`services/<service>/migrations/versions/NNNN_word.py`, in a line, whose revision
is NNNN); running them at start-up, in one transaction and one at a time, is decided here. No alembic.ini and no
env.py: what would stand in them is the same for every service.
"""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
from psycopg import sql

from libs.storage.connection import libpq_uri
from libs.storage.errors import MigrationFailed, storage_faults

_SERVICES = Path(__file__).resolve().parents[2] / "services"
_LOCK_WAIT_MS = 60_000  # a second process waits for the first one's migration, but not for ever


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
    versions = versions or _SERVICES / service / "migrations" / "versions"
    if not versions.is_dir():
        raise MigrationFailed(versions.parent.parent.name, f"no migrations at {versions}")
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", service):
        raise ValueError(f"not a name for a schema: {service!r}")
    if _recorded(database_url, service) == newest(versions):
        return
    from libs.storage.upgrade import upgrade  # here, because few that start need it: see there

    upgrade(lambda: _connect(database_url, service), service, versions)


def newest(versions: Path) -> str | None:
    """The last script's revision, by its file's name; None when there is no script."""
    return max((script.stem.partition("_")[0] for script in versions.glob("[0-9]*.py")), default=None)


def _recorded(database_url: str, service: str) -> str | None:
    """The revision that the schema says it has; None when it says none."""
    try:
        with storage_faults(), _connect(database_url, service) as connection:
            return _read_revision(connection, service)
    except psycopg.Error as error:  # the role may not read it, or it is not what Alembic makes
        raise MigrationFailed(service, str(error)) from error


def _read_revision(connection: psycopg.Connection[tuple[object, ...]], service: str) -> str | None:
    version_table = connection.execute("SELECT to_regclass(%s)", (f"{service}.alembic_version",)).fetchone()
    if version_table is None or version_table[0] is None:
        return None
    found = connection.execute(
        sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(service, "alembic_version"))
    ).fetchall()
    return str(found[0][0]) if len(found) == 1 else None


def _connect(database_url: str, service: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        libpq_uri(database_url),
        application_name=f"kubernaut-{service}-migrate",
        connect_timeout=5,
        options=f"-c search_path={service} -c lock_timeout={_LOCK_WAIT_MS}",
    )
