"""Known findings that somebody does not want to hear of again until a day they named.

Decides whether an observation is muted. A muted one is as good as not seen: it is no candidate, explains nothing and
is no finding. It is never silently gone: every answer says what was muted, until when and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from libs.contracts.target import CLUSTER_SCOPE
from services.context_api.domain.observation import Observation
from services.context_api.domain.wording import clock


@dataclass(frozen=True, slots=True)
class Mute:
    """One object and one reason; in each part `*` stands for any text. Like an Alertmanager silence it always ends."""

    kind: str
    namespace: str
    """`_cluster` for objects that have none."""
    name: str
    reason: str
    until: datetime
    comment: str = ""

    def covers(self, seen: Observation, now: datetime) -> bool:
        about = seen.about
        parts = (
            (about.kind.casefold(), self.kind.casefold()),
            (about.namespace or CLUSTER_SCOPE, self.namespace),
            (about.name, self.name),
            (seen.reason, self.reason),
        )
        return now < self.until and all(fnmatchcase(text, pattern) for text, pattern in parts)


Mutes = Sequence[Mute]


def apart(seen: Sequence[Observation], mutes: Mutes, now: datetime) -> tuple[list[Observation], list[str]]:
    """What may be told, and one sentence for each that is muted. `now` is the snapshot's, as everywhere in triage."""
    told: list[Observation] = []
    muted: dict[str, None] = {}
    for one in seen:
        mute = next((mute for mute in mutes if mute.covers(one, now)), None)
        if mute is None:
            told.append(one)
        elif not one.latent:
            why = f": {mute.comment}" if mute.comment else ""
            muted[f"{one.about}: {one.reason}, until {clock(mute.until)}{why}"] = None
    return told, list(muted)
