"""The real stack for a test: embedded PostgreSQL and the services as processes, on free loopback ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from cli.run.stack import CONNECTION_LIMITS, SERVICES, Process, processes
from cli.run.supervisor import Supervisor, keep_postgres
from libs.auth.new_keys import NewKeys, new_keys_file
from libs.storage.embedded import EmbeddedPostgres
from tests.support.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
INCIDENT = ROOT / "examples" / "incidents" / "orders-database-config"
READY_WITHIN_S = 90.0
"""Several test processes share two cores; a quiet machine needs about 5 s."""

STOPPED_WITHIN_S = 35.0
"""After SIGTERM a service drains for 5 s and finishes for 25 s at most."""


@dataclass
class Stack:
    """What a test may do with a running stack."""

    supervisor: Supervisor
    postgres: EmbeddedPostgres
    keys: NewKeys
    urls: Mapping[str, str]
    """Service name -> base URL."""
    processes: Sequence[Process] = ()
    said: list[str] = field(default_factory=list)
    """What the supervisor told the person in front of it."""
    may_restart: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared while a test wants what it stopped to stay down."""

    def kill(self, pid: int) -> None:
        """Kill -9 one of this stack's processes."""
        os.kill(pid, signal.SIGKILL)

    @contextlib.asynccontextmanager
    async def down(self, *names: str, word: signal.Signals) -> AsyncIterator[None]:
        """End these processes with a signal and keep them down while the block runs; at its end they serve again."""
        self.may_restart.clear()
        try:
            for name in names:
                pid = self.supervisor.pid_of(name)
                assert pid is not None, f"{name} is not running"
                os.kill(pid, word)
            async with asyncio.timeout(STOPPED_WITHIN_S):
                while any(self.supervisor.pid_of(name) for name in names):
                    await asyncio.sleep(0.05)
            yield
        finally:
            self.may_restart.set()
        async with asyncio.timeout(READY_WITHIN_S), httpx.AsyncClient(trust_env=False, timeout=5) as http:
            while not (all(map(self.supervisor.pid_of, names)) and await self._all_answer(http)):
                await asyncio.sleep(0.05)

    async def _all_answer(self, http: httpx.AsyncClient) -> bool:
        return all([await _answers(http, url) for url in self.urls.values()])

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
    postgres = EmbeddedPostgres(state / "postgres")
    postgres.start()
    try:
        postgres.provision(CONNECTION_LIMITS)
        chosen = _chosen(state, postgres, services, environment or {})
        said: list[str] = []
        logs = state / "logs"
        logs.mkdir()
        may_restart = asyncio.Event()
        may_restart.set()

        async def pause(seconds: float) -> None:
            await asyncio.sleep(seconds)
            await may_restart.wait()

        supervisor = Supervisor(chosen, log_directory=logs, root=ROOT, say=said.append, pause=pause)
        supervisor.start()
        guard = asyncio.create_task(keep_postgres(postgres, said.append))
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=5) as http:
                await supervisor.until_ready(
                    lambda process: _answers(http, process.url), deadline_s=READY_WITHIN_S
                )
            urls = {process.service.name: process.url for process in chosen if process.url}
            yield Stack(supervisor, postgres, keys, urls, chosen, said, may_restart)
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
        database_urls={s.name: postgres.url(role=s.name) for s in SERVICES},
        recording=INCIDENT,
    )
    return [process for process in everything if services is None or process.service.name in services]


async def _answers(http: httpx.AsyncClient, url: str | None) -> bool:
    try:
        return (await http.get(f"{url}/ready")).status_code == 200
    except httpx.TransportError:
        return False
