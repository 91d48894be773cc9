"""PostgreSQL, the record: connections, migrations, and a server of our own where none is given.

What is stored in which table is each service's business; how to reach it, how long to wait for it and
what "not reachable" is called are decided here.
"""

from libs.storage.database import Database
from libs.storage.errors import (
    MigrationFailed,
    StorageError,
    StorageUnavailable,
    storage_faults,
    why_unavailable,
)
from libs.storage.migrations import migrate
from libs.storage.settings import StorageSettings

__all__ = [
    "Database",
    "MigrationFailed",
    "StorageError",
    "StorageSettings",
    "StorageUnavailable",
    "migrate",
    "storage_faults",
    "why_unavailable",
]
