"""One `kubernaut run` per state folder. The lock is the kernel's: it ends with its holder, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO


class AlreadyRunning(Exception):
    """Another run holds the folder; the message says which, and what to do."""


@contextlib.contextmanager
def only_one(state: Path) -> Iterator[None]:
    """Hold the folder, made if missing and readable by its owner alone.

    Raises:
        AlreadyRunning: another process holds it.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state / "run.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(_other_run(lock, state)) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _other_run(lock: IO[str], state: Path) -> str:
    lock.seek(0)
    pid = lock.read(20).strip() or "unknown"
    return f"another `kubernaut run` (pid {pid}) uses {state}. Stop it, or give this one a folder of its own: KUBERNAUT_STATE=…"
