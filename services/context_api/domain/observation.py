"""What an analyzer says: something is wrong with (or was changed about) one object.

Pure values. `causality.py` decides which observation explains which; `triage.py` turns them into the
wire's findings and causes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from libs.contracts.causes import FindingSeverity, Remediation
from libs.contracts.evidence import EvidenceKind
from services.context_api.domain.evidence import Fact
from services.context_api.domain.snapshot import KubeObject

AGAINST = "against it: "
"""How a sentence of a basis begins that speaks against the observation."""


class Depth(IntEnum):
    """How near to a cause an observation is by its nature; deeper explains shallower on one object."""

    symptom = 0
    """Something is unavailable: replicas missing, no endpoints, rollout stuck."""
    process = 1
    """A process does not live or answer: crash loop, failing probe."""
    mechanism = 2
    """Why it does not: killed for memory, image not there, key missing, no node fits, quota."""
    change = 3
    """What somebody changed just before."""


@dataclass(frozen=True, slots=True)
class Blame:
    """An object that may be why, as the observed one sees it."""

    on: KubeObject
    strength: float
    """0–1: how surely a fault there would explain this here."""
    why: str


@dataclass(frozen=True, slots=True)
class Explains:
    """Another object whose observations this one accounts for."""

    about: KubeObject
    strength: float
    why: str
    deepest: Depth = Depth.mechanism
    """Observations deeper than this are left alone: a full quota is not explained by an edited ConfigMap."""
    reasons: frozenset[str] | None = None
    """Only observations with these reasons; None means any."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One thing seen about one object."""

    about: KubeObject
    reason: str
    text: str
    severity: FindingSeverity
    analyzer: str
    depth: Depth
    certainty: float
    """0–1: how surely the reason is right, given what was seen."""
    facts: tuple[Fact, ...]
    basis: tuple[str, ...] = ()
    """What the certainty rests on, in short sentences; what speaks against it begins with `AGAINST`."""
    onset: datetime | None = None
    remediation: Remediation | None = None
    blames: tuple[Blame, ...] = ()
    explains: tuple[Explains, ...] = ()
    latent: bool = False
    """Harmless alone; counts only when it explains something or the alert is about this object."""

    @property
    def measured(self) -> bool:
        """Whether a recorded metric is what it was seen by: then it is true of the time of the alert."""
        return any(fact.kind is EvidenceKind.metric for fact in self.facts)

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """Stable order and identity."""
        return (self.about.namespace or "", self.about.kind, self.about.name, self.reason, self.text)
