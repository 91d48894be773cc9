"""Give every service a role and a schema of its own in the embedded server.

In a customer's database an administrator does this; docs/decisions/0002-postgresql-is-the-record.md shows
the statements.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import LiteralString

import psycopg
from psycopg import sql

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def provision(superuser_url: str, services: Mapping[str, int], *, database: str) -> None:
    """Make the database, and each service's role and schema, where they are missing.

    Args:
        services: name -> how many connections its role may have at once.
    """
    for name in (database, *services):
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name for a role, schema or database: {name!r}")
    with psycopg.connect(superuser_url, autocommit=True) as server:
        _make_database(server, database)
        for service, connections in services.items():
            _make_role(server, service, connections)
    with psycopg.connect(superuser_url, dbname=database) as inside:
        for service in services:
            _run(inside, "GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}", database, service)
            _run(inside, "CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}", service, service)


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
