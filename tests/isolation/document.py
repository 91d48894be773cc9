"""docs/isolation.md: what the campaign is, and a row for each of its rounds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench.table import machine
from tests.isolation.campaign import Outcome

_ROW = re.compile(r"^\| (\d+) \|.*\|$", re.MULTILINE)
_FIGURES = re.compile(
    r"^\| \d+ \| [^|]+ \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| (\d+) \| (\d+) \|", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Round:
    """One round of the long campaign."""

    seed: int
    operations: int
    kept_s: float
    shared: bool
    """Two replicas with one Redis, and not one with a memory of its own."""

    @property
    def kind(self) -> str:
        where = "two replicas, one Redis" if self.shared else "one process"
        return f"{where}, answers kept {'' if self.kept_s > 1 else 'not '}for long"

    def row(self, outcome: Outcome) -> str:
        return (
            f"| {self.seed} | {self.kind} | {outcome.operations:,} | {outcome.answered.total():,} | {outcome.words:,} "
            f"| {len(outcome.leaks)} | {len(outcome.broken)} | {outcome.seconds:.0f} | {machine()} |"
        )


LONG_S, SHORT_S = 600.0, 0.05

ROUNDS = (
    *(Round(seed, 7_500, LONG_S, shared=False) for seed in range(1, 7)),
    *(Round(seed, 7_500, LONG_S, shared=True) for seed in range(7, 11)),
    *(Round(seed, 2_500, SHORT_S, shared=False) for seed in range(11, 17)),
    *(Round(seed, 2_500, SHORT_S, shared=True) for seed in range(17, 21)),
)
"""100,000 operations."""


def read(document: str) -> dict[int, str]:
    """The rows that are written down, by the number of their round."""
    return {int(found[1]): found[0] for found in _ROW.finditer(document)}


def written(rows: Mapping[int, str]) -> str:
    table = "\n".join(rows[seed] for seed in sorted(rows))
    figures = [[int(part.replace(",", "")) for part in found.groups()] for found in _FIGURES.finditer(table)]
    operations, answered, words, foreign, broken = map(sum, zip(*figures, strict=True))
    rest = len(ROUNDS) - len(rows)
    more = f" {rest} of {len(ROUNDS)} rounds are still to come." if rest else ""
    return f"""\
# Isolation

Written by `make isolation`. Callers of two tenants (and one who may read everything) ask one cluster for everything, at
once: every route and every tool, half for what is theirs and half for what is not, by addresses and ids that are right.
Every place of the cluster and of the alerts' past has a word of its own: each namespace's objects (names, labels,
annotations, images, environments, states), events, log lines and metrics, the cluster's own objects, secrets, and the
past of each tenant in each namespace. What is told is searched for words that the caller may not read: headers, bodies,
problem documents, streams, tool answers, and the files in archives. The expected answer is worked out by the test, not
asked of the product.

The same applications answer all callers, so what one of them was told lies in the cache when the next one asks. A
round begins with applications that know nothing. Where answers are not kept for long, each is found anew.

A short version is part of `make test`, and so is the proof that the campaign would notice: with an application that
mixes up namespaces, or answers, and with an archive that mixes up tenants, it finds foreign words.

**{operations:,} operations: {answered:,} answered, {words:,} words of callers' own told, {foreign} answers with a foreign word, {broken}
without an answer.**{more} `make isolation` goes on where it was interrupted; `ARGS=--anew` begins again.

| round | how | operations | answered | own words told | answers with a foreign word | no answer | s | machine, date |
|--:|---|--:|--:|--:|--:|--:|--:|---|
{table}
"""
