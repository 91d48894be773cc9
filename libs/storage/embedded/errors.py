"""Why there is no embedded server, in a sentence for the person who wanted one."""

from __future__ import annotations

from pathlib import Path


class EmbeddedFailed(Exception):
    """The embedded server cannot be had here. The message says why and what to do."""


class AlreadyRunning(EmbeddedFailed):
    """Another supervisor uses this data directory."""

    def __init__(self, home: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"{who} already runs the embedded PostgreSQL in {home}; stop it first")
        self.pid = pid
