"""What an operator can set about the database. A mixin: services inherit it into their own settings."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.contracts.base import Duration


class StorageSettings(BaseSettings):
    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    database_url: SecretStr
    """libpq URI of the PostgreSQL database, e.g. `postgresql://alerts:…@db/kubernaut?sslmode=verify-full`.
    A secret without a default; `./kubernaut run` starts a server of its own and sets it."""

    database_pool_size: int = Field(default=4, ge=1, le=50)
    """Connections a process keeps for queries. Four, because seven services in two roles share the 97
    connections of a default PostgreSQL; an event loop rarely has more transactions open at once."""

    database_pool_timeout: Duration = timedelta(seconds=2)
    """Longest wait for a free connection. Shorter than any caller's deadline, so that we shed load with a
    503 instead of letting requests queue until their callers have gone."""

    database_connect_timeout: Duration = timedelta(seconds=3)
    """Longest wait for a new connection, in whole seconds. libpq knows no less than 2 s."""

    database_statement_timeout: Duration = timedelta(seconds=10)
    """A statement that runs longer is cancelled by the server. Ours take milliseconds; one that takes 10 s
    is stuck behind a lock or a missing index, and holds a connection that others need."""

    database_idle_in_transaction_timeout: Duration = timedelta(seconds=30)
    """A transaction left idle longer is ended by the server: it would hold its locks for ever."""
