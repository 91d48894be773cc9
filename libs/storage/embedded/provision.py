"""Give every service a role and a schema of its own in the embedded server.

In a customer's database an administrator does this; docs/decisions/0002-postgresql-is-the-record.md shows
the statements.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import LiteralString

import psycopg
from psycopg import sql

# API and worker of one service keep two pools of 4, a group committer 2, the queue 2 and its listener 1.
CONNECTIONS_PER_SERVICE = 13
MORE = {"holmesgpt_api": 17}
"""Services that need another number. This one has two queues in its worker, triage's and the model's, so that neither
holds up the other: pools of 4 and 4, queues and listeners 3 and 3, and two for processes that start while others end."""

USABLE = 97
"""Connections of a default PostgreSQL that are not kept for its administrators."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def provision(
    superuser_url: str, services: Sequence[str], *, database: str, connections: int | None = None
) -> None:
    """Make the database, and each service's role and schema, where they are missing.

    Args:
        connections: each role's limit; by default what its service's processes keep open at most.
    """
    for name in (database, *services):
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name for a role, schema or database: {name!r}")
    with psycopg.connect(superuser_url, autocommit=True) as server:
        _make_database(server, database)
        for service in services:
            _make_role(server, service, connections or connections_of(service))
    with psycopg.connect(superuser_url, dbname=database) as inside:
        for service in services:
            _run(inside, "GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}", database, service)
            _run(inside, "CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}", service, service)


def connections_of(service: str) -> int:
    """How many connections the processes of one service keep open at most."""
    return MORE.get(service, CONNECTIONS_PER_SERVICE)


def _make_database(server: psycopg.Connection, database: str) -> None:
    found = server.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
    if found is None:
        _run(server, "CREATE DATABASE {}", database)
    # Otherwise every role may connect to every database, and one service's role is in all of them.
    _run(server, "REVOKE ALL ON DATABASE {} FROM PUBLIC", database)


def _make_role(server: psycopg.Connection, service: str, connections: int) -> None:
    found = server.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (service,)).fetchone()
    if found is None:
        _run(server, "CREATE ROLE {} LOGIN", service)
    server.execute(
        sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(sql.Identifier(service), sql.Literal(connections))
    )
    _run(server, "ALTER ROLE {} SET search_path = {}", service, service)


def _run(connection: psycopg.Connection, statement: LiteralString, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*(sql.Identifier(name) for name in names)))
