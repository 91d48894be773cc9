"""How much an earlier episode of an alert is like this one, by its labels and the object it was about. Pure.

The share of what two firings say that both say (Jaccard): each label with its value, and the object. Labels that
name one replica are left out, as the next firing is about another replica of the same; so is what names the alert
itself, as only episodes of the same alert are compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.contracts.alerts import AlertEpisode
from libs.contracts.target import Target

OF_ONE_REPLICA = frozenset(
    {"pod", "pod_name", "pod_ip", "exported_pod", "instance", "exported_instance", "endpoint", "uid", "container_id", "id"}
)  # fmt: skip
SAID_ALREADY = frozenset({"alertname"})

Said = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Alike:
    """An episode, how much it is like the alert (1: in all that is compared), and what differs."""

    episode: AlertEpisode
    similarity: float
    why: str


def alike(
    labels: Mapping[str, str], target: Target | None, episodes: Sequence[AlertEpisode], *, at_least: float
) -> list[Alike]:
    """The episodes that are at least so much like the alert, the most alike first, then the newest."""
    ours = _said(labels, target)
    found = [_compared(ours, one) for one in episodes]
    return sorted(
        (one for one in found if one.similarity >= at_least),
        key=lambda one: (-one.similarity, -one.episode.starts_at.timestamp()),
    )


def _compared(ours: Said, episode: AlertEpisode) -> Alike:
    theirs = _said(episode.labels, episode.target)
    either = ours | theirs
    similarity = round(len(ours & theirs) / len(either), 3) if either else 1.0
    other = sorted({name for name, _ in ours ^ theirs})
    return Alike(
        episode, similarity, f"differs in {', '.join(other[:5])}" if other else "same labels and object"
    )


def _said(labels: Mapping[str, str], target: Target | None) -> Said:
    kept = {
        (name, value)
        for name, value in labels.items()
        if name not in OF_ONE_REPLICA and name not in SAID_ALREADY
    }
    return frozenset(kept | ({("the object", str(target))} if target is not None else set()))
