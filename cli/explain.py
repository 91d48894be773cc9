"""`kubernaut explain`: every decision about an alert, in the order they were taken, each with its reason."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.text import Text

from cli.call import PATIENCE, TENANT, NoAnswer, ask, complain
from cli.triage_text import readable
from libs.clients.alerts import AlertsClient
from libs.clients.errors import PeerRefused
from libs.contracts.alerts import AlertEpisodeDetail, Decision, IncidentSummary

EXPLAINED, UNKNOWN = 0, 1


def main(alert: str, *, url: str | None, as_json: bool) -> int:
    """Find, print; returns the exit code."""

    async def look(alerts: AlertsClient) -> AlertEpisodeDetail | None:
        return await find(alerts, alert)

    try:
        episode = ask(url, look)
    except NoAnswer as error:
        complain("explain", str(error))
        return UNKNOWN
    if episode is None:
        complain("explain", f"no alert has the id or the name {alert!r}")
        return UNKNOWN
    if as_json:
        print(episode.model_dump_json(indent=2))
    else:
        write(episode, Console(file=sys.stdout, highlight=False))
    return EXPLAINED


async def find(alerts: AlertsClient, wanted: str) -> AlertEpisodeDetail | None:
    """The episode of that id, else the newest one of an alert of that name."""
    try:
        return await alerts.get(wanted, tenant=TENANT, deadline=PATIENCE)
    except PeerRefused as error:
        if error.status not in (404, 422):
            raise
    page = await alerts.list(filters={"alertname": wanted, "limit": "1"}, tenant=TENANT, deadline=PATIENCE)
    if not page.items:
        return None
    return await alerts.get(page.items[0].id, tenant=TENANT, deadline=PATIENCE)


def write(episode: AlertEpisodeDetail, console: Console) -> None:
    """Who and since when; what was decided; what happened; whose fault it is."""
    _line(console, f"{episode.alertname} is {episode.state.value}", "bold")
    _line(console, f"  episode   {episode.id}")
    _line(
        console, f"  since     {episode.starts_at:%Y-%m-%d %H:%M:%S} UTC, received {episode.received_count}×"
    )
    if episode.target:
        _line(console, f"  target    {episode.target}")
    _line(console, "Decisions", "bold")
    for decision in episode.decisions:
        _line(console, f"  {_decided(decision)}")
    _line(console, "What happened", "bold")
    for entry in episode.timeline:
        # A decision says its own detail.
        said = _decided(entry.decision) if entry.decision else entry.detail
        _line(console, f"  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.event}{f': {said}' if said else ''}")
    if episode.incident:
        _incident(console, episode.incident)


def _incident(console: Console, incident: IncidentSummary) -> None:
    _line(console, f"Incident {incident.id} is {incident.status}", "bold")
    if incident.engine:
        degraded = f" ({incident.degraded_reason})" if incident.degraded_reason else ""
        _line(console, f"  explained by {incident.engine}{degraded}")
    for number, cause in enumerate(incident.causes, start=1):
        _line(console, f"  {number}. {cause.target}  {cause.reason}, {cause.confidence.value:.0%} sure")
        _line(console, f"     {cause.text}")
        if cause.remediation and cause.remediation.command:
            _line(console, f"     $ {cause.remediation.command}")
    for notification in incident.notification_ids:
        _line(console, f"  told by notification {notification}")


def _decided(decision: Decision) -> str:
    detail = f" ({decision.detail})" if decision.detail else ""
    return f"{decision.subject}: {decision.outcome}, because {decision.reason}{detail}"


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(readable(text), style=style), soft_wrap=True)
