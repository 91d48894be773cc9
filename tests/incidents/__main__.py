"""`python -m tests.incidents play [NAME …] | eval [NAME …] | ablate [NAME …]`."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from tests.bench.document import with_part
from tests.bench.table import machine
from tests.incidents import ablation, table
from tests.incidents.corpus import Entry, entries
from tests.incidents.incident import Half
from tests.incidents.judge import Verdict, judge
from tests.incidents.play import perform
from tests.support.source import ROOT
from tests.testbed.clock import ClockFailed
from tests.testbed.cluster import CallFailed, ClusterFailed
from tests.testbed.programs import NotBuilt

REPORT = ROOT / "docs" / "benchmarks.md"
COMMAND = "make triage-eval"


def _chosen(names: Sequence[str]) -> list[Entry]:
    corpus = entries()
    if unknown := [name for name in names if name not in corpus]:
        raise SystemExit(f"no incident {', '.join(unknown)}; there are: {', '.join(sorted(corpus))}")
    return [corpus[name] for name in names] or list(corpus.values())


def play(names: Sequence[str]) -> int:
    """Record anew; 1 when one of them could not be played."""
    failed = []
    for entry in _chosen(names):
        try:
            perform(entry)
        except (NotBuilt, ClusterFailed, CallFailed, ClockFailed) as error:
            print(f"{entry.name}: {error}", file=sys.stderr)
            failed.append(entry.name)
    return 1 if failed else 0


def evaluate(names: Sequence[str], *, write: bool) -> int:
    """Print how triage answers; `write` keeps it in docs/benchmarks.md, where only the whole corpus belongs."""
    verdicts = [judge(entry) for entry in _chosen(names)]
    text = report(verdicts)
    print(text)
    if write and not names:
        REPORT.write_text(with_part(REPORT.read_text("utf-8"), COMMAND, text), "utf-8")
    return 0


def ablate(names: Sequence[str], *, words: bool) -> int:
    """Print how triage answers without each incident's own rules; of the tuned half alone."""
    chosen = [entry for entry in _chosen(names) if entry.incident.half is Half.tuned]
    found = []
    print(ablation.HEADER)
    for entry in chosen:
        found.append(ablation.ablate(entry))
        print(ablation.row(found[-1]), flush=True)
    print(f"\n{ablation.totals(found)}")
    if words:
        print("".join(f"\n{one.whole.name}: {one.words}" for one in found))
    return 0


def report(verdicts: Sequence[Verdict]) -> str:
    return f"""\
## Triage of whole incidents

Written by `{COMMAND}`: the {len(verdicts)} incidents below `tests/incidents`, each asked about by its alert, without a
model. An answer is right when the first object is one a person would change and the text states the facts that an
engineer would (or, where nothing is wrong, when no cause is named, for the right reason). The blind half was written
from upstream documentation and post-mortems without sight of the analyzers; nothing was tuned on it, and so it is not
listed one by one. Authored are those in which the script wrote a status in the place of a controller that does not run
on the test bed.

Machine: {machine()}.

{table.summary(verdicts)}

{table.listing(verdicts)}
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.incidents", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    playing = commands.add_parser("play", help="play incidents on the test bed and record them anew")
    playing.add_argument("names", nargs="*")
    judging = commands.add_parser("eval", help="ask triage about the recordings and print how it answers")
    judging.add_argument("names", nargs="*")
    judging.add_argument("--write", action="store_true", help="keep the result in docs/benchmarks.md")
    ablating = commands.add_parser("ablate", help="ask again without the rules that found the cause")
    ablating.add_argument("names", nargs="*")
    ablating.add_argument("--words", action="store_true", help="print what the first causes say then")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if chosen.command == "play":
        return play(chosen.names)
    if chosen.command == "ablate":
        return ablate(chosen.names, words=chosen.words)
    return evaluate(chosen.names, write=chosen.write)


if __name__ == "__main__":
    sys.exit(main())
