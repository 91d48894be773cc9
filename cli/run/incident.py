"""Posts the bundled incident's webhook and follows it to the delivered notification.

It is a caller like any other: what it reports it read from the services' public routes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import ValidationError

from libs.clients.alerts import AlertsClient
from libs.clients.errors import PeerRefused, PeerUnavailable
from libs.clients.holmesgpt import HolmesClient
from libs.clients.notifications import NotificationsClient
from libs.contracts.alerts import AlertEpisodeDetail, AlertmanagerAlert, AlertmanagerWebhook, TimelineEntry
from libs.contracts.investigations import Investigation, InvestigationStatus
from libs.contracts.notifications import Notification

TENANT = "default"
CALL = timedelta(seconds=10)
PAUSE_S = 0.1
ENDED = frozenset({"sent", "partially_sent", "failed"})


class StepFailed(Exception):
    """The main job stopped at a step."""

    def __init__(self, step: str, detail: str) -> None:
        super().__init__(f"{step}: {detail}")


@dataclass(frozen=True, slots=True)
class Story:
    """What became of the alert, as the services tell it."""

    episode: AlertEpisodeDetail
    investigation: Investigation
    notification: Notification


@dataclass(frozen=True, slots=True)
class Services:
    """What a caller needs to follow an alert."""

    webhook: AlertsClient
    """With Alertmanager's credential, which may deliver alerts and nothing else."""
    alerts: AlertsClient
    holmesgpt: HolmesClient
    notifications: NotificationsClient


async def follow(body: Path, services: Services, *, say: Callable[[str], None], within_s: float) -> Story:
    """Post the webhook and wait until people have been told.

    Args:
        say: called with each step as it happens.
        within_s: for everything together.

    Raises:
        StepFailed: a step was refused, failed, or not reached in time; names it.
    """
    ends = time.monotonic() + within_s
    alert, content = _read(body)
    try:
        receipt = await services.webhook.send_webhook(content, tenant=TENANT, deadline=CALL)
        say(f"webhook acknowledged: {receipt.accepted} alert(s) committed, {receipt.rejected} rejected")
        episode = await _explained(alert, services.alerts, say=say, ends=ends)
        investigation = await _investigation(episode, services.holmesgpt)
        notification = await _told(episode, services.notifications, ends=ends)
    except (PeerUnavailable, PeerRefused) as error:
        raise StepFailed("call", str(error)) from error
    say(f"notification {notification.status}")
    # Read once more: the timeline now ends with the notification.
    episode = await services.alerts.get(episode.id, tenant=TENANT, deadline=CALL)
    return Story(episode, investigation, notification)


def _read(body: Path) -> tuple[AlertmanagerAlert, bytes]:
    try:
        content = body.read_bytes()
        alerts = AlertmanagerWebhook.model_validate_json(content).alerts
    except (OSError, ValidationError) as error:
        raise StepFailed("read the incident", f"{body}: {error}") from error
    if not alerts:
        raise StepFailed("read the incident", f"{body} holds no alert")
    return alerts[0], content


async def _explained(
    alert: AlertmanagerAlert, alerts: AlertsClient, *, say: Callable[[str], None], ends: float
) -> AlertEpisodeDetail:
    """Follow the episode's timeline until its incident has been told to somebody."""
    told = 0
    episode: AlertEpisodeDetail | None = None
    while time.monotonic() < ends:
        if episode is None:
            found = await _find(alert, alerts)
            if found is None:
                await asyncio.sleep(PAUSE_S)
                continue
            episode_id = found
        episode = await alerts.get(episode_id, tenant=TENANT, deadline=CALL)
        for entry in episode.timeline[told:]:
            say(_line(entry))
        told = len(episode.timeline)
        if episode.incident and episode.incident.notification_ids:
            return episode
        await asyncio.sleep(PAUSE_S)
    last = episode.timeline[-1].event if episode and episode.timeline else "the alert is not listed yet"
    raise StepFailed("follow the episode", f"nobody was told in time; last: {last}")


def _line(entry: TimelineEntry) -> str:
    decision = entry.decision
    if decision is not None:
        return f"{decision.subject}: {decision.outcome}, because {decision.detail or decision.reason}"
    return f"{entry.event}: {entry.detail}" if entry.detail else entry.event


async def _find(alert: AlertmanagerAlert, alerts: AlertsClient) -> str | None:
    filters = {"alertname": alert.labels.get("alertname", "")}
    page = await alerts.list(filters=filters, tenant=TENANT, deadline=CALL)
    same = (e for e in page.items if e.labels == alert.labels and e.starts_at == alert.starts_at)
    return next((e.id for e in same), None)


async def _investigation(episode: AlertEpisodeDetail, holmesgpt: HolmesClient) -> Investigation:
    asked = episode.investigation_id or (episode.incident and episode.incident.investigation_id)
    if not asked:
        raise StepFailed("investigate", "people were told, but no investigation was made")
    investigation = await holmesgpt.get(asked, tenant=TENANT, deadline=CALL)
    if investigation.status is not InvestigationStatus.completed:
        raise StepFailed("investigate", investigation.error or f"it is {investigation.status.value}")
    return investigation


async def _told(
    episode: AlertEpisodeDetail, notifications: NotificationsClient, *, ends: float
) -> Notification:
    newest = episode.incident.notification_ids[-1] if episode.incident else ""
    while True:
        notification = await notifications.get(newest, tenant=TENANT, deadline=CALL)
        if notification.status in ENDED:
            break
        if time.monotonic() > ends:
            raise StepFailed("notify", f"the notification is still {notification.status}")
        await asyncio.sleep(PAUSE_S)
    if notification.status != "sent":
        reasons = "; ".join(f"{d.channel.value}: {d.error}" for d in notification.deliveries if d.error)
        raise StepFailed("notify", f"{notification.status}: {reasons or 'no channel took it'}")
    return notification
