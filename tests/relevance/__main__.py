"""`python -m tests.relevance [NAME …] [--write]`: how well bundles agree with the labels, per half."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.bench.document import with_part
from tests.relevance.labels import Half, Matcher, cases
from tests.relevance.measure import BUDGET, FIRST, Outcome, figures, outcome
from tests.support.source import ROOT

REPORT = ROOT / "docs" / "benchmarks.md"
COMMAND = "make relevance-eval"


def report(outcomes: Sequence[Outcome]) -> str:
    """Of the blind half numbers alone."""
    return f"""\
## What bundles put first

Written by `{COMMAND}`: for {len(outcomes)} incidents of the corpus, labelled by hand with what nobody can do without
and what one is glad to see (`tests/relevance`), the bundle of {BUDGET:,} tokens that their alert gets. "First facts
relevant" is precision among the first {FIRST}, or among as many as there are relevant facts. The blind half is labelled
in the same way; nothing is tuned on it.

{summary(outcomes)}

{failing(outcomes)}
"""


def summary(outcomes: Sequence[Outcome]) -> str:
    lines = [
        "| half | cases | first facts relevant | cases with all that is needed | needed facts within budget | mean tokens |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for half in Half:
        if of_half := [one for one in outcomes if one.half is half]:
            all_ = figures(of_half)
            lines.append(
                f"| {half} | {all_.cases} | {all_.precision:.3f} | {all_.complete:.1%} | {all_.within:.1%} | {all_.tokens:,.0f} |"
            )
    return "\n".join(lines)


def failing(outcomes: Sequence[Outcome]) -> str:
    """The seen cases that are not as they should be."""
    wrong = [one for one in outcomes if one.half is Half.seen and (one.precision < 1 or one.missing)]
    if not wrong:
        return "In all of the seen half the first facts are relevant, and nothing needed is missing."
    rows = [
        f"| {one.name} | {one.relevant} of {one.place} | {'; '.join(_said(m) for m in one.missing)} |"
        for one in sorted(wrong, key=lambda one: one.name)
    ]
    return "\n".join(["| seen half | first facts relevant | missing |", "|---|--:|---|", *rows])


def _said(matcher: Matcher) -> str:
    words = ", ".join(f"“{group}”" for group in matcher.words).replace("|", " or ")
    return " ".join(filter(None, [" or ".join(matcher.kind), " or ".join(matcher.about), words]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.relevance", description=__doc__)
    parser.add_argument("names", nargs="*", help="incidents of the seen half; left out: both halves")
    parser.add_argument("--write", action="store_true", help="keep the result in docs/benchmarks.md")
    chosen = parser.parse_args()
    labelled = {half: cases(half) for half in Half}
    if unknown := set(chosen.names) - set(labelled[Half.seen]):
        parser.error(f"not in the seen half: {', '.join(sorted(unknown))}")
    outcomes = [
        outcome(case, half)
        for half, of_half in labelled.items()
        for name, case in of_half.items()
        if not chosen.names or name in chosen.names
    ]
    text = report(outcomes)
    print(text)
    if chosen.write and not chosen.names:
        REPORT.write_text(with_part(REPORT.read_text("utf-8"), COMMAND, text), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
