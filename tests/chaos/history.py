"""What clients did and saw while processes were killed, and whether the service kept its promises.

A history holds, for each operation, how it ended for the client: `ok` (acknowledged), `fail` (refused; certainly
not done) or `info` (nobody knows: the connection broke before the answer). The checker compares it with what the
service holds afterwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    ok = "ok"
    fail = "fail"
    info = "info"


@dataclass
class History:
    """The operations of one campaign, by a key unique to each."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    attempts: Counter[Outcome] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)

    def record(self, key: str, outcome: Outcome) -> None:
        """Note how one attempt ended. Once acknowledged stays acknowledged, whatever a repeat got."""
        self.attempts[outcome] += 1
        if outcome is Outcome.ok:
            self.acknowledged.add(key)
        if key not in self.acknowledged or outcome is Outcome.ok:
            self.outcomes[key] = outcome


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the service kept and what it broke. `holds` is the claim."""

    acknowledged: int
    lost: frozenset[str]
    """Acknowledged, and not there."""
    doubled: frozenset[str]
    """There more than once."""
    invented: frozenset[str]
    """There, and never sent."""

    @property
    def holds(self) -> bool:
        return not (self.lost or self.doubled or self.invented)

    def __str__(self) -> str:
        return (
            f"{self.acknowledged} acknowledged, {len(self.lost)} lost, {len(self.doubled)} doubled, "
            f"{len(self.invented)} invented"
        )


def judge(history: History, held: Iterable[str]) -> Judgement:
    """Compare what was acknowledged with what is held.

    An operation that ended in `info` or `fail` may be there once: a repeat after a broken connection is allowed to
    find its alert already committed.
    """
    counts = Counter(held)
    return Judgement(
        acknowledged=len(history.acknowledged),
        lost=frozenset(history.acknowledged - counts.keys()),
        doubled=frozenset(key for key, count in counts.items() if count > 1),
        invented=frozenset(counts.keys() - history.outcomes.keys()),
    )
