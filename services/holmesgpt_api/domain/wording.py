"""Shorten texts where a reader wants the gist, and say whom they are about."""

from __future__ import annotations

import re

from libs.contracts.target import Target

_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


def first_sentence(text: str, at_most: int) -> str:
    """The text up to its first full stop before a capital letter, and no more characters than allowed."""
    first = _END.split(text.strip(), maxsplit=1)[0]
    return first if len(first) <= at_most else first[: at_most - 1].rstrip() + "…"


def about(target: Target, text: str) -> str:
    """The text with its target before it, unless it names it already."""
    return text if target.name in text else f"{target}: {text}"
