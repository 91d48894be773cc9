"""Say which settings name a model. Run by any Python, before anything is installed: so without a reader of YAML.

Run as a program it prints them, and `make run` installs the engine where there are some.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

SETTINGS = ("MODEL", "HOLMESGPT_LLM_MODEL")
FILE = "HOLMESGPT_CONFIG_FILE"
"""Names models in its section `llm`, or in that of a file it extends."""

DEEPEST = 10
"""Files that extend each other."""

_LLM = re.compile(r"""^["']?llm["']?[ \t]*:[ \t]*(null|~)?""", re.MULTILINE)
_EXTENDS = re.compile(r"""^["']?extends["']?[ \t]*:[ \t]*["']?([^"'#\n]+)""", re.MULTILINE)


def named(environ: Mapping[str, str]) -> list[str]:
    """Names of the settings, and never what they say: a file may hold more than a model's name."""
    given = [name for name in SETTINGS if environ.get(name, "").strip()]
    file = environ.get(FILE, "").strip()
    return [*given, FILE] if file and _in_file(Path(file)) else given


def _in_file(path: Path) -> bool:
    for _ in range(DEEPEST):
        try:
            text = path.read_text("utf-8")
        except (OSError, ValueError):
            return False  # the service says what is wrong with it
        llm, extends = _sections(text)
        if llm is not None:
            return llm
        if not extends:
            return False
        path = path.resolve().parent / extends
    return False


def _sections(text: str) -> tuple[bool | None, str | None]:
    """Whether models are named (None: nothing is said of them), and the file that this one extends."""
    try:
        document = json.loads(text)
    except ValueError:
        llm, extends = _LLM.search(text), _EXTENDS.search(text)
        return (not llm[1] if llm else None), (extends[1].strip() if extends else None)
    if not isinstance(document, dict):
        return None, None
    base = document.get("extends")
    return (bool(document["llm"]) if "llm" in document else None), (base if isinstance(base, str) else None)


if __name__ == "__main__":
    print(*named(os.environ))
