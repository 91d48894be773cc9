"""The keys file changed: read it again, beside the requests, and keep the old keys when the new file is bad."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from libs.auth.errors import UnreadableKeys
from libs.auth.keys import KeyRing
from libs.logs import get_logger

LOOK_EVERY_S = 3.0
"""A `stat` costs 2 µs; a revoked key should not live longer than it takes to notice the file."""

Stamp = tuple[int, int, int] | None
"""Modification time in ns, inode, size. The inode too: Kubernetes swaps a link, and may keep the time."""


def stamp_of(path: Path) -> Stamp:
    """None when the file is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def in_a_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="keys-reload", daemon=True).start()


class KeysWatch:
    """Looks at one file at most every few seconds; loads it in a thread when it has changed."""

    def __init__(
        self,
        path: Path,
        *,
        stamp: Callable[[Path], Stamp] = stamp_of,
        load: Callable[[Path], KeyRing] = KeyRing.load,
        start: Callable[[Callable[[], None]], None] = in_a_thread,
    ) -> None:
        self._path, self._stamp, self._load, self._start = path, stamp, load, start
        self._seen = stamp(path)
        self._log = get_logger("libs.auth.reload")

    def look(self, publish: Callable[[KeyRing], None]) -> None:
        """Hand a new ring to `publish`, from another thread, if the file has changed since the last look."""
        stamp = self._stamp(self._path)
        if stamp == self._seen:
            return
        self._seen = stamp

        def work() -> None:
            try:
                ring = self._load(self._path)
            except UnreadableKeys as error:
                self._log.error(
                    "keys-file-refused", path=str(self._path), reason=error.reason, kept="old keys"
                )
                return
            publish(ring)
            self._log.info("keys-file-reloaded", path=str(self._path))

        self._start(work)
