"""Which texts may travel: names, and what a model puts into an argument. Pure."""

from __future__ import annotations

import re
import unicodedata

NAME = r"^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$"
"""A toolset's name: a DNS label of at most 30 letters."""

TOOL = r"^[A-Za-z][A-Za-z0-9_-]{0,29}$"
"""A tool's name; together with its toolset's it stays below the 64 letters that models' protocols allow."""

JOINT = "__"
"""Between a toolset's name and a tool's, as a model calls it. No toolset's name holds it, so it is found again."""

_NEVER = frozenset({"Cs", "Co", "Cn", "Cf"})
"""Halves of pairs, private and unassigned characters, and those that are not seen (direction, joiners, tags)."""

_SLASHES = frozenset("/\\\u2044\u2215\u2216\u2571\u2572\u27cb\u27cd\u29f5\u29f8\u29f9")
"""And what some programs turn into one where their character set has no better."""

_HEX = re.compile(r"%[0-9A-Fa-f]{2}")
_DOTS = re.compile(r"\.*(;.*)?")


def called(toolset: str, tool: str) -> str:
    """As a model calls it."""
    return f"{toolset}{JOINT}{tool}"


def fault_in(text: str, *, lines: bool = True) -> str:
    """Why a text may not travel; empty: it may.

    Args:
        lines: whether it may have several lines, and tabs.
    """
    for sign in text:
        kind = unicodedata.category(sign)
        if kind in _NEVER:
            return f"holds the character U+{ord(sign):04X}, which is not seen or stands for nothing"
        if kind in ("Cc", "Zl", "Zp") and not (lines and sign in "\n\t"):
            return f"holds the control character U+{ord(sign):04X}"
    return ""


def fault_in_segment(text: str) -> str:
    """Why a text may not be part of one segment of a path, encoded as it will be; empty: it may.

    A server, or a proxy before it, may decode once more than it should, or fold what looks alike; so what would then
    leave its segment is refused instead of encoded.
    """
    if fault := fault_in(text, lines=False):
        return fault
    folded = unicodedata.normalize("NFKC", text)
    if folded != unicodedata.normalize("NFC", text):
        return "holds characters that look like others; write it in plain ones"
    if set(folded) & _SLASHES:
        return "holds a slash, which would lead elsewhere"
    if _HEX.search(folded):
        return "is percent-encoded already; write it in plain characters"
    return ""


def leads_elsewhere(segment: str) -> bool:
    """Whether a whole segment is none: empty, or only dots, with or without path parameters."""
    return _DOTS.fullmatch(segment) is not None


def plain(text: str, at_most: int) -> str:
    """A foreign text on one line, without what is not seen, and not longer than that."""
    seen = "".join(
        " " if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign
        for sign in text[: at_most * 4]
        if unicodedata.category(sign) not in _NEVER
    )
    line = " ".join(seen.split())
    return line if len(line) <= at_most else line[: at_most - 1].rstrip() + "…"
