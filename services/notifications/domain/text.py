"""Make text safe to show: printable, of one line where a line is meant, and cut where a channel has a limit."""

from __future__ import annotations

INSTEAD = "\N{REPLACEMENT CHARACTER}"
"""Stands for a control character, so that somebody who looks can see that there was one."""


def printable(text: str) -> str:
    """Lines and spaces stay; every other control, format or surrogate character is replaced.

    Terminals obey escape sequences, mail headers break at line ends, a right-to-left override swaps what
    is read, and PostgreSQL stores no NUL.
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
    if lines.isprintable():
        return lines
    return "".join(sign if sign == "\n" or sign.isprintable() else INSTEAD for sign in lines)


def one_line(text: str, longest: int) -> str:
    """A printable line of at most this many characters."""
    line = " ".join(printable(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def cut(text: str, keep: int, *, of: str) -> str:
    """The first `keep` characters and a line that says what is missing and where the rest is.

    Args:
        of: id of the notification, by which the whole text can be read.
    """
    if len(text) <= keep:
        return text
    return (
        f"{text[:keep].rstrip()}\n\n[… cut: {keep} of {len(text)} characters; "
        f"the whole text: GET /api/v1/notifications/{of}]"
    )
