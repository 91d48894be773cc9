"""Builds what the routes and the jobs work with, and closes it again."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr

from libs.clients.breaker import Breaker
from libs.contracts.health import ComponentHealth
from libs.contracts.notifications import Channel
from libs.jobs import Jobs
from libs.metrics import Metrics
from libs.storage import Database, migrate
from libs.web.info import Check, Checks
from services.notifications import observers, worker
from services.notifications.adapters.archive import Archive
from services.notifications.adapters.console import Console
from services.notifications.adapters.dispatch import Dispatch
from services.notifications.adapters.not_configured import NotConfigured
from services.notifications.adapters.outbox import Outbox
from services.notifications.adapters.slack import SlackWebhook, client
from services.notifications.adapters.smtp import Server, SmtpMail, trust
from services.notifications.domain.notice import Defaults
from services.notifications.domain.ports import ChannelAdapter
from services.notifications.settings import Settings
from services.notifications.steps.deliver import Deliver, Lane
from services.notifications.steps.take import Desk

SERVICE = "notifications"

SETTING_OF = {Channel.email: "SMTP_HOST", Channel.slack: "SLACK_WEBHOOK_URL or SLACK_WEBHOOK_URL_FILE"}
"""What configures a channel; the console always is."""

NO_PAUSE = timedelta(0)


class UnreadableSecret(Exception):
    """A file that should hold a secret cannot be read or is empty. Names the setting, never the content."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"{setting}: {reason}")


@dataclass(frozen=True)
class Ports:
    """What the routes and the health checks use."""

    desk: Desk
    outbox: Outbox
    archive: Archive
    database: Database
    settings: Settings


@asynccontextmanager
async def serving(settings: Settings, metrics: Metrics) -> AsyncIterator[Ports]:
    """For the API: takes requests, and delivers none."""
    async with _database(settings) as database:
        jobs = Jobs(database, service=SERVICE, settings=settings)
        worker.declare(jobs)
        outbox = Outbox(database, jobs)
        defaults = Defaults(settings.default_channels(), settings.email_recipients)
        desk = Desk(outbox, defaults, observers.requests(metrics))
        yield Ports(desk, outbox, Archive(database), database, settings)


async def working(settings: Settings, metrics: Metrics, stop: asyncio.Event) -> None:
    """For the worker: delivers until `stop`."""
    async with _lanes(settings) as lanes, _database(settings) as database:
        jobs = Jobs(database, service=SERVICE, settings=settings)
        deliver = Deliver(
            Dispatch(database, jobs, settings.schedule()),
            lanes,
            stopping=stop.is_set,
            observe=observers.deliveries(metrics),
        )
        longest = max(settings.console_timeout, settings.smtp_timeout, settings.slack_timeout)
        worker.register(jobs, deliver, longest_call=longest)
        archive, show = Archive(database), observers.waiting(metrics)

        async def tidy() -> None:
            show(await archive.waiting())
            await archive.forget(older_than=settings.notification_keep)

        await worker.run(jobs, deliver, tidy, stop)


def checks(ports: Ports) -> Checks:
    """What /health reports; without the database nothing can be taken."""
    return {
        "database": Check(ports.database.check, critical=True),
        **{channel.value: _check(ports, channel) for channel in Channel},
    }


def _check(ports: Ports, channel: Channel) -> Check:
    async def probe() -> ComponentHealth:
        if not ports.settings.configured(channel):
            return ComponentHealth(status="not_configured", detail=f"set {SETTING_OF[channel]}")
        state = await ports.archive.channel(channel)
        if state.failures >= ports.settings.channel_failures:
            detail = f"{state.failures} failures in a row, the last: {state.error}"
            return ComponentHealth(status="unhealthy", detail=detail)
        return ComponentHealth(status="healthy", detail="pausing" if state.paused else "")

    return Check(probe)


@asynccontextmanager
async def _lanes(settings: Settings) -> AsyncIterator[Mapping[Channel, Lane]]:
    def lane(
        channel: Channel, adapter: ChannelAdapter, capacity: int, interval: timedelta = NO_PAUSE
    ) -> Lane:
        breaker = Breaker(failures_in_a_row=settings.channel_failures, open_for=settings.channel_pause)
        return Lane(channel, adapter, breaker, capacity=capacity, interval=interval)

    lanes = (
        lane(Channel.console, _console(settings), settings.console_concurrency),
        lane(Channel.email, _email(settings), settings.smtp_concurrency),
        lane(Channel.slack, _slack(settings), settings.slack_concurrency, settings.slack_interval),
    )
    try:
        yield {one.channel: one for one in lanes}
    finally:
        for one in lanes:
            await one.adapter.close()


def _console(settings: Settings) -> ChannelAdapter:
    as_json = settings.console_json
    if as_json is None:
        as_json = not sys.stdout.isatty()

    def write(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    return Console(write, as_json=as_json, deadline=settings.console_timeout)


def _email(settings: Settings) -> ChannelAdapter:
    if settings.smtp_host is None or settings.email_from is None:
        return NotConfigured(SETTING_OF[Channel.email])
    server = Server(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        username=settings.smtp_username,
        password=_secret(settings.smtp_password, settings.smtp_password_file, "SMTP_PASSWORD_FILE"),
        deadline=settings.smtp_timeout,
    )
    return SmtpMail(server, sender=settings.email_from, tls_context=trust(settings.smtp_ca_file))


def _slack(settings: Settings) -> ChannelAdapter:
    url = _secret(settings.slack_webhook_url, settings.slack_webhook_url_file, "SLACK_WEBHOOK_URL_FILE")
    if url is None:
        return NotConfigured(SETTING_OF[Channel.slack])
    http = client(settings.slack_timeout)
    return SlackWebhook(http, url, origins=settings.slack_origins, deadline=settings.slack_timeout)


def _secret(value: SecretStr | None, file: Path | None, setting: str) -> SecretStr | None:
    """The value itself, or what the file holds. Raises UnreadableSecret."""
    if file is None:
        return value
    try:
        text = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableSecret(setting, f"{file}: {type(error).__name__}") from error
    if not text:
        raise UnreadableSecret(setting, f"{file} is empty")
    return SecretStr(text)


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    await asyncio.to_thread(migrate, settings.database_url.get_secret_value(), SERVICE)
    database = Database(settings, application=SERVICE)
    try:
        yield database
    finally:
        await database.close()
