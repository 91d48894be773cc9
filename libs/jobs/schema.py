"""Put the queue's tables into a service's schema, from that service's first migration."""

from __future__ import annotations

from typing import Any, cast

import psycopg
from alembic.operations import Operations
from procrastinate.schema import SchemaManager


def install(op: Operations) -> None:
    """Create procrastinate's tables and functions in the schema being migrated.

    Called once, in a migration, because the script is not repeatable. A newer procrastinate brings its own
    migration files (`SchemaManager.get_migrations_path()`); those a later migration of ours executes.
    """
    # On the driver's connection, because SQLAlchemy would read the script's colons as parameters.
    connection = cast("psycopg.Connection[Any]", op.get_bind().connection.driver_connection)
    connection.execute(SchemaManager.get_schema())
