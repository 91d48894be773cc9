"""Shorten texts where a reader wants the gist."""

from __future__ import annotations

import re

_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def first_sentence(text: str, at_most: int) -> str:
    """The text up to its first full stop before a capital letter, and no more characters than allowed."""
    first = _END.split(text.strip(), maxsplit=1)[0]
    return first if len(first) <= at_most else first[: at_most - 1].rstrip() + "…"
