"""What a person reads at the end of `kubernaut run`: the alert, why it matters, whose fault it is, who was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule

from cli.run.incident import Story
from libs.contracts.alerts import AlertEpisodeDetail
from libs.contracts.causes import Cause
from libs.contracts.evidence import EvidenceItem
from libs.contracts.investigations import Investigation
from libs.contracts.notifications import Notification

SHOWN_EVIDENCE = 6
SHORT = 160
"""Characters of a cause that is not the first: enough to recognise it."""


def write(console: Console, story: Story, *, since: datetime) -> None:
    """Print the report.

    Args:
        since: a message delivered after this was printed as it was delivered, and is not repeated.
    """
    _episode(console, story.episode)
    _causes(console, story.investigation)
    _notification(console, story.notification, since)


def _episode(console: Console, episode: AlertEpisodeDetail) -> None:
    console.print(Rule(f"[bold]{escape(episode.alertname)}[/] is {episode.state.value}", align="left"))
    console.print(
        f"  episode      {episode.id}, since {episode.starts_at:%Y-%m-%d %H:%M:%S} UTC, received {episode.received_count}×"
    )
    console.print(
        f"  target       {escape(str(episode.target)) if episode.target else 'not named by the labels'}"
    )
    reasons = {decision.subject: decision for decision in episode.decisions}
    for subject, value in (("environment", episode.environment), ("priority", episode.priority)):
        decision = reasons.get(subject)
        why = (
            f"  because {decision.reason}" + (f": {decision.detail}" if decision.detail else "")
            if decision
            else ""
        )
        console.print(f"  {subject:12} [bold]{value.value if value else 'undecided'}[/]{escape(why)}")


def _causes(console: Console, investigation: Investigation) -> None:
    results = investigation.results
    ranked = ([results.cause] if results and results.cause else []) + (
        results.contributing if results else []
    )
    label = f"engine: {investigation.engine}" + (
        f", {investigation.degraded_reason}" if investigation.degraded_reason else ""
    )
    console.print(Rule(f"[bold]Root cause[/] ({escape(label)})", align="left"))
    if not ranked:
        console.print(
            f"  none named: {escape((results and results.no_cause_reason) or investigation.summary or 'no reason given')}"
        )
    evidence = {item.id: item for item in results.evidence} if results else {}
    for number, cause in enumerate(ranked, start=1):
        if number == 1:
            _cause(console, cause, evidence)
        else:
            text = cause.text if len(cause.text) <= SHORT else cause.text[:SHORT] + "…"
            said = (
                f"{number}. {cause.target}  {cause.reason}, confidence {cause.confidence.value:.2f}: {text}"
            )
            console.print(Padding(escape(said), (0, 0, 0, 2)))
    for gap in results.not_looked_at if results else ():
        console.print(f"  not looked at: {escape(gap)}")


def _cause(console: Console, cause: Cause, evidence: Mapping[str, EvidenceItem]) -> None:
    console.print(
        f"  1. [bold]{escape(str(cause.target))}[/]  {escape(cause.reason)}  confidence {cause.confidence.value:.2f}"
    )
    console.print(Padding(escape(cause.text), (0, 0, 0, 5)))
    if cause.path:
        console.print(Padding(escape(" → ".join(cause.path)), (0, 0, 0, 5)))
    for item in _cited(cause, evidence):
        console.print(Padding(f"evidence {item.id[:12]}  {escape(item.summary)}", (0, 0, 0, 5)))
    if cause.remediation:
        console.print(Padding(f"do: {escape(cause.remediation.text)}", (0, 0, 0, 5)))
        if cause.remediation.command:
            console.print(Padding(f"[bold]$ {escape(cause.remediation.command)}[/]", (0, 0, 0, 5)))


def _cited(cause: Cause, evidence: Mapping[str, EvidenceItem]) -> Sequence[EvidenceItem]:
    return [evidence[cited] for cited in cause.evidence_ids if cited in evidence][:SHOWN_EVIDENCE]


def _notification(console: Console, notification: Notification, since: datetime) -> None:
    console.print(Rule("[bold]Notification[/]", align="left"))
    for delivery in notification.deliveries:
        when = f" at {delivery.sent_at:%Y-%m-%d %H:%M:%S} UTC" if delivery.sent_at else ""
        mark = " (possible duplicate)" if delivery.possible_duplicate else ""
        to = f"{delivery.channel.value} → {delivery.recipient}"
        console.print(f"  {escape(to)}: {delivery.state.value}{when}{mark}")
    if notification.created_at >= since:
        console.print("  printed above as it was delivered")
    else:
        console.print("  told by an earlier run, and not told again; it said:")
        console.print(Padding(f"[bold]{escape(notification.subject)}[/]", (0, 0, 0, 2)))
        console.print(Padding(escape(notification.body), (0, 0, 0, 2)))
