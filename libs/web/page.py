"""One answer as it is kept: final bytes in every coding, its tag, and how long it may be told as what it is."""

from __future__ import annotations

import gzip
from dataclasses import dataclass

import msgspec
import zstandard

from libs.cache.provenance import Provenance
from libs.web.conditional import Coding, etag_of

COMPRESS_FROM = 1_000
"""Bytes; smaller answers cost more to compress than to send. Levels: gzip-9 costs four times gzip-1 (measured)."""

OVERHEAD = 600
"""Bytes that a kept page takes beside its own, key and bookkeeping included (measured 2026-11: 540)."""

AHEAD_S = 5.0
"""Clocks of replicas may differ by so much; a page from farther in the future is not believed."""

FLOOR_S = 1.0
"""What is too old when it is made (the cluster does not answer) is kept so long all the same, and tells its age:
making it again for everybody would not make it younger."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Of one answer, in seconds."""

    ttl: float
    """How old its evidence may be and still pass for current."""
    stale: float = 0.0
    """How much longer it may be given, saying so, while a newer one is made."""
    at_most: float | None = None
    """It is made anew after this time, whatever the others say."""


class Page(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Times are seconds since 1970, so that replicas mean the same."""

    body: bytes
    etag: bytes
    zstd: bytes
    """Empty where compressing does not pay; likewise `gzip`."""
    gzip: bytes
    as_of: float
    """Of when its oldest evidence is."""
    ttl: float
    fresh_until: float
    stale_until: float

    @property
    def size(self) -> int:
        """Bytes of memory it takes."""
        return len(self.body) + len(self.zstd) + len(self.gzip) + OVERHEAD

    def age(self, now: float) -> float:
        return max(0.0, now - self.as_of)

    def in_coding(self, wanted: Coding) -> tuple[bytes, Coding]:
        """The bytes in that coding, or as they are where it does not pay."""
        packed = self.zstd if wanted == "zstd" else self.gzip if wanted == "gzip" else b""
        return (packed, wanted) if packed else (self.body, "")

    def usable(self, now: float) -> bool:
        """Whether it may still be given, fresh or not."""
        return now < self.stale_until and self.as_of <= now + AHEAD_S


def make(body: bytes, provenance: Provenance, lifetime: Lifetime, *, began: float, now: float) -> Page:
    """A page of an answer made between `began` and `now`. Compressing 64 KB takes a millisecond."""
    # What has changed since it was begun may not be in it.
    as_of = began - provenance.age.total_seconds()
    fresh_until = max(as_of + lifetime.ttl, now + min(FLOOR_S, lifetime.ttl))
    stale_until = fresh_until + lifetime.stale
    if lifetime.at_most is not None:
        fresh_until = min(fresh_until, now + lifetime.at_most)
        stale_until = fresh_until
    worth = len(body) >= COMPRESS_FROM
    return Page(
        body,
        etag_of(body),
        _smaller(zstandard.ZstdCompressor(level=3).compress(body), body) if worth else b"",
        _smaller(gzip.compress(body, 1, mtime=0), body) if worth else b"",
        as_of,
        lifetime.ttl,
        fresh_until,
        stale_until,
    )


def _smaller(packed: bytes, body: bytes) -> bytes:
    return packed if len(packed) < len(body) else b""


_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(Page).decode


def packed(page: Page) -> bytes:
    """For a shared store."""
    return _encode(page)


def unpacked(data: bytes) -> Page | None:
    """None: another version wrote it."""
    try:
        return _decode(data)
    except msgspec.DecodeError:
        return None
