"""Read a recording straight from a tar archive, packed with gzip or not; nothing is ever unpacked to disk."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from services.context_api.adapters.recording.errors import NotUsable, UnreadableRecording
from services.context_api.adapters.recording.files import open_regular, printable
from services.context_api.adapters.recording.limits import MIB, Limits
from services.context_api.adapters.recording.notes import Notes
from services.context_api.adapters.recording.reading import Found

_SUFFIXES = (".tar", ".tar.gz", ".tgz")
_STEP = 16 * MIB

BROKEN = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)
"""What the standard library raises for an archive that is none, or not all there."""


def is_archive(path: Path) -> bool:
    return path.name.endswith(_SUFFIXES)


def files_in_archive(path: Path, limits: Limits, notes: Notes) -> Iterator[Found]:
    """Every regular file of the archive, in its order. Each must be read before the next is asked for.

    Names are labels here, not places: nothing is written, so `../../etc/passwd` reads as a strange path.

    Raises:
        UnreadableRecording: no archive, or one beyond the limits before its first file.
        OSError: it could not be opened.
    """
    count = 0
    with open_regular(str(path.resolve())) as packed:
        try:
            with tarfile.open(fileobj=_bounded(packed, path, limits), mode="r:") as archive:
                for member in archive:
                    # A sparse file claims terabytes and holds none.
                    if not member.isfile() or member.issparse() or _is_hidden(member.name):
                        continue
                    count += 1
                    if count > limits.files:
                        notes.add(
                            path.name, f"has more than {limits.files} files: the rest was not looked at"
                        )
                        return
                    yield Found(printable(member.name), member.size, partial(_open, archive, member))
        except (*BROKEN, NotUsable) as error:
            reason = error.reason if isinstance(error, NotUsable) else "is no whole tar archive"
            if count == 0:
                raise UnreadableRecording(path, reason) from error
            notes.add(path.name, f"{reason}: {count} files of it were looked at")


def _open(archive: tarfile.TarFile, member: tarfile.TarInfo) -> BinaryIO:
    content = archive.extractfile(member)
    if content is None:
        raise NotUsable("is no regular file")
    return cast(BinaryIO, _Member(cast(BinaryIO, content)))


class _Member(io.RawIOBase):
    """One file of the archive; what breaks while it is read is this file's, in our words."""

    def __init__(self, content: BinaryIO) -> None:
        self._content = content

    def read(self, size: int = -1) -> bytes:
        try:
            return self._content.read(size)
        except BROKEN as error:
            raise NotUsable("is cut off in the archive") from error

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._content.seek(offset, whence)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") and part != "." for part in name.split("/"))


def _bounded(packed: BinaryIO, path: Path, limits: Limits) -> BinaryIO:
    inner = packed if path.name.endswith(".tar") else cast(BinaryIO, gzip.GzipFile(fileobj=packed, mode="rb"))
    return cast(BinaryIO, _Bounded(inner, packed, limits))


class _Bounded(io.RawIOBase):
    """Moves forward through an archive and stops it at the limits, not after them."""

    def __init__(self, inner: BinaryIO, packed: BinaryIO, limits: Limits) -> None:
        self._inner, self._packed, self._limits = inner, packed, limits

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._inner.tell()

    def read(self, size: int = -1) -> bytes:
        # tarfile reads a long name in one piece, of whatever length the archive claims.
        if not 0 <= size <= self._limits.file_bytes + 1:
            raise NotUsable("claims a header of many megabytes")
        content = self._inner.read(size)
        self._check()
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or offset < self.tell():
            raise NotUsable("goes backwards")
        if offset > self._limits.archive_bytes:
            raise NotUsable(f"is over the limit of {self._limits.archive_bytes // MIB} MiB")
        # In steps: a member of a gigabyte of zeros is noticed after its first megabytes.
        while self.tell() < offset:
            before = self.tell()
            self._inner.seek(min(offset, before + _STEP))
            self._check()
            if self.tell() == before:
                break
        return self.tell()

    def _check(self) -> None:
        out = self._inner.tell()
        if out > self._limits.archive_bytes:
            raise NotUsable(f"is over the limit of {self._limits.archive_bytes // MIB} MiB")
        if self._inner is not self._packed and out > self._limits.inflate_ratio * self._packed.tell() + MIB:
            raise NotUsable(f"inflates to more than {self._limits.inflate_ratio} times its size")
