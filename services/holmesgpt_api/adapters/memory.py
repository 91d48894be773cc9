"""Reads how much memory this process and its children may use: the container's limit, or what is free now."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_V2 = ("sys/fs/cgroup/memory.max",)
_V1 = ("sys/fs/cgroup/memory/memory.limit_in_bytes",)
_FREE = "proc/meminfo"

UNLIMITED = 1 << 60
"""cgroup v1 writes "no limit" as a number near 2^63."""


def limit(root: Path = Path("/")) -> int | None:
    """Bytes; None where neither can be read (no Linux)."""
    bounds = [_read(root / path, _cgroup) for path in (*_V2, *_V1, *_own(root))]
    known = [bound for bound in (*bounds, _read(root / _FREE, _available)) if bound is not None]
    return min(known) if known else None


def _own(root: Path) -> list[str]:
    """This process's own group, where the container does not see itself as the root of all."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    places = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            places.append(f"sys/fs/cgroup{path.rstrip('/')}/memory.max")
        elif "memory" in controllers.split(","):
            places.append(f"sys/fs/cgroup/memory{path.rstrip('/')}/memory.limit_in_bytes")
    return places


def _read(path: Path, parse: Callable[[str], int | None]) -> int | None:
    try:
        return parse(path.read_text())
    except (OSError, ValueError):
        return None


def _cgroup(text: str) -> int | None:
    word = text.strip()
    if word == "max":
        return None
    bound = int(word)
    return bound if 0 < bound < UNLIMITED else None


def _available(text: str) -> int | None:
    """MemAvailable of /proc/meminfo, which is in kB."""
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) * 1024
    return None
