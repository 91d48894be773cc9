"""docs/benchmarks.md: several commands each write a part of it, and leave the others' parts alone."""

from __future__ import annotations

import re

BEGINS, ENDS = "<!-- written by {command} -->", "<!-- end of {command} -->"
_ANY = re.compile(r"<!-- written by (.+?) -->.*?<!-- end of \1 -->\n?", re.DOTALL)


def with_part(document: str, command: str, text: str) -> str:
    """The document with `command`'s part replaced, or added at its end.

    Args:
        command: as it is typed, e.g. `make triage-eval`.
        text: Markdown.
    """
    part = f"{BEGINS.format(command=command)}\n{text.strip()}\n{ENDS.format(command=command)}\n"
    for found in _ANY.finditer(document):
        if found[1] == command:
            return document[: found.start()] + part + document[found.end() :]
    return f"{document.rstrip()}\n\n{part}"


def with_body(document: str, body: str) -> str:
    """`body` in place of everything that is no command's part; the parts follow it."""
    parts = [found[0].rstrip() for found in _ANY.finditer(document)]
    return "\n\n".join([body.rstrip(), *parts]) + "\n"
