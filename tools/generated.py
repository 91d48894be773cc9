"""Generated documents: write them, or say which ones are stale."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def stale(documents: Mapping[Path, str]) -> list[Path]:
    """The files whose text on disk is not the one given."""
    return [path for path, text in documents.items() if not path.is_file() or path.read_text("utf-8") != text]


def publish(documents: Mapping[Path, str], *, check: bool, remedy: str) -> int:
    """Write what is stale, or with `check` only name it. Returns the exit code."""
    changed = stale(documents)
    if not check:
        for path in changed:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(documents[path], encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
        return 0
    for path in changed:
        print(f"{path.relative_to(ROOT)} is stale; run: {remedy}", file=sys.stderr)
    return 1 if changed else 0
