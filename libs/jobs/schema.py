"""Put the queue's tables into a service's schema, from that service's first migration."""

from __future__ import annotations

from typing import Any, Protocol, cast

import psycopg
from procrastinate.schema import SchemaManager
from sqlalchemy import Connection


class Migration(Protocol):
    """What is needed of `alembic.op`."""

    def get_bind(self) -> Connection: ...


def install(op: Migration) -> None:
    """Create procrastinate's tables and functions in the schema being migrated.

    Called once, in a migration, because the script is not repeatable. A newer procrastinate brings its own
    migration files (`SchemaManager.get_migrations_path()`); those a later migration of ours executes.
    """
    # On the driver's connection, because SQLAlchemy would read the script's colons as parameters.
    connection = cast("psycopg.Connection[Any]", op.get_bind().connection.driver_connection)
    connection.execute(SchemaManager.get_schema())
