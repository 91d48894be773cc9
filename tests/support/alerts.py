"""The alerts service's insides on a real database, with fake peers and a worker that needs no clock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from libs.auth import Principal
from libs.auth.permissions import Permission, Role
from libs.auth.principal import principal_for
from libs.clients import Breaker, ContextClient, HolmesClient, NotificationsClient
from libs.contracts.alerts import AlertEpisodeDetail
from libs.jobs import Jobs
from libs.storage import Database
from services.alerts.adapters.archive import Archive, Filters
from services.alerts.adapters.record import Record
from services.alerts.domain import webhook
from services.alerts.domain.episodes import Change
from services.alerts.domain.identity import idempotency_key
from services.alerts.settings import AlertsSettings
from services.alerts.steps.age import Age
from services.alerts.worker import Peers, Watchers, register
from tests.fakes.peers import FakeContext, FakeHolmes, FakeNotifications
from tests.support.postgres import FreshDatabase

BODIES = Path(__file__).parents[1] / "fixtures" / "alertmanager"


def body(name: str) -> bytes:
    """A recorded webhook body by the beginning of its name."""
    (path,) = BODIES.glob(f"{name}*.json")
    return path.read_bytes()


def an_alert(pod: str = "checkout-1", **changes: Any) -> dict[str, Any]:
    labels = {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": pod, "severity": "critical"}
    return {
        "status": "firing",
        "labels": labels | changes.pop("labels", {}),
        "annotations": {"summary": f"{pod} crashes"},
        "startsAt": "2026-11-21T05:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        **changes,
    }


def resolved(pod: str = "checkout-1", **changes: Any) -> dict[str, Any]:
    return an_alert(pod, **{"status": "resolved", "endsAt": "2026-11-21T05:30:00Z", **changes})


def a_body(*alerts: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({"receiver": "hook", "groupKey": "{}", "alerts": alerts, **changes}).encode()


def a_reader(*namespaces: str, tenant: str = "default") -> Principal:
    return principal_for(
        "reader",
        tenant=tenant,
        roles=[Role.viewer],
        namespaces=namespaces or ("*",),
        method="api-key",
        credential="k1",
    )


@dataclass
class House:
    """Everything behind the routes."""

    database: Database
    jobs: Jobs
    record: Record
    archive: Archive
    age: Age
    context: FakeContext
    holmes: FakeHolmes
    notifications: FakeNotifications
    peers: Peers
    changes: list[Change] = field(default_factory=list)

    async def receive(self, body: bytes, *, tenant: str = "default") -> None:
        """Put a body into the inbox with its drain job, as an acknowledged request does."""
        reading = webhook.read(body, now=datetime.max.replace(tzinfo=UTC) - timedelta(days=2))
        idem = idempotency_key(tenant, reading.receiver, reading.group_key, reading.alerts)
        async with self.record.begin() as work:
            await work.execute(
                "INSERT INTO inbox (idem, tenant, sender, body) VALUES (%s, %s, 'test', %s) "
                "ON CONFLICT (idem) DO UPDATE SET copies = inbox.copies + 1, last_seen = now()",
                (idem, tenant, body),
            )
            work.defer("drain")

    async def work_off(
        self,
        *,
        within: timedelta = timedelta(seconds=30),
        only: str | None = None,
        until: Callable[[], bool] = lambda: False,
        twice: bool = False,
    ) -> list[str]:
        """Run jobs one after another until none falls due within this time; their names, in order.

        Nobody waits: for a job that is due later, everything recorded is made so much older.

        Args:
            until: asked before each job, to stop early.
            twice: run each a second time, as a worker does that died before it could say "done".
        """
        ran: list[str] = []
        while not until():
            async with self.record.begin() as work:
                job = await work.row(
                    "DELETE FROM procrastinate_jobs WHERE id = (SELECT id FROM procrastinate_jobs "
                    "WHERE status = 'todo' AND coalesce(scheduled_at, now()) <= now() + %s "
                    "AND (%s::text IS NULL OR task_name = %s) "
                    "ORDER BY coalesce(scheduled_at, '-infinity'), id LIMIT 1) "
                    "RETURNING task_name, args, greatest(scheduled_at - now(), interval '0') AS ahead",
                    (within, only, only),
                )
            if job is None:
                break
            if job["ahead"]:
                await self.shift_time(job["ahead"])
                within -= job["ahead"]
            for _ in range(2 if twice else 1):
                await self.run(job["task_name"], **job["args"])
            ran.append(job["task_name"])
            assert len(ran) < 1_000, f"there is no end to it: {ran[-5:]}"
        return ran

    async def run(self, task: str, **args: Any) -> None:
        function = self.jobs.tasks[task].function
        assert function is not None
        await function(**args)

    async def episodes(self, reader: Principal | None = None) -> dict[str, AlertEpisodeDetail]:
        """All episodes by id, in full."""
        reader = reader or a_reader()
        page = await self.archive.page(reader, Filters(), after=None, limit=200)
        return {one.id: await self.archive.episode(reader, one.id) for one in page.items}

    async def only_episode(self) -> AlertEpisodeDetail:
        (episode,) = (await self.episodes()).values()
        return episode

    async def rows(self, statement: str, parameters: Any = None) -> list[dict[str, Any]]:
        async with self.record.begin() as work:
            return await work.rows(statement, parameters)

    async def shift_time(self, by: timedelta) -> None:
        """Let everything recorded have happened so much earlier."""
        async with self.record.begin() as work:
            for table, columns in _TIMES.items():
                changes = ", ".join(f"{column} = {column} - %(by)s" for column in columns)
                await work.execute(f"UPDATE {table} SET {changes}", {"by": by})


_TIMES = {
    "procrastinate_jobs": ("scheduled_at",),
    "inbox": ("received_at", "last_seen"),
    "episode": ("first_seen", "last_seen", "ended_at"),
    "incident": ("opened_at", "closed_at", "ended_at"),
    "inquiry": ("asked_at",),
    "telling": ("decided_at",),
}


def events(episode: AlertEpisodeDetail) -> list[str]:
    return [entry.event for entry in episode.timeline]


def reason(episode: AlertEpisodeDetail, subject: str) -> str:
    """Why this was decided, the latest time it was."""
    return [one.reason for one in episode.decisions if one.subject == subject][-1]


def patient() -> Breaker:
    """A breaker that never opens: tests of retries count calls."""
    return Breaker(now=_Steps(), jitter=lambda: 0.0)


class _Steps:
    """A clock that jumps an hour each time it is read, so that an open breaker is always half-open again."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 3600
        return self.now


@asynccontextmanager
async def house(fresh: FreshDatabase, **changes: Any) -> AsyncIterator[House]:
    """Migrated, wired as the service wires itself, with fakes at the other end of the clients."""
    fresh.migrate("alerts")
    settings = AlertsSettings(**changes)
    database = Database(fresh.settings("alerts"), application="alerts")
    jobs = Jobs(database, service="alerts")
    record = Record(database, jobs)
    context, holmes, notifications = FakeContext(), FakeHolmes(), FakeNotifications()
    async with (
        ContextClient("http://context", transport=_to(context), breaker=patient()) as context_client,
        HolmesClient("http://holmes", transport=_to(holmes), breaker=patient()) as holmes_client,
        NotificationsClient(
            "http://notifications", transport=_to(notifications), breaker=patient()
        ) as notifications_client,
    ):
        peers = Peers(context_client, holmes_client, notifications_client)
        changed: list[Change] = []
        age = register(jobs, record, peers, settings, Watchers(changed.extend, lambda _: None))
        try:
            yield House(
                database,
                jobs,
                record,
                Archive(record),
                age,
                context,
                holmes,
                notifications,
                peers,
                changed,
            )
        finally:
            await database.close()


def _to(app: Any) -> httpx.ASGITransport:
    return httpx.ASGITransport(app=app)


__all__ = ["House", "Permission", "a_body", "a_reader", "an_alert", "body", "events", "house", "resolved"]
