"""Turn the operator's database URL and timeouts into what the driver is given. Nothing connects here."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import LiteralString

from psycopg.conninfo import make_conninfo

from libs.storage.settings import StorageSettings

_SCHEMES: tuple[LiteralString, ...] = ("postgresql+psycopg://", "postgresql://", "postgres://")


def libpq_uri(database_url: str) -> str:
    """The URL in the one scheme that every libpq understands, with everything behind it untouched."""
    for scheme in _SCHEMES:
        if database_url.startswith(scheme):
            return "postgresql://" + database_url.removeprefix(scheme)
    return database_url  # "host=… dbname=…" is allowed as well


def conninfo(settings: StorageSettings, *, schema: str, application: str) -> str:
    """A libpq connection string with every wait bounded and the service's own schema in front.

    The search path is sent by us rather than left to `ALTER ROLE`, because services may share one role
    where the customer's database grants only one. Keepalives are for a network that drops packets
    without a word: a query on such a connection would otherwise wait for the kernel's 15 minutes.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", schema):
        raise ValueError(f"not a name for a schema: {schema!r}")
    options = {
        "search_path": schema,
        "statement_timeout": _milliseconds(settings.database_statement_timeout),
        "lock_timeout": _milliseconds(settings.database_statement_timeout / 2),
        "idle_in_transaction_session_timeout": _milliseconds(settings.database_idle_in_transaction_timeout),
    }
    return make_conninfo(
        libpq_uri(settings.database_url.get_secret_value()),
        application_name=f"kubernaut-{application}",
        connect_timeout=max(2, round(settings.database_connect_timeout.total_seconds())),
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=_milliseconds(settings.database_statement_timeout),
        options=" ".join(f"-c {name}={value}" for name, value in options.items()),
    )


def _milliseconds(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)
