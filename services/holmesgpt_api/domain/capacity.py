"""How many model runs fit into memory at once. Pure; where the limit is read from is `adapters/memory.py`."""

from __future__ import annotations

MIB = 1024 * 1024

ZYGOTE = 400 * MIB
"""HolmesGPT loaded once (measured: 320 MB) and the worker beside it."""

CHILD = 80 * MIB
"""What a process that serves runs has for itself (measured: 30 MB at first, 60 MB at the end of a long run). One that
has twice this after a run is ended (`HOLMESGPT_ENGINE_CHILD_MEMORY`)."""

MOST = 50
"""Runs at once, however much memory there is: each costs processor time too, and each opens connections."""


def max_running(memory: int | None) -> int:
    """Runs at once; one at least, or nothing would ever be asked.

    Args:
        memory: bytes this process and its children may use; None: unknown, and then little is taken.
    """
    if memory is None:
        return 4
    return max(1, min(MOST, (memory - ZYGOTE) // CHILD))
