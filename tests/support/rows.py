"""Everything a service has in its database, as one text: what is looked for in it lies there or does not."""

from __future__ import annotations

import zlib
from collections.abc import Collection
from typing import Any

import psycopg
from psycopg import sql

from tests.support.postgres import FreshDatabase


def told_by(database: FreshDatabase, service: str, *, besides: Collection[str] = ()) -> str:
    """Every field of every row of every table of the service; what is packed there is unpacked.

    `besides`: columns that are left out, as `table.column`.
    """
    with psycopg.connect(database.url(service)) as connection:
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", (service,)
        ).fetchall()
        found = []
        for (name,) in names:
            rows = connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(service, name)))
            columns = [column.name for column in rows.description or ()]
            found += [
                f"{name}.{column}: {_text(value)}"
                for row in rows
                for column, value in zip(columns, row, strict=True)
                if f"{name}.{column}" not in besides
            ]
        return "\n".join(found)


def _text(value: Any) -> str:
    if not isinstance(value, bytes | memoryview):
        return str(value)
    raw = bytes(value)
    try:
        return zlib.decompress(raw).decode(errors="replace")
    except zlib.error:
        return raw.decode(errors="replace")
