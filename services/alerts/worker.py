"""The background work: which tasks there are, on which queue, how often they are tried."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from libs.clients import ContextClient, HolmesClient, NotificationsClient
from libs.jobs import Jobs, Retry
from libs.logs import get_logger
from libs.storage import StorageUnavailable
from services.alerts.adapters.inbox import DRAIN
from services.alerts.adapters.incidents import TELL
from services.alerts.adapters.record import Record
from services.alerts.domain.episodes import Change
from services.alerts.settings import AlertsSettings
from services.alerts.steps.age import Age
from services.alerts.steps.attach import INVESTIGATE, PATIENCE, REKEY, Attach, Resolver
from services.alerts.steps.drain import ATTACH, SETTLE, Drain
from services.alerts.steps.investigate import FOLLOW, Follow, Investigate, Patience
from services.alerts.steps.rekey import Rekey
from services.alerts.steps.settle import Settle
from services.alerts.steps.tell import Tell

INGEST, STEPS = "ingest", "steps"

# Before all steps: in a storm thousands of those wait, and what was acknowledged is to be seen in seconds.
_FIRST = 10

# An acknowledged alert is never given up; a fault that lasts is seen in the logs and in jobs_total.
_FOR_EVER = Retry(attempts=None, longest=timedelta(minutes=1))


@dataclass(frozen=True, slots=True)
class Peers:
    context: ContextClient
    holmes: HolmesClient
    notifications: NotificationsClient


@dataclass(frozen=True, slots=True)
class Watchers:
    """Who is told what happened, for metrics."""

    changes: Callable[[Sequence[Change]], None]
    aged: Callable[[int], None]


def declare(jobs: Jobs) -> None:
    """What the API defers and does not run."""
    jobs.declare(DRAIN, INGEST, priority=_FIRST)


def register(jobs: Jobs, record: Record, peers: Peers, settings: AlertsSettings, watchers: Watchers) -> Age:
    """Register every task; returns the step that is run by the clock instead."""
    policy, inquiry = settings.policy(), settings.inquiry_policy()
    resolver = Resolver(peers.context, settings.context_deadline)
    deadline = settings.peer_deadline
    drain = Drain(record, policy, settings.drain_batch, watchers.changes)
    jobs.task(DRAIN, INGEST, drain, retry=_FOR_EVER, max_run=timedelta(minutes=2), priority=_FIRST)
    steps: dict[str, Callable[..., Awaitable[None]]] = {
        ATTACH: Attach(
            record,
            resolver,
            policy,
            inquiry,
            settings.investigation_patience,
            settings.incident_reopen_within,
        ),
        REKEY: Rekey(record, resolver, policy, inquiry, settings.rekey_give_up),
        INVESTIGATE: Investigate(record, peers.holmes, inquiry, deadline),
        FOLLOW: Follow(record, peers.holmes, inquiry, deadline),
        PATIENCE: Patience(record),
        TELL: Tell(record, peers.notifications, deadline, settings.notification_give_up),
        SETTLE: Settle(record),
    }
    for name, step in steps.items():
        jobs.task(name, STEPS, step, retry=_FOR_EVER)
    return Age(
        record, settings.episode_max_silence, settings.episode_grace, settings.episode_keep, watchers.aged
    )


async def run_worker(jobs: Jobs, age: Age, settings: AlertsSettings, stop: asyncio.Event) -> None:
    """Run jobs and look for silent episodes until `stop`."""
    ageing = asyncio.create_task(_regularly(age, settings.ageing_every, stop), name="ageing")
    try:
        await jobs.run_worker(stop)
    finally:
        ageing.cancel()
        await asyncio.wait({ageing})


async def _regularly(step: Callable[[], Awaitable[None]], every: timedelta, stop: asyncio.Event) -> None:
    """Again and again; a failed round is logged and the next one comes all the same."""
    while not stop.is_set():
        try:
            await step()
        except StorageUnavailable as error:
            get_logger(__name__).warning("ageing-postponed", reason=error.reason)
        except Exception:
            get_logger(__name__).exception("ageing-failed")
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), every.total_seconds())
