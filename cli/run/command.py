"""`kubernaut run`: embedded PostgreSQL, services, the bundled incident, a report; then serves until stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
from rich.console import Console
from rich.markup import escape

from cli.run import report
from cli.run.incident import Services, StepFailed, Story, follow
from cli.run.lock import AlreadyRunning, only_one
from cli.run.stack import CONNECTION_LIMITS, SERVICES, BadPort, Process, port_of, processes
from cli.run.supervisor import StartFailed, Supervisor, keep_postgres
from libs.auth.new_keys import NewKeys, new_keys_file
from libs.clients.alerts import AlertsClient
from libs.clients.holmesgpt import HolmesClient
from libs.clients.notifications import NotificationsClient
from libs.ports import holder, is_taken
from libs.storage.embedded import EmbeddedFailed, EmbeddedPostgres

ROOT = Path(__file__).resolve().parents[2]
INCIDENT = ROOT / "examples" / "incidents" / "orders-database-config"
RECORDING = INCIDENT
ALERT = INCIDENT / "alert.json"

READY_WITHIN_S = 60.0
"""A slow machine's first start, bytecode and migrations included, took under 15 s here; four times that."""

STORY_WITHIN_S = 30.0
"""What is promised from "services are up" to the report."""

PLAIN_WIDTH = 120
"""Columns where the output is no terminal: a file or a pipe has no width, and 80 breaks every object's name."""


class PortTaken(Exception):
    """Something else listens where a service should; the message says what, and what to do."""


def console() -> Console:
    """Standard output for people, as wide as their terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def run(*, once: bool, console: Console) -> int:
    """Run the stack; the exit code: 0 done, 1 a step failed, 2 it could not start.

    Args:
        once: stop after the report instead of serving on.
    """
    state = Path(os.environ.get("KUBERNAUT_STATE") or ROOT / ".kubernaut").absolute()
    try:
        with only_one(state):
            return _with_database(state, once=once, console=console)
    except (AlreadyRunning, PortTaken, BadPort, EmbeddedFailed) as error:
        console.print(f"[bold red]Cannot start:[/] {escape(str(error))}")
        return 2


def _with_database(state: Path, *, once: bool, console: Console) -> int:
    console.print("[bold]Kubernaut[/] starting …")
    _refuse_taken_ports(os.environ)
    keys = new_keys_file(state / "keys.yaml")
    owners = [service.name for service in SERVICES]
    given = os.environ.get("DATABASE_URL")
    if given:
        return asyncio.run(
            _serve(state, keys, dict.fromkeys(owners, given), None, once=once, console=console)
        )
    with EmbeddedPostgres(state / "postgres") as postgres:
        postgres.provision(CONNECTION_LIMITS)
        console.print(f"  database     embedded PostgreSQL, data in {postgres.place.data}")
        urls = {owner: postgres.url(role=owner) for owner in owners}
        return asyncio.run(_serve(state, keys, urls, postgres, once=once, console=console))


def _refuse_taken_ports(environment: Mapping[str, str]) -> None:
    for service in SERVICES:
        port = port_of(service, environment)
        if is_taken(port):
            raise PortTaken(
                f"port {port} of {service.name} is taken by {holder(port)}. Stop that, or set {service.prefix}_PORT."
            )


async def _serve(
    state: Path,
    keys: NewKeys,
    database_urls: Mapping[str, str],
    postgres: EmbeddedPostgres | None,
    *,
    once: bool,
    console: Console,
) -> int:
    logs = state / "logs"
    logs.mkdir(exist_ok=True)
    stack = processes(
        os.environ, keys_file=state / "keys.yaml", database_urls=database_urls, recording=RECORDING
    )
    supervisor = Supervisor(stack, log_directory=logs, root=ROOT, say=lambda text: _say(console, text))
    stopped = _stop_signals()
    supervisor.start()
    guards = (
        [asyncio.create_task(keep_postgres(postgres, lambda text: _say(console, text)))] if postgres else []
    )
    try:
        return await _unless(stopped, _main_job(supervisor, stack, keys, once=once, console=console))
    finally:
        console.print("Stopping …")
        for guard in guards:
            guard.cancel()
        await supervisor.stop()
        console.print("All processes ended.")


async def _main_job(
    supervisor: Supervisor, stack: Sequence[Process], keys: NewKeys, *, once: bool, console: Console
) -> int:
    """Wait for the services, run the incident through them, report; then serve on, unless `once`."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as http:
            await supervisor.until_ready(lambda process: _is_ready(http, process), deadline_s=READY_WITHIN_S)
        console.print("  services     all ready")
        began, since = time.monotonic(), datetime.now(UTC)
        story = await _story(stack, keys, console)
    except (StartFailed, StepFailed) as error:
        console.print(f"[bold red]Failed:[/] {escape(str(error))}")
        return 1
    report.write(console, story, since=since)
    console.print(f"\nFrom webhook to notification: {time.monotonic() - began:.1f} s")
    if not once:
        _how_to_go_on(stack, keys, console)
        await asyncio.Event().wait()
    return 0


async def _story(stack: Sequence[Process], keys: NewKeys, console: Console) -> Story:
    urls = {process.service.name: process.url for process in stack if process.url}

    def token(_: str) -> str:
        return keys.operator_key

    def ingest(_: str) -> str:
        return keys.alertmanager_token

    async with (
        AlertsClient(urls["alerts"], token=ingest) as webhook,
        AlertsClient(urls["alerts"], token=token) as alerts,
        HolmesClient(urls["holmesgpt_api"], token=token) as holmesgpt,
        NotificationsClient(urls["notifications"], token=token) as notifications,
    ):
        services = Services(webhook, alerts, holmesgpt, notifications)
        return await follow(ALERT, services, say=lambda text: _say(console, text), within_s=STORY_WITHIN_S)


async def _is_ready(http: httpx.AsyncClient, process: Process) -> bool:
    try:
        return (await http.get(f"{process.url}/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def _unless(stopped: asyncio.Event, work: Coroutine[object, object, int]) -> int:
    """The work's exit code; 0 when a signal asked to stop while serving."""
    job, stop = asyncio.create_task(work), asyncio.create_task(stopped.wait())
    done, _ = await asyncio.wait({job, stop}, return_when=asyncio.FIRST_COMPLETED)
    for task in (job, stop):
        task.cancel()
    await asyncio.gather(job, stop, return_exceptions=True)
    return job.result() if job in done else 0


def _stop_signals() -> asyncio.Event:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


def _say(console: Console, text: str) -> None:
    console.print(f"  {time.strftime('%H:%M:%S')}  {escape(text)}", highlight=False, soft_wrap=True)


def _how_to_go_on(stack: Sequence[Process], keys: NewKeys, console: Console) -> None:
    console.print("\nServing until Ctrl-C:")
    for process in stack:
        if process.url:
            console.print(f"  {process.service.name:14} {process.url}/docs", highlight=False)
    alerts = next(process.url for process in stack if process.service.name == "alerts" and process.url)
    console.print(
        f"\nTo see what happens, in another window: {_watching(stack)}", highlight=False, soft_wrap=True
    )
    console.print("\nKeys of this run (made at random; from this machine no key is needed):", highlight=False)
    console.print(f"  operator       {keys.operator_key}", highlight=False)
    console.print(f"  Alertmanager   {keys.alertmanager_token}", highlight=False)
    console.print(
        f'  curl -H "Authorization: Bearer {keys.operator_key}" {alerts}/api/v1/alerts', highlight=False
    )


def _watching(stack: Sequence[Process]) -> str:
    """The command that follows this stack; with its addresses where they are not the usual ones."""
    options = {"alerts": "--url", "holmesgpt_api": "--holmesgpt-url"}
    moved = [
        f" {options[process.service.name]} {process.url}"
        for process in stack
        if process.service.name in options and process.port not in (None, process.service.port)
    ]
    return "./kubernaut watch" + "".join(moved)
