"""How current what the watching cache holds is, and what of that is said in an answer.

Pure. A watch that is being renewed is no news; one that is broken is, with the time up to which it had told all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.context_api.adapters.live.feed import Feed, Phase
from services.context_api.domain.snapshot import NotRead

GRACE = timedelta(seconds=5)
"""A watch that is broken for no longer than this is not mentioned: the next one has told what happened by then."""

Say = Callable[[float], str]
"""A moment of our clock in the server's time, as people read it."""


@dataclass(frozen=True, slots=True)
class Standing:
    usable: Sequence[Feed]
    """Whose objects may still speak for the cluster."""
    gaps: Sequence[NotRead]
    behind: int
    """Lists that are out of date, or too old to be used."""
    quietest: float | None
    """Seconds since the server's last word about the list that was silent for longest; None when nothing is there."""
    quietest_what: str = ""


def standing_of(
    feeds: Iterable[Feed], now: float, *, stale_limit: timedelta, poll: timedelta, say: Say
) -> Standing:
    """What of the lists is used, and what is said of the others.

    Args:
        stale_limit: for so long a list that is behind is used, with its age said; then it is named as not read.
        poll: how often lists that cannot be watched are listed.
    """
    usable: list[Feed] = []
    gaps: list[NotRead] = []
    behind = 0
    quietest, what = None, ""
    for feed in feeds:
        gap = _gap(feed, now, stale_limit, poll, say)
        if gap is not None:
            gaps.append(gap)
            behind += feed.phase in (Phase.behind, Phase.polled)
        if _is_usable(feed, now, stale_limit):
            usable.append(feed)
            gaps += feed.gaps
            if feed.table.cut:
                gaps.append(
                    NotRead(f"some of {feed.what}", "left out: the cache is full (EVIDENCE_CACHE_BYTES)")
                )
            silent = now - feed.heard if feed.heard is not None else None
            if silent is not None and (quietest is None or silent > quietest):
                quietest, what = silent, feed.what
    return Standing(usable, gaps, behind, quietest, what)


def _is_usable(feed: Feed, now: float, stale_limit: timedelta) -> bool:
    if feed.phase in (Phase.begins, Phase.refused):
        return False
    return feed.as_of is None or now - feed.as_of <= stale_limit.total_seconds()


def _gap(feed: Feed, now: float, stale_limit: timedelta, poll: timedelta, say: Say) -> NotRead | None:
    """What is said of one list, when something is."""
    if feed.phase is Phase.begins:
        return NotRead(feed.what, feed.trouble or "being read for the first time")
    if feed.phase is Phase.refused:
        return NotRead(feed.what, feed.trouble)
    if feed.as_of is None:
        return None
    age = timedelta(seconds=now - feed.as_of)
    why = feed.trouble or "its watch has ended"
    if age > stale_limit:
        return NotRead(feed.what, f"{why}; what is there is as of {say(feed.as_of)}, and too old to be used")
    allowed = 2 * poll if feed.phase is Phase.polled else GRACE
    return (
        NotRead(f"{feed.what} as they are now", f"{why}; this is as of {say(feed.as_of)}")
        if age > allowed
        else None
    )
