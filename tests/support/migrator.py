"""Migrate as a process of its own: `python -m tests.support.migrator DATABASE_URL SERVICE VERSIONS`."""

from __future__ import annotations

import sys
from pathlib import Path

from libs.storage import migrate

if __name__ == "__main__":
    migrate(sys.argv[1], sys.argv[2], versions=Path(sys.argv[3]))
