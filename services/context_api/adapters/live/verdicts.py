"""What to do when a list or a watch has ended: go on, look first, or list everything anew; and when.

Pure: each decision is a function of what happened, and names its reason, which is also the metric's label.
Source: kubernetes.io/docs, "Kubernetes API Concepts" (efficient detection of changes, resource versions).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from services.context_api.adapters.live.errors import Why


class Next(StrEnum):
    watch = "watch"
    """From the version that is known: nothing is missed, the server keeps the last minutes' changes."""
    check = "check"
    """Ask for the collection's version first: after a silence or a restart it may be another store's."""
    list = "list"
    """Everything anew. What is there is served meanwhile, and replaced at once."""


class Reason(StrEnum):
    first = "first"
    listed = "listed"
    ended = "ended"
    """The server ends every watch after a while."""
    same_store = "same_store"
    expired = "expired"
    """410: the changes since our version are no longer kept."""
    went_back = "went_back"
    """The server told a version older than ours: its store was put back to an earlier state."""
    error_event = "error_event"
    silent = "silent"
    broken = "broken"
    unreachable = "unreachable"
    slow = "slow"
    overloaded = "overloaded"
    unauthorized = "unauthorized"
    forbidden = "forbidden"
    missing = "missing"
    refused = "refused"
    large = "large"
    garbled = "garbled"
    polled = "polled"
    """It cannot be watched, so it is listed again and again."""
    room = "room"
    """Objects had been left out for want of room, and there is some again."""
    fault = "fault"
    """A mistake of ours; logged with its trace."""


class Pause(StrEnum):
    none = "none"
    backoff = "backoff"
    """Longer with each failure in a row; see `backoff`."""
    poll = "poll"
    long = "long"
    """What is refused stays refused until a person changes it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    next: Next
    reason: Reason
    pause: Pause
    failed: bool = False
    """Counts for the pause after the next failure."""


@dataclass(frozen=True, slots=True)
class Pauses:
    first: timedelta = timedelta(milliseconds=500)
    most: timedelta = timedelta(seconds=30)
    poll: timedelta = timedelta(minutes=1)
    long: timedelta = timedelta(minutes=5)


STEADY = timedelta(seconds=10)
"""A watch this long ends a row of failures; and one shorter than a second that brought nothing is a failure itself."""

SHORT = timedelta(seconds=1)

SILENCE = timedelta(seconds=150)
"""The API server sends a bookmark about every minute, where it sends any. Two missed and half of a third is no
pause any more."""

_OF_WHY = {
    Why.expired: Verdict(Next.list, Reason.expired, Pause.none, failed=True),
    Why.silent: Verdict(Next.check, Reason.silent, Pause.none, failed=True),
    Why.unreachable: Verdict(Next.check, Reason.unreachable, Pause.backoff, failed=True),
    Why.broken: Verdict(Next.check, Reason.broken, Pause.backoff, failed=True),
    Why.slow: Verdict(Next.check, Reason.slow, Pause.backoff, failed=True),
    Why.overloaded: Verdict(Next.watch, Reason.overloaded, Pause.backoff, failed=True),
    Why.unauthorized: Verdict(Next.check, Reason.unauthorized, Pause.backoff, failed=True),
    # It may be listed and not watched: some accounts may, and some servers of their own API can do no more.
    Why.forbidden: Verdict(Next.list, Reason.forbidden, Pause.poll),
    Why.missing: Verdict(Next.list, Reason.missing, Pause.poll),
    Why.refused: Verdict(Next.list, Reason.refused, Pause.backoff, failed=True),
    Why.large: Verdict(Next.list, Reason.large, Pause.backoff, failed=True),
    Why.garbled: Verdict(Next.list, Reason.garbled, Pause.backoff, failed=True),
    Why.went_back: Verdict(Next.list, Reason.went_back, Pause.none, failed=True),
    Why.error_event: Verdict(Next.list, Reason.error_event, Pause.backoff, failed=True),
}


def watch_ended(why: Why | None, *, lasted: timedelta, changes: int, failures: int) -> Verdict:
    """What follows a watch.

    Args:
        why: None when the server ended it properly.
        changes: events and bookmarks it brought.
        failures: in a row, before this one.
    """
    if why is None:
        if lasted < SHORT and not changes:
            return Verdict(Next.watch, Reason.ended, Pause.backoff, failed=True)
        return Verdict(Next.watch, Reason.ended, Pause.none)
    verdict = _OF_WHY[why]
    # What is mended at once by listing is not mended by listing twice in a row.
    if verdict.pause is Pause.none and failures:
        return Verdict(verdict.next, verdict.reason, Pause.backoff, failed=True)
    return verdict


def list_ended(why: Why | None, *, watchable: bool, version: int | None) -> Verdict:
    """What follows a list.

    Args:
        why: None when it is whole; `large` when what is there is only its beginning.
        version: the collection's; None when it is not a number, and then there is nothing to watch from.
    """
    if why is None or why is Why.large:
        if not watchable or version is None:
            return Verdict(Next.list, Reason.polled, Pause.poll)
        return Verdict(Next.watch, Reason.listed, Pause.none)
    if why in (Why.forbidden, Why.missing):
        return Verdict(Next.list, Reason(why.value), Pause.long)
    return Verdict(Next.list, Reason(why.value), Pause.backoff, failed=True)


def checked(why: Why | None, *, ours: int | None, told: int | None) -> Verdict:
    """What follows the question for the collection's version."""
    if why is not None:
        if why in (Why.forbidden, Why.missing):
            return Verdict(Next.list, Reason(why.value), Pause.long)
        return Verdict(Next.check, Reason(why.value), Pause.backoff, failed=True)
    if ours is None or told is None or told < ours:
        return Verdict(Next.list, Reason.went_back, Pause.none, failed=True)
    return Verdict(Next.watch, Reason.same_store, Pause.none)


def backoff(failures: int, chance: float, pauses: Pauses) -> timedelta:
    """How long to wait after the n-th failure in a row (from 0): doubled each time, and spread by half either way,
    so that seventy kinds do not come back in the same moment.

    Args:
        chance: 0 ≤ chance < 1.
    """
    whole = min(pauses.most, pauses.first * (1 << min(failures, 16)))
    return whole * (0.5 + chance)


def wait_of(
    verdict: Verdict, failures: int, chance: float, pauses: Pauses, retry_after: timedelta | None
) -> timedelta:
    """How long to wait before what the verdict says; never shorter than the server asked for."""
    match verdict.pause:
        case Pause.none:
            wait = timedelta()
        case Pause.backoff:
            wait = backoff(failures, chance, pauses)
        case Pause.poll:
            wait = pauses.poll * (0.9 + 0.2 * chance)
        case Pause.long:
            wait = pauses.long * (0.9 + 0.2 * chance)
    return max(wait, retry_after or timedelta())


def version_of(text: object) -> int | None:
    """A resource version as a number. Every API server's are, and from 1.35 on they may be compared; a word from
    an API of somebody's own may not."""
    if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) <= 20:
        return int(text) or None
    return None
