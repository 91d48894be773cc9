"""What an incident of the corpus says of itself: what happened, what is asked, and what a person would answer.

The answer is written in the world's words and not in the product's: objects by name, and facts that the first
cause's text has to state. So an incident can be written by somebody who never saw an analyzer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

RECORDINGS = Path(__file__).resolve().parent / "recordings"


class Half(StrEnum):
    """Which part of the corpus it is counted with."""

    tuned = "tuned"
    """The analyzers may be improved until it is right."""
    blind = "blind"
    """Written from upstream documentation and post-mortems, without sight of the analyzers; never tuned on."""


class Trait(StrEnum):
    """What makes it hard."""

    innocent = "innocent"
    """The alerting object is not at fault."""
    false_narrative = "false-narrative"
    """Somebody's text claims another cause."""
    healthy = "healthy"
    """Nothing is wrong, or no longer."""
    two_faults = "two-faults"
    """A second, unrelated fault is there at the same time."""
    metrics_only = "metrics-only"
    """Every object looks well."""


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident and its answer. Objects are written KIND/NAMESPACE/NAME, with `_cluster` for no namespace.

    In `labels`, `causes`, `innocent` and `second`, `{pod:NAMESPACE/PREFIX}` stands for the name of the first pod
    (by name) whose name begins so, as it was recorded.
    """

    title: str
    """One sentence, as it would head a post-mortem."""
    half: Half
    labels: Mapping[str, str]
    """The alert's, as Prometheus would send them; `alertname` at least."""
    story: str = ""
    """Who did what, and what followed."""
    sources: Sequence[str] = ()
    """Upstream documentation or post-mortems that it rests on."""
    causes: Sequence[str] = ()
    """Objects a person would call the cause; the best one first. Empty when there is none to name."""
    says: Sequence[Sequence[str]] = ()
    """Facts the first cause's text must state: of each group at least one, in any case."""
    innocent: Sequence[str] = ()
    """Objects that must never be named first."""
    second: Sequence[str] = ()
    """The other fault's objects: expected among the first three when the whole cluster is asked about."""
    no_cause: str = ""
    """`nothing-wrong`, `already-recovered` or `insufficient-evidence` where no cause may be named."""
    traits: frozenset[Trait] = frozenset()
    authored: Sequence[str] = ()
    """What the script wrote in the place of a controller that does not run on the test bed, e.g. `argocd status`."""
    annotations: Mapping[str, str] | None = None
    """The alert's."""

    def __post_init__(self) -> None:
        healthy = Trait.healthy in self.traits
        if bool(self.no_cause) == bool(self.causes) or healthy != (self.no_cause in _HEALTHY):
            raise ValueError(f"{self.title}: name a cause or say why there is none")
        if self.causes and not self.says:
            raise ValueError(f"{self.title}: say which facts its cause must state")
        if "alertname" not in self.labels:
            raise ValueError(f"{self.title}: an alert has a name")

    @property
    def kind(self) -> str:
        """`authored` where a controller that matters was played by the script."""
        return "authored" if self.authored else "played"


_HEALTHY = ("nothing-wrong", "already-recovered")
