"""What a caller has already, and what it can read: entity tags and content codings. Pure.

Source: RFC 9110, 8.8.3 (ETag), 12.5.3 (Accept-Encoding), 13.1.2 (If-None-Match).
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from typing import Literal

Coding = Literal["zstd", "gzip", ""]
"""The empty one is the answer as it is."""

OURS: tuple[Coding, ...] = ("zstd", "gzip", "")
"""In our order, for callers to whom they are equal."""

_TAG = re.compile(rb'[ \t]*(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|\Z)')
_NOTHING = re.compile(rb"[ \t]*,")
_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)


def etag_of(body: bytes) -> bytes:
    """Weak, because one tag stands for an answer in all its codings."""
    return b'W/"' + blake2b(body, digest_size=15).hexdigest().encode() + b'"'


def matches(if_none_match: bytes, etag: bytes) -> bool:
    """Whether the caller has this answer, by weak comparison. What is no list of tags matches nothing."""
    if if_none_match == etag:
        return True
    if if_none_match.strip(b" \t") == b"*":
        return True
    opaque = etag.removeprefix(b"W/")
    at, found = 0, False
    while at < len(if_none_match):
        tag = _TAG.match(if_none_match, at)
        if tag is None:
            # Empty elements are allowed in a list; anything else makes it none.
            empty = _NOTHING.match(if_none_match, at)
            if empty is None:
                return found and not if_none_match[at:].strip(b" \t")
            at = empty.end()
            continue
        found = found or tag[1] == opaque
        at = tag.end()
    return found


@lru_cache(maxsize=512)
def coding(accept_encoding: bytes) -> Coding:
    """The coding the caller likes best of ours; of equals the one that saves most.

    Who refuses everything, the answer as it is included, is sent it as it is: all of ours can read it.
    """
    named: dict[str, float] = {}
    for part in accept_encoding.decode("latin-1").lower().split(","):
        name, *parameters = (word.strip() for word in part.split(";"))
        if name:
            named[{"x-gzip": "gzip"}.get(name, name)] = _quality(parameters)
    others = named.get("*")
    wanted: dict[Coding, float] = {
        "zstd": named.get("zstd", others or 0.0),
        "gzip": named.get("gzip", others or 0.0),
    }
    # Not named, the answer as it is may be sent, and any coding that was named is liked better.
    wanted[""] = named.get("identity", 1e-6 if others is None else max(others, 0.0))
    best = max(OURS, key=lambda one: (wanted[one], -OURS.index(one)))
    return best if wanted[best] > 0 else ""


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            value = value.strip()
            return float(value) if _QUALITY.fullmatch(value) else 0.0
    return 1.0
