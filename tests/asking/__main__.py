"""`python -m tests.asking [NAME …] [--blind] [--write]`: what asking saves over static enrichment (BR-CAPI-011)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.asking import table
from tests.asking.measure import CROWD, STATIC, Outcome, outcomes
from tests.asking.reader import CALL_S, READ_PER_S, WRITE_PER_S, WRITTEN
from tests.bench.document import with_part
from tests.bench.table import machine
from tests.incidents.corpus import entries
from tests.incidents.incident import Half
from tests.support.source import ROOT

REPORT = ROOT / "docs" / "benchmarks.md"
COMMAND = "make context-eval"


def report(measured: Sequence[Outcome], crowded: Sequence[Outcome]) -> str:
    wider = sum(one.taken[STATIC].wider for one in measured)
    return f"""\
## Asking against everything at once

Written by `{COMMAND}`: for the {len(measured)} incidents of the corpus that have a cause, how soon an investigation has in
view what it needs: the object at fault, and the facts that a person would state of it. *Everything at once* is static
enrichment: all objects, events, series and ends of logs of the alert's namespace in the prompt, written as lean as they
can be; where that does not hold what is needed ({wider} of {len(measured)}), the whole cluster's in a second prompt. What
stands nowhere in it (a conclusion, e.g. that something is missing) is not asked of it, though it is of ours. *Causes
first* and *bundle first* are scripts that ask our tools as the tools' own words advise, one question a step, and stop when
all is in view; their prompts begin with the tools' words, and every step reads the whole prompt again. A token is counted
as 3 bytes. The model is a stand-in that needs {CALL_S} s a call, 1 s for {READ_PER_S:,} tokens of prompt and {WRITTEN / WRITE_PER_S:.0f} s for its
answer; so figures are comparable, and no model's. BR-CAPI-011 wants 40 to 60 % less time.

Machine: {machine()}.

As recorded, in namespaces that hold little but the incident:

{table.summary(measured)}

{table.savings(measured)}

The median of the time saved, were the stand-in to read faster or slower:

{table.speeds(measured)}

With {CROWD} healthy workloads more in the alert's namespace ({11 * CROWD} objects), which both ways see:

{table.summary(crowded)}

{table.savings(crowded)}

{table.speeds(crowded)}

As recorded, what is not in view at a way's end:

{table.not_in_view(measured)}
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.asking", description=__doc__)
    parser.add_argument("names", nargs="*", help="incidents of the tuned half; left out: all of it")
    parser.add_argument(
        "--blind", action="store_true", help="the blind half too; of it only numbers are told"
    )
    parser.add_argument("--write", action="store_true", help="keep the result in docs/benchmarks.md")
    chosen = parser.parse_args()
    known = entries(*Half) if chosen.blind else entries(Half.tuned)
    if unknown := [
        name for name in chosen.names if name not in known or known[name].incident.half is Half.blind
    ]:
        parser.error(f"not in the tuned half: {', '.join(unknown)}")
    wanted = [one for name, one in known.items() if not chosen.names or name in chosen.names]
    text = report(outcomes(wanted), outcomes(wanted, CROWD))
    print(text)
    if chosen.write and not chosen.names:
        REPORT.write_text(with_part(REPORT.read_text("utf-8"), COMMAND, text), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
