"""Request ids and W3C trace context: continue what the caller began, or begin. Pure but for random ids."""

from __future__ import annotations

import random
import re

from libs.logs.context import RequestContext

_SAFE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}\Z")
_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\Z")
_random = random.Random()  # seeded by the system; ids need be unlike, not secret
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16


def context_of(request_id: bytes | None, traceparent: bytes | None) -> RequestContext:
    """The context of our own span.

    An id or trace that is not well-formed is replaced, not repeated: it ends up in logs and headers.
    Source: W3C Trace Context, level 1, "traceparent header".
    """
    fresh = f"{_random.getrandbits(192):048x}"
    own_id = request_id.decode() if request_id is not None and _SAFE_ID.match(request_id) else fresh[:32]
    if traceparent is not None:
        found = _TRACEPARENT.match(traceparent)
        if found and found[1] != _NO_TRACE and found[2] != _NO_SPAN:
            return RequestContext(own_id, f"00-{found[1].decode()}-{fresh[32:]}-{found[3].decode()}")
    return RequestContext(own_id, f"00-{fresh[:32]}-{fresh[32:]}-00")
