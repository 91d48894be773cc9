"""Reads how much memory this process and its children may use (the container's limit, or what is free now), and how much
of it is in use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

N = TypeVar("N", int, float)

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


def used(root: Path = Path("/")) -> float | None:
    """Share of the memory allowed that is in use, from 0 to 1: of the container's, and of the machine's where that is
    shorter. None where neither can be read. What the kernel keeps of files that nobody maps does not count as used."""
    shares = [_group(root / place, *names) for place, *names in (*_GROUPS, *_own_groups(root))]
    known = [share for share in (*shares, _read(root / _FREE, _taken)) if share is not None]
    return max(known) if known else None


_NAMES_V2 = ("memory.max", "memory.current", "inactive_file")
_NAMES_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_GROUPS = (("sys/fs/cgroup", *_NAMES_V2), ("sys/fs/cgroup/memory", *_NAMES_V1))


def _own_groups(root: Path) -> list[tuple[str, str, str, str]]:
    return [
        (place.rpartition("/")[0], *(_NAMES_V2 if place.endswith(_NAMES_V2[0]) else _NAMES_V1))
        for place in _own(root)
    ]


def _group(place: Path, most: str, current: str, inactive: str) -> float | None:
    bound = _read(place / most, _cgroup)
    now = _read(place / current, int)
    if bound is None or now is None:
        return None
    cached = _read(place / "memory.stat", lambda text: _entry(text, inactive)) or 0
    return max(now - cached, 0) / bound


def _entry(text: str, name: str) -> int | None:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), None)


def _taken(text: str) -> float | None:
    total = _entry(text.replace(":", " "), "MemTotal")
    free = _available(text)
    return None if not total or free is None else max(1 - free / (total * 1024), 0.0)


def rss(pid: int, root: Path = Path("/")) -> int:
    """Bytes that a process has mapped; 0 when it is gone, or the system does not say."""
    try:
        return int((root / f"proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


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


def _read(path: Path, parse: Callable[[str], N | None]) -> N | None:
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
