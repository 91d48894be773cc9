"""`python -m tests.incidents play [NAME …] | eval [NAME …]`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from tests.incidents.corpus import Entry, entries
from tests.incidents.judge import Verdict, judge
from tests.incidents.play import perform
from tests.testbed.clock import ClockFailed
from tests.testbed.cluster import CallFailed, ClusterFailed
from tests.testbed.programs import NotBuilt


def _chosen(names: Sequence[str]) -> list[Entry]:
    corpus = entries()
    if unknown := [name for name in names if name not in corpus]:
        raise SystemExit(f"no incident {', '.join(unknown)}; there are: {', '.join(sorted(corpus))}")
    return [corpus[name] for name in names] or list(corpus.values())


def play(names: Sequence[str]) -> int:
    failed = []
    for entry in _chosen(names):
        try:
            perform(entry)
        except (NotBuilt, ClusterFailed, CallFailed, ClockFailed) as error:
            print(f"{entry.name}: {error}", file=sys.stderr)
            failed.append(entry.name)
    return 1 if failed else 0


def line(one: Verdict) -> str:
    marks = "".join(
        "-" if mark is None else "x" if mark else "."
        for mark in (one.target, one.says, one.among, one.no_cause, one.second)
    )
    words = f"  lacks: {'; '.join(one.missing)}" if one.target and one.missing else ""
    return f"{'ok ' if one.right else 'BAD'} {marks} {one.half:5} {one.kind:8} {one.name:44} {one.confidence:.2f} {one.first}{words}"


def evaluate(names: Sequence[str]) -> int:
    for entry in _chosen(names):
        print(line(judge(entry)))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.incidents", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (
        ("play", "play incidents on the test bed and record them anew"),
        ("eval", "ask triage about the recordings"),
    ):
        commands.add_parser(name, help=words).add_argument("names", nargs="*")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return play(chosen.names) if chosen.command == "play" else evaluate(chosen.names)


if __name__ == "__main__":
    sys.exit(main())
