"""Merge what was said about alerts into episodes, whatever order it arrived in.

An episode is one firing of one alert: tenant, fingerprint, `starts_at`. Newer `starts_at` is a new
episode; at equal `starts_at` resolved beats firing; older ones are history only. Merging is commutative,
associative and idempotent, so repeats, copies and disorder do not matter. Counting deliveries and
writing things down are left to others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

import msgspec

from services.alerts.domain.identity import episode_id

_encode = msgspec.json.Encoder(order="deterministic").encode

Series = tuple[str, str]
"""Tenant and fingerprint: one alert, over all its firings."""

Key = tuple[str, str, datetime]
"""A series and `starts_at`: one firing."""


class State(StrEnum):
    firing = "firing"
    resolved = "resolved"
    expired = "expired"


@dataclass(frozen=True, slots=True)
class Episode:
    """Everything that was ever said about one firing. `expired` is our inference, never part of a merge."""

    tenant: str
    fingerprint: str
    starts_at: datetime
    resolved: bool
    ends_at: datetime | None
    first_seen: datetime
    last_seen: datetime
    receiver: str
    labels: dict[str, str]
    annotations: dict[str, str]
    generator_url: str

    @property
    def id(self) -> str:
        return episode_id(self.tenant, self.fingerprint, self.starts_at)

    @property
    def series(self) -> Series:
        return self.tenant, self.fingerprint

    @property
    def key(self) -> Key:
        return self.tenant, self.fingerprint, self.starts_at


def merge(one: Episode, other: Episode) -> Episode:
    """What both say about the same firing.

    Each field is the greater of the two in a total order, which is what makes the merge commutative,
    associative and idempotent. Text comes from the newer saying, ties broken by content.
    """
    if one.key != other.key:
        raise ValueError("two different episodes cannot be merged")
    ending = max(one, other, key=_ending)
    text = one if one.last_seen > other.last_seen else other
    if one.last_seen == other.last_seen:
        text = max(one, other, key=_text)
    return replace(
        text,
        resolved=ending.resolved,
        ends_at=ending.ends_at,
        first_seen=min(one.first_seen, other.first_seen),
        last_seen=max(one.last_seen, other.last_seen),
    )


def _ending(episode: Episode) -> tuple[bool, bool, float]:
    ends = episode.ends_at
    return episode.resolved, ends is not None, ends.timestamp() if ends else 0.0


def _text(episode: Episode) -> bytes:
    return _encode((episode.labels, episode.annotations, episode.generator_url, episode.receiver))


def merge_all(sayings: Iterable[Episode]) -> dict[Key, Episode]:
    """All sayings, merged by episode; the order they come in does not matter."""
    merged: dict[Key, Episode] = {}
    for saying in sayings:
        known = merged.get(saying.key)
        merged[saying.key] = saying if known is None else merge(known, saying)
    return merged


class Event(StrEnum):
    """What a saying changed; the words of the timeline."""

    fired = "fired"
    resolved = "resolved"
    repeated = "repeated"
    reopened = "reopened"
    superseded = "superseded"
    history = "history"


@dataclass(frozen=True, slots=True)
class Known:
    """An episode as it stands in the record, with what we inferred."""

    episode: Episode
    state: State


@dataclass(frozen=True, slots=True)
class Change:
    """An episode after a saying, what that changed, and why."""

    episode: Episode
    state: State
    event: Event
    reason: str
    is_new: bool


def changes(
    sayings: Iterable[Episode], known: Mapping[Key, Known], newest: Mapping[Series, datetime]
) -> list[Change]:
    """What a batch of sayings changes, at most one change per episode.

    Args:
        known: recorded episodes: those spoken of, and all of the same alerts that still fire.
        newest: `starts_at` of each alert's newest episode, this batch included.
    """
    said = merge_all(sayings)
    found = [_apply(known.get(key), saying, newest[saying.series]) for key, saying in said.items()]
    found += [
        Change(one.episode, State.expired, Event.superseded, "a-newer-episode-began", is_new=False)
        for key, one in known.items()
        if key not in said
        and one.state is State.firing
        and one.episode.starts_at < newest[one.episode.series]
    ]
    return found


def _apply(known: Known | None, said: Episode, newest: datetime) -> Change:
    merged = merge(known.episode, said) if known else said
    is_new = known is None
    if merged.starts_at < newest:
        return _as_history(known, merged)
    if merged.resolved:
        if known and known.state is State.resolved:
            reason = "resolved-beats-firing" if not said.resolved else "same-news"
            return Change(merged, State.resolved, Event.repeated, reason, is_new)
        reason = "sender-resolved" if known else "resolved-without-being-seen-firing"
        return Change(merged, State.resolved, Event.resolved, reason, is_new)
    if known is None:
        return Change(merged, State.firing, Event.fired, "new-starts-at", is_new)
    if known.state is State.expired:
        return Change(merged, State.firing, Event.reopened, "fires-after-we-took-it-for-ended", is_new)
    return Change(merged, State.firing, Event.repeated, "same-news", is_new)


def _as_history(known: Known | None, merged: Episode) -> Change:
    """A newer firing is known, so this one has ended, whether or not anybody said so."""
    state = State.resolved if merged.resolved else State.expired
    return Change(merged, state, Event.history, "older-than-the-newest-episode", known is None)
