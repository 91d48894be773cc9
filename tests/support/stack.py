"""The real stack for a test: embedded PostgreSQL and the services as processes, on free loopback ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from cli.run.stack import SERVICES, Process, processes
from cli.run.supervisor import Supervisor, keep_postgres
from libs.auth.new_keys import NewKeys, new_keys_file
from libs.storage.embedded import EmbeddedPostgres
from tests.support.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
INCIDENT = ROOT / "examples" / "incidents" / "orders-database-config"
READY_WITHIN_S = 90.0
"""Several test processes share two cores; a quiet machine needs about 5 s."""


@dataclass
class Stack:
    """What a test may do with a running stack."""

    supervisor: Supervisor
    postgres: EmbeddedPostgres
    keys: NewKeys
    urls: Mapping[str, str]
    """Service name -> base URL."""
    said: list[str] = field(default_factory=list)
    """What the supervisor told the person in front of it."""

    def kill(self, pid: int) -> None:
        """Kill -9 one of this stack's processes."""
        os.kill(pid, signal.SIGKILL)

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys.operator_key}"}

    def ingest_headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys.alertmanager_token}", "Content-Type": "application/json"}


def ports_environment() -> dict[str, str]:
    """Settings that move every API and metrics port to a free one."""
    names = [f"{s.prefix}_{what}" for s in SERVICES for what in ("PORT", "METRICS_PORT")]
    return dict(zip(names, map(str, free_ports(len(names))), strict=True))


@contextlib.asynccontextmanager
async def running(
    state: Path, *, services: Collection[str] | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Stack]:
    """Start the named services (all by default) below `state`, wait until they are ready, stop them in the end."""
    keys = new_keys_file(state / "keys.yaml")
    owners = [service.name for service in SERVICES if service.has_database]
    postgres = EmbeddedPostgres(state / "postgres")
    postgres.start()
    try:
        postgres.provision(owners)
        chosen = _chosen(state, postgres, services, environment or {})
        said: list[str] = []
        logs = state / "logs"
        logs.mkdir()
        supervisor = Supervisor(chosen, log_directory=logs, root=ROOT, say=said.append)
        supervisor.start()
        guard = asyncio.create_task(keep_postgres(postgres, said.append))
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
                await supervisor.until_ready(lambda process: _ready(http, process), deadline_s=READY_WITHIN_S)
            urls = {process.service.name: process.url for process in chosen if process.url}
            yield Stack(supervisor, postgres, keys, urls, said)
        finally:
            guard.cancel()
            await supervisor.stop()
    finally:
        postgres.destroy()


def _chosen(
    state: Path, postgres: EmbeddedPostgres, services: Collection[str] | None, environment: Mapping[str, str]
) -> list[Process]:
    everything = processes(
        {"PATH": os.environ["PATH"], "HOME": str(state), **ports_environment(), **environment},
        keys_file=state / "keys.yaml",
        database_urls={s.name: postgres.url(role=s.name) for s in SERVICES if s.has_database},
        recording=INCIDENT,
    )
    return [process for process in everything if services is None or process.service.name in services]


async def _ready(http: httpx.AsyncClient, process: Process) -> bool:
    try:
        return (await http.get(f"{process.url}/ready")).status_code == 200
    except httpx.TransportError:
        return False
