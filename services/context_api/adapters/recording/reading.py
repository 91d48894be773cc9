"""Read one file within its bounds, whether it lies in a directory or an archive, packed or not."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from services.context_api.adapters.recording.errors import NotUsable
from services.context_api.adapters.recording.limits import MIB, Limits


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file of the recording, not opened yet. `path` is inside the recording, with `/`."""

    path: str
    size: int
    open: Callable[[], BinaryIO]
    """Raises OSError or NotUsable. In an archive it works until the next file is asked for."""


def read_whole(found: Found, limits: Limits) -> bytes:
    """All of a file.

    Raises:
        NotUsable: larger than `file_bytes`, inflated or not.
        OSError: it could not be read.
    """
    if found.size > limits.file_bytes:
        raise NotUsable(f"is {_mib(found.size)} MiB large, over the limit of {_mib(limits.file_bytes)} MiB")
    with found.open() as stream:
        content = stream.read(limits.file_bytes + 1)
    if found.path.endswith(".gz"):
        content = inflate(content, limits.file_bytes, limits.inflate_ratio)
    if len(content) > limits.file_bytes:
        raise NotUsable(f"is over the limit of {_mib(limits.file_bytes)} MiB")
    return content


def read_tail(found: Found, count: int, limits: Limits) -> tuple[bytes, bool]:
    """The last `count` bytes, beginning with a whole line, and whether something before them was left out."""
    if found.path.endswith(".gz"):
        content = read_whole(found, limits)
        cut = len(content) > count
        return _from_line_start(content[-count - 1 :]) if cut else content, cut
    with found.open() as stream:
        content, cut = _end_of(stream, count)
    return _from_line_start(content) if cut else content, cut


def inflate(packed: bytes, limit: int, ratio: int) -> bytes:
    """Unpack gzip, stopping at the limits instead of after them.

    Raises:
        NotUsable: more than `limit` bytes, more than `ratio` times the packed size, or no whole gzip.
    """
    out = io.BytesIO()
    room = min(limit, ratio * len(packed))
    while packed:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            out.write(unpacker.decompress(packed, max(1, room + 1 - out.tell())))
        except zlib.error as error:
            raise NotUsable("is no gzip") from error
        if out.tell() > room:
            raise NotUsable(f"inflates beyond {_mib(limit)} MiB or {ratio} times its size")
        if not unpacker.eof:
            raise NotUsable("is a gzip cut off in the middle")
        packed = unpacker.unused_data.lstrip(b"\0")
    return out.getvalue()


def _end_of(stream: BinaryIO, count: int) -> tuple[bytes, bool]:
    size = stream.seek(0, io.SEEK_END)
    # One byte more than kept: it tells whether the kept part begins a line.
    start = max(0, size - count - 1)
    stream.seek(start)
    return stream.read(count + 1), start > 0


def _from_line_start(content: bytes) -> bytes:
    """Drop the cut-off first line; one endless line stays as it is."""
    _, newline, rest = content.partition(b"\n")
    return rest if newline and rest else content


def _mib(count: int) -> str:
    return f"{count / MIB:.0f}" if count >= MIB else f"{count / MIB:.2f}"
