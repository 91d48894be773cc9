"""Pack what a run goes on from: JSON, compressed, and bounded on the way out and back in. Pure."""

from __future__ import annotations

import json
import zlib
from typing import Any

LARGEST = 64 * 1024 * 1024
"""Bytes that a package may unfold to. A window of two million tokens has eight."""


class TooLarge(ValueError):
    """The package is larger than its bound, packed or unfolded."""


def pack(value: Any, *, at_most: int) -> bytes:
    """Raises TooLarge."""
    packed = zlib.compress(
        json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode(), 1
    )
    if len(packed) > at_most:
        raise TooLarge(f"{len(packed)} bytes, more than {at_most}")
    return packed


def unpack(packed: bytes, *, at_most: int = LARGEST) -> Any:
    """Raises TooLarge; ValueError for what `pack` did not make."""
    unfolding = zlib.decompressobj()
    try:
        text = unfolding.decompress(packed, at_most)
    except zlib.error as error:
        raise ValueError("this was never packed") from error
    if unfolding.unconsumed_tail:
        raise TooLarge(f"unfolds to more than {at_most} bytes")
    if not unfolding.eof:
        raise ValueError("the package ends early")
    return json.loads(text)
