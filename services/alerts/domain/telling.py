"""Decide what people are told about an incident, and in which words.

Each change is told once. How a message reaches people, and whom, is the notifications service's part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from libs.contracts.alerts import PRIORITY_WORDS, Decision, Priority
from libs.contracts.causes import Cause
from libs.contracts.investigations import Investigation
from libs.contracts.notifications import NotificationRequest
from services.alerts.domain.priority import most_urgent

ONE_LINER = 200
"""Characters of the cause in a subject: what a telephone shows."""
LONG = 300
"""Characters of one alternative or one piece of evidence; all of it is in the API."""
ALTERNATIVES = 3
SHOWN = 12
"""Entries of one list in a message; the rest is in the API."""
_SUBJECT, _BODY = 500, 100_000  # what NotificationRequest takes


class Transition(StrEnum):
    explained = "explained"
    unexplained = "unexplained"
    resolved = "resolved"
    reopened = "reopened"
    raised = "raised"


@dataclass(frozen=True, slots=True)
class EpisodeView:
    id: str
    alertname: str
    severity: str
    state: str
    starts_at: datetime
    summary: str
    priority: Priority
    decisions: Sequence[Decision]
    """The latest one on each subject."""

    def decided(self, subject: str) -> Decision | None:
        return next((one for one in self.decisions if one.subject == subject), None)


@dataclass(frozen=True, slots=True)
class IncidentView:
    """What there is to tell."""

    id: str
    about: str
    """The target, or the key when there is none."""
    episodes: Sequence[EpisodeView]
    investigation: Investigation | None
    why_no_cause: str | None
    update: bool
    """Something was told before."""


def after_investigation(
    *, explained: bool, closed: bool, told: Iterable[Transition]
) -> tuple[Transition | None, Decision]:
    """What to tell when an investigation has ended.

    Args:
        closed: the incident is over, which is told by itself; a cause is still news then, none is not.
        told: what this attempt has been told as already.
    """
    before = set(told)
    if explained:
        if Transition.explained in before:
            return None, _decision("nothing", "told-already")
        reason = "later-cause" if Transition.unexplained in before else "cause-found"
        return Transition.explained, _decision("explained", reason)
    if closed or Transition.unexplained in before:
        return None, _decision("nothing", "closed-already" if closed else "told-already")
    return Transition.unexplained, _decision("unexplained", "no-cause-to-be-had")


def after_patience(
    *, ended: bool, closed: bool, told: Iterable[Transition]
) -> tuple[Transition | None, Decision]:
    """What to tell when people have waited long enough: that something is wrong, without a cause."""
    if closed or ended or set(told) & {Transition.explained, Transition.unexplained}:
        return None, _decision("nothing", "closed-already" if closed else "told-already")
    return Transition.unexplained, _decision("unexplained", "patience-over")


def _decision(outcome: str, reason: str) -> Decision:
    return Decision(subject="notification", outcome=outcome, reason=reason)


def compose(view: IncidentView, transition: Transition, round_: int = 1) -> NotificationRequest:
    """The message, frozen from here on: a retry sends the same words.

    Args:
        round_: which time this transition of this incident happens, from 1.
    """
    first = leading(view.episodes)
    priority = most_urgent([episode.priority for episode in view.episodes])
    return NotificationRequest(
        subject=_line(_subject(view, first, priority, transition), _SUBJECT),
        body="\n".join(map(_clean, _body(view, first, priority, transition)))[:_BODY],
        priority=priority,
        episode_id=first.id,
        incident_id=view.id,
        transition=transition.value,
        round=round_,
    )


def leading(episodes: Sequence[EpisodeView]) -> EpisodeView:
    urgency = list(Priority)
    return min(episodes, key=lambda one: (urgency.index(one.priority), one.starts_at, one.id))


def _subject(view: IncidentView, first: EpisodeView, priority: Priority, transition: Transition) -> str:
    more = f" (+{len(view.episodes) - 1})" if len(view.episodes) > 1 else ""
    head = f"[{priority.value}] {first.alertname}{more} on {view.about}"
    match transition:
        case Transition.resolved:
            return f"Resolved: {head}"
        case Transition.reopened:
            return f"Firing again: {head}"
        case Transition.raised:
            return f"More urgent: {head}"
        case Transition.explained:
            cause = _cause(view)
            said = f"{cause.target}: {cause.text}" if cause else _words(view)
            return f"{'Update: ' if view.update else ''}{head}: {_line(said, ONE_LINER)}"
        case Transition.unexplained:
            return f"{head}: no cause found so far"


def _cause(view: IncidentView) -> Cause | None:
    results = view.investigation.results if view.investigation else None
    return results.cause if results else None


def _words(view: IncidentView) -> str:
    return (view.investigation.root_cause or view.investigation.summary) if view.investigation else ""


def _body(
    view: IncidentView, first: EpisodeView, priority: Priority, transition: Transition
) -> Iterable[str]:
    yield from _alerts(view, transition)
    yield ""
    for title, subject in (("Environment", "environment"), ("Priority", "priority"), ("Target", "target")):
        decided = first.decided(subject)
        if decided is not None:
            outcome = (
                f"{priority.value}, {PRIORITY_WORDS[priority]}" if subject == "priority" else decided.outcome
            )
            detail = f" ({decided.detail})" if decided.detail else ""
            yield f"{title}: {outcome}, by {decided.reason}{detail}"
    yield ""
    yield from _explanation(view)
    yield ""
    yield f"Incident {view.id}, episode {first.id}"


def _alerts(view: IncidentView, transition: Transition) -> Iterable[str]:
    if transition is Transition.resolved:
        yield "Every alert of this incident has ended."
    for episode in sorted(view.episodes, key=lambda one: one.starts_at)[:SHOWN]:
        summary = f": {episode.summary}" if episode.summary else ""
        since = episode.starts_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        yield f"{episode.alertname} ({episode.severity}), {episode.state}, since {since}{summary}"
    if len(view.episodes) > SHOWN:
        yield f"… and {len(view.episodes) - SHOWN} more"


def _explanation(view: IncidentView) -> Iterable[str]:
    investigation = view.investigation
    cause = _cause(view)
    if cause is not None:
        yield from _of_cause(cause)
    elif _words(view) and view.why_no_cause is None:
        yield f"Cause, in the engine's words: {_words(view)}"
    else:
        yield f"No cause is named: {view.why_no_cause or 'no investigation has ended yet'}"
    if investigation is None:
        return
    results = investigation.results
    if results is not None:
        if results.contributing:
            yield "Also considered:"
            yield from (
                f"  - {other.target}: {other.reason}, confidence {other.confidence.value:.2f}: "
                f"{_line(other.text, LONG)}"
                for other in results.contributing[:ALTERNATIVES]
            )
        cited = [item for item in results.evidence if cause is None or item.id in cause.evidence_ids]
        yield from _list("Evidence:", [f"[{item.id}] {_line(item.summary, LONG)}" for item in cited])
        yield from _list("Not looked at:", results.not_looked_at)
    because = f" ({investigation.degraded_reason})" if investigation.degraded_reason else ""
    yield f"Engine: {investigation.engine or 'none'}{because}"


def _of_cause(cause: Cause) -> Iterable[str]:
    yield f"Cause: {cause.target}: {cause.reason}, confidence {cause.confidence.value:.2f}"
    yield f"  {cause.text}"
    yield from (f"  because {fact}" for fact in cause.confidence.basis[:SHOWN])
    if cause.path:
        yield f"  path: {' → '.join(cause.path[:SHOWN])}"
    remedy = cause.remediation
    if remedy is not None:
        yield f"What to do: {remedy.text}"
        for title, said in (("command", remedy.command), ("risk", remedy.risk), ("undo", remedy.undo)):
            if said:
                yield f"  {title}: {said}"


def _list(title: str, entries: Sequence[str]) -> Iterable[str]:
    if not entries:
        return
    yield title
    yield from (f"  - {entry}" for entry in entries[:SHOWN])
    if len(entries) > SHOWN:
        yield f"  … and {len(entries) - SHOWN} more"


def _line(text: str, longest: int) -> str:
    """One printable line: what goes into a mail header or onto a terminal carries no control characters."""
    line = " ".join(_clean(text).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _clean(text: str) -> str:
    """No line breaks either: a label with one could add a cause of its own to the message."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
