"""Clear away what a killed server has left, and nothing else.

Only under the lock of the data directory: then every process that works in it is an orphan of a
supervisor that is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from libs.storage.embedded.errors import EmbeddedFailed
from libs.storage.embedded.place import SOCKET_NAME, Place

# What an orphan gets: time to end by itself (it has been told), then ever clearer words.
_STEPS: tuple[tuple[float, signal.Signals], ...] = ((5.0, signal.SIGQUIT), (5.0, signal.SIGKILL))


def clear(place: Place) -> None:
    """End orphans of this data directory and remove their lock files.

    Raises:
        EmbeddedFailed: an orphan does not go away.
    """
    for patience, word in _STEPS:
        if _gone(place.data, patience):
            break
        for pid in workers_in(place.data):
            _signal(pid, word)
    if not _gone(place.data, 5.0):
        pids = ", ".join(map(str, workers_in(place.data)))
        raise EmbeddedFailed(f"processes {pids} still use {place.data}; end them first")
    # PostgreSQL itself refuses to start when a stale file names a pid that is by now somebody else's.
    (place.data / "postmaster.pid").unlink(missing_ok=True)
    for name in (SOCKET_NAME, f"{SOCKET_NAME}.lock"):
        (place.sockets / name).unlink(missing_ok=True)


def workers_in(data: Path) -> list[int]:
    """Processes of a PostgreSQL on this data directory; every one of them has it as working directory."""
    if sys.platform == "linux":
        return [int(entry.name) for entry in Path("/proc").iterdir() if _works_in(entry, str(data))]
    return _postmaster_by_file(data)


def _works_in(entry: Path, data: str) -> bool:
    if not entry.name.isdigit():
        return False
    try:
        return os.readlink(entry / "cwd") == data and (entry / "comm").read_text().strip() in {
            "postgres",
            "initdb",
        }
    except OSError:  # gone meanwhile, or another user's
        return False


def _postmaster_by_file(data: Path) -> list[int]:
    """Without /proc: the process named in the lock file, if its command line names this directory."""
    try:
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return []
    shown = subprocess.run(  # noqa: S603
        ["/bin/ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
    )
    return [pid] if str(data) in shown.stdout else []


def _gone(data: Path, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while workers_in(data):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)  # they are not our children: there is nothing to wait on but the process table
    return True


def _signal(pid: int, word: signal.Signals) -> None:
    try:
        os.kill(pid, word)
    except ProcessLookupError:
        return
