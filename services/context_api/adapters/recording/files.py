"""Find the files of a recording in a directory, opening nothing that is no file and nothing outside it.

Decides which files are looked at; what they hold is decided elsewhere.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.adapters.recording.limits import Limits
from services.context_api.adapters.recording.notes import Notes
from services.context_api.adapters.recording.reading import Found

Inode = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Entry:
    inside: str
    """Path inside the recording, fit to be printed."""
    real: str
    """Path to open, without links."""
    status: os.stat_result

    @property
    def inode(self) -> Inode:
        return (self.status.st_dev, self.status.st_ino)


def files_in(root: Path, limits: Limits, notes: Notes) -> Iterator[Found]:
    """Every regular file below `root`, in the order of names; hidden ones are left out.

    Links are followed inside the recording only (a mounted ConfigMap is made of them), and every file and
    directory is visited once, so a loop of links ends.

    Raises:
        OSError: `root` itself could not be listed.
    """
    top = os.path.realpath(root)
    pending = [_Entry("", top, os.stat(top))]
    seen: set[Inode] = {pending[0].inode}
    count = 0
    while pending:
        directory = pending.pop()
        below: list[_Entry] = []
        for entry in _entries(directory, top, limits, notes):
            if entry.inode in seen:
                continue
            seen.add(entry.inode)
            if stat.S_ISDIR(entry.status.st_mode):
                below.append(entry)
            elif not stat.S_ISREG(entry.status.st_mode):
                notes.add(entry.inside, "is no regular file (a device, pipe or socket)")
            elif count >= limits.files:
                notes.count("files", f"the recording has more than {limits.files} files")
            else:
                count += 1
                yield Found(entry.inside, entry.status.st_size, partial(open_regular, entry.real))
        pending.extend(reversed(below))


def open_regular(path: str) -> BinaryIO:
    """Open a regular file and nothing else; never waits for a pipe's other end.

    Raises:
        NotUsable: it has become something else since it was listed.
        OSError: no permission, or it is gone.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotUsable("is no regular file")
    return os.fdopen(descriptor, "rb")


def printable(path: str) -> str:
    """File names are bytes that anybody chose: nothing of them may steer a terminal or break JSON."""
    if path.isprintable():
        return path
    decoded = path.encode("utf-8", "replace").decode()
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in decoded)


def why(error: OSError) -> str:
    """An operating system's refusal in words, without the path (it is named beside)."""
    return f"cannot be read: {(error.strerror or type(error).__name__).lower()}"


def _entries(directory: _Entry, top: str, limits: Limits, notes: Notes) -> Iterator[_Entry]:
    if directory.inside.count("/") >= limits.directory_depth:
        notes.add(directory.inside, f"lies deeper than {limits.directory_depth} directories")
        return
    try:
        with os.scandir(directory.real) as listing:
            found = sorted(islice(listing, limits.files + 1), key=lambda entry: entry.name)
    except OSError as error:
        if not directory.inside:
            raise
        notes.add(directory.inside, why(error))
        return
    for listed in found:
        if not listed.name.startswith("."):
            entry = _look_at(directory, listed, top, notes)
            if entry is not None:
                yield entry


def _look_at(directory: _Entry, listed: os.DirEntry[str], top: str, notes: Notes) -> _Entry | None:
    inside = f"{directory.inside}/{printable(listed.name)}".lstrip("/")
    try:
        # Below a real path only a link leads elsewhere; resolving all 45,000 paths of a must-gather took 8 s.
        if not listed.is_symlink():
            return _Entry(inside, listed.path, listed.stat(follow_symlinks=False))
        real = os.path.realpath(listed.path, strict=True)
        if os.path.commonpath((top, real)) != top:
            notes.add(inside, "is a link that leaves the recording")
            return None
        return _Entry(inside, real, os.stat(real, follow_symlinks=False))
    except OSError as error:
        notes.add(inside, why(error))
        return None
