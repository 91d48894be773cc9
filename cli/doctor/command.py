"""Print what was found: a page for people, a document for programs; the exit code says whether `make run` can work."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO

from cli.doctor.checks import HAVE, MISSING, OPTIONAL, RUN, Line, can_run, examine
from cli.doctor.gather import ROOT, gather

CAN_RUN, CANNOT_RUN, MISUSED = 0, 1, 2

_COLOURS = {HAVE: "32", MISSING: "31", OPTIONAL: "33"}


def arguments(given: Sequence[str]) -> int:
    """As `./kubernaut doctor` does, without its libraries."""
    if any(one in ("-h", "--help") for one in given):
        print(
            "usage: kubernaut doctor [--json]\n\nWhat this machine has, what is missing, and how to get it."
        )
        return CAN_RUN
    if set(given) - {"--json"}:
        print(f"kubernaut doctor: knows no {' '.join(given)}; only --json", file=sys.stderr)
        return MISUSED
    return main(as_json=bool(given))


def main(*, as_json: bool) -> int:
    """Look, print; returns the exit code."""
    lines = examine(gather(os.environ))
    if as_json:
        print(document(lines))
    else:
        write(lines, sys.stdout)
    return CAN_RUN if can_run(lines) else CANNOT_RUN


def document(lines: Sequence[Line]) -> str:
    """JSON in ASCII."""
    return json.dumps({"can_run": can_run(lines), "checks": [asdict(line) for line in lines]}, indent=2)


def write(lines: Sequence[Line], stream: IO[str]) -> None:
    """A line for each thing under what needs it, its remedy below it, and what it comes to."""
    print(f"Kubernaut in {plain(str(ROOT))}", file=stream)
    width = max(len(line.name) for line in lines)
    for needed_for in dict.fromkeys(line.needed_for for line in lines):
        print(f"\n{needed_for}", file=stream)
        for line in lines:
            if line.needed_for == needed_for:
                _write(line, width, stream)
    print(f"\n{verdict(lines)}", file=stream)


def _write(line: Line, width: int, stream: IO[str]) -> None:
    state = _coloured(f"{line.state:8}", _COLOURS[line.state], stream)
    print(f"  {state}  {line.name:{width}}  {plain(line.detail)}", file=stream)
    if line.remedy:
        print(f"  {'':8}  {'':{width}}  -> {plain(line.remedy)}", file=stream)


def verdict(lines: Sequence[Line]) -> str:
    """What it comes to, in a sentence or two."""
    stopping = [line for line in lines if line.stops_run]
    if stopping:
        names = ", ".join(dict.fromkeys(line.name for line in stopping))
        return f"`make run` cannot work yet. In its way: {names}."
    lacking: dict[str, list[str]] = {}
    for line in lines:
        if line.state == MISSING and line.needed_for != RUN:
            lacking.setdefault(line.needed_for, []).append(line.name)
    rest = [f"`{command}` lacks {', '.join(names)}." for command, names in lacking.items()]
    return " ".join(["`make run` can work.", *rest])


def plain(text: str) -> str:
    """Without control characters: another user's process may be called anything."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def _coloured(text: str, colour: str, stream: IO[str]) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if stream.isatty() and "NO_COLOR" not in os.environ else text
