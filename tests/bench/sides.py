"""The two that are measured side by side: our services, and the plain app; and what the kernel says of their processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from services.holmesgpt_api.adapters.engine_environment import environment
from tests.bench.engine import PATIENCE_S, alert, apart, client, until_ready
from tests.fakes.model import FakeModel
from tests.support.engine import children_of, command_of
from tests.support.ports import free_ports
from tests.support.stack import ROOT, Stack

QUESTION = "What would you compare first?"
"""Names no object, so that nothing is looked up before the model is asked."""

GIVES_UP_S = 30.0
TICKS = os.sysconf("SC_CLK_TCK")

Ask = Callable[[], Coroutine[None, None, None]]
Parts = Callable[[], dict[str, list[int]]]
"""Name of a part to its processes."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of those that are compared, while it is up."""

    name: str
    parts: Parts
    ask: Ask
    begin: Ask
    """A run that will hang."""
    health: Ask
    stuck: int
    """Runs that it has at the model at once, at most."""
    beside: Callable[[], float] = lambda: 0.0
    """Seconds of CPU of the database it stands on."""


def cpu_of(pid: int) -> float:
    """Seconds of CPU of a process, and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / TICKS


def cpu(side: Side) -> dict[str, float]:
    """Seconds of CPU by part. A child that has ended counts with its zygote."""
    return {part: sum(map(cpu_of, pids)) for part, pids in side.parts().items()}


def memory(side: Side) -> dict[str, float]:
    """MiB by part: RSS in which what several share is divided among them (PSS)."""
    return {part: sum(map(pss_of, pids)) for part, pids in side.parts().items()}


def pss_of(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def age_of(pid: int) -> float:
    """Seconds since a process was started."""
    started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) / TICKS
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def our_processes(stack: Stack) -> dict[str, list[int]]:
    api, worker = (stack.supervisor.pid_of(f"holmesgpt-api {role}") for role in ("api", "worker"))
    if api is None or worker is None:
        raise RuntimeError("the HolmesGPT API is not running")
    zygotes = [pid for pid in children_of(worker) if "holmesgpt_api.engine" in command_of(pid)]
    children = [child for zygote in zygotes for child in children_of(zygote)]
    return {"API": [api], "worker": [worker], "zygote": zygotes, "children": children}


@contextlib.asynccontextmanager
async def ours(stack: Stack) -> AsyncIterator[tuple[Side, Side]]:
    """Chats, and investigations."""
    async with client(stack) as http:
        await until_ready(http)

        async def chat() -> None:
            answer = await http.post("/api/v1/chat", json={"message": QUESTION})
            answer.raise_for_status()
            engine = answer.json()["metadata"]["engine"]
            if engine != "holmesgpt":
                raise RuntimeError(f"{engine} answered: {answer.json()['metadata']}")

        async def investigate() -> None:
            body = await investigated(http)
            if body["engine"] != "holmesgpt":
                raise RuntimeError(f"triage answered: {body['degraded_reason']}")

        async def begin() -> None:
            answer = await http.post("/api/v1/investigate/async", json=alert(), headers=apart())
            answer.raise_for_status()

        async def health() -> None:
            (await http.get("/health", timeout=GIVES_UP_S)).raise_for_status()

        def parts() -> dict[str, list[int]]:
            return our_processes(stack)

        def database() -> float:
            postmaster = stack.postgres.pid
            return sum(map(cpu_of, [postmaster, *children_of(postmaster)])) if postmaster else 0.0

        yield (
            Side("ours", parts, chat, begin, health, 60, database),
            Side("investigations", parts, investigate, begin, health, 60, database),
        )


async def investigated(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.post("/api/v1/investigate", json=alert(), headers=apart())
    if not answer.is_success:
        raise RuntimeError(f"HTTP {answer.status_code}: {answer.text[:500]}")
    body: dict[str, Any] = answer.json()
    while body["metadata"]["stage"] != "ended":  # 25 s were not enough; it goes on under its id
        await asyncio.sleep(0.1)
        body = (await http.get(f"/api/v1/investigate/{body['investigation_id']}")).json()
    return body


@contextlib.asynccontextmanager
async def plain(stack: Stack, fake: FakeModel, home: Path, *, lean: bool) -> AsyncIterator[Side]:
    (port,) = free_ports(1)
    arguments = [str(port), fake.url, stack.urls["context_api"], stack.keys.operator_key]
    process = await asyncio.create_subprocess_exec(
        str(ROOT / ".venv-holmes" / "bin" / "python"),
        str(Path(__file__).with_name("plain_holmes.py")),
        *arguments,
        *(["--lean"] if lean else []),
        env=environment({"PATH": os.environ["PATH"]}, home=home, base_url=None),
        cwd=home,
    )
    limits = httpx.Limits(max_connections=200)
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False, limits=limits
        ) as http:
            async with asyncio.timeout(PATIENCE_S):
                while not await _listens(http):
                    if process.returncode is not None:
                        raise RuntimeError(f"the plain app ended with {process.returncode}")
                    await asyncio.sleep(0.2)

            async def ask() -> None:
                (await http.post("/api/chat", json={"ask": QUESTION})).raise_for_status()

            async def health() -> None:
                with contextlib.suppress(httpx.TimeoutException):  # as long as it took to give up
                    await http.get("/healthz", timeout=GIVES_UP_S)

            def parts() -> dict[str, list[int]]:
                return {"app": [process.pid], "started by it": children_of(process.pid)}

            yield Side("lean" if lean else "plain", parts, ask, ask, health, 40)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _listens(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).is_success
    except httpx.TransportError:
        return False
