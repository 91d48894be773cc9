"""`python -m tests.isolation [--anew]`: the long campaign, a round at a time; each is written down when it is done.

Rounds that stand in docs/isolation.md are not run again, so an interrupted campaign goes on where it was.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from tests.isolation.document import ROUNDS, read, written
from tests.isolation.rounds import one_round
from tests.support.programs import program
from tests.support.source import ROOT

REPORT = ROOT / "docs" / "isolation.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.isolation", description=__doc__)
    parser.add_argument("--anew", action="store_true", help="forget the rounds that are written down")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    if any(one.shared for one in ROUNDS) and program("redis-server") is None:
        parser.error("needs redis-server; install it (`apt-get install redis-server`)")
    rows = {} if chosen.anew or not REPORT.exists() else read(REPORT.read_text("utf-8"))
    left = [one for one in ROUNDS if one.seed not in rows]
    leaked = False
    with ProcessPoolExecutor(chosen.workers, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(one_round, one): one for one in left}
        for done in as_completed(running):
            one, outcome = running[done], done.result()
            rows[one.seed] = one.row(outcome)
            REPORT.write_text(written(rows), "utf-8")
            print(rows[one.seed], flush=True)
            for line in (*outcome.leaks[:20], *outcome.broken[:20]):
                print(f"  {line}", file=sys.stderr)
            leaked = leaked or bool(outcome.leaks or outcome.broken)
    return 1 if leaked else 0


if __name__ == "__main__":
    sys.exit(main())
