"""`make bench-engine`: our engine beside a plain FastAPI app around the same SDK, in one run, in turns.

Both ask the same scripted model and the same Context API. CPU is that of the process under test with all it has
started (ours: API, worker, zygote, children; theirs: the one process), so that it does not depend on what else
the machine does; times do. Ours does more in a run: it stores the investigation and each step, asks triage first,
and asks the model once more for the conclusion as a document.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx

from services.holmesgpt_api.adapters.zygote import environment
from tests.bench.document import with_part
from tests.bench.engine import MODEL, PATIENCE_S, STUCK, _alert, _client, _until_ready
from tests.bench.table import machine
from tests.fakes.model import FakeModel, model
from tests.support.engine import children_of
from tests.support.ports import free_ports
from tests.support.stack import ROOT, Stack, running

COMMAND = "make bench-engine"
REPORT = ROOT / "docs" / "benchmarks.md"
OBJECTS = (
    "Deployment.apps/shop/checkout",
    "StatefulSet.apps/data/orders-db",
    "ConfigMap/data/orders-db-config",
)
LATENCY_S = 0.2
AT_ONCE, EMPTY, ROUNDS = 20, 40, 3
LOOKS = 200
GIVES_UP_S = 30.0
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024

Ask = Callable[[], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two, while it is up."""

    name: str
    pids: tuple[int, ...]
    ask: Ask
    begin: Ask
    health: Ask


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one side. Times in seconds, memory in MiB."""

    empty_per_core: float
    tools_p50: float
    tools_p95: float
    rss_before: float
    rss_after: float
    runs: int
    health_p50: float
    health_p99: float


def cpu_of(pid: int) -> float:
    """Seconds of CPU of a process, of what it has started, and of what of that has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(int(field) for field in fields[11:15]) / TICKS
    return own + sum(cpu_of(child) for child in children_of(pid))


def shares(side: Side) -> dict[str, float]:
    """Seconds of CPU by part: each process itself, and all that it has started together."""
    found: dict[str, float] = {}
    for number, pid in enumerate(side.pids):
        started = sum(map(cpu_of, children_of(pid)))
        found[f"process {number + 1}"] = cpu_of(pid) - started
        found[f"started by {number + 1}"] = started
    return found


def rss_of(pid: int) -> float:
    """MiB of a process and of what it has started."""
    own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB / 1024
    return own + sum(rss_of(child) for child in children_of(pid))


async def timed(ask: Ask) -> float:
    began = time.perf_counter()
    await ask()
    return time.perf_counter() - began


async def many(ask: Ask, number: int, at_once: int) -> list[float]:
    few = asyncio.Semaphore(at_once)

    async def one() -> float:
        async with few:
            return await timed(ask)

    return list(await asyncio.gather(*(one() for _ in range(number))))


def p(times: list[float], percent: int) -> float:
    return quantiles(times, n=100, method="inclusive")[percent - 1]


class Turns:
    """What is measured, in turns: what one side does, the other does at once afterwards."""

    def __init__(self, fake: FakeModel, sides: list[Side], *, runs: int, rounds: int) -> None:
        self._fake, self._sides, self._runs, self._rounds = fake, sides, runs, rounds

    async def measure(self) -> dict[str, Measured]:
        self._fake.mood = "at-once"
        for side in self._sides:
            await many(side.ask, 4, 2)  # the first ones import and compile
        empty = await self._in_turn("at-once", 0.0, self._empty)
        tools = await self._in_turn("digs", LATENCY_S, self._tools)
        memory = {side.name: await self._memory(side) for side in self._sides}
        health = {side.name: await self._health(side) for side in self._sides}
        return {
            side.name: Measured(
                empty_per_core=median(empty[side.name]),
                tools_p50=median(tools[side.name]),
                tools_p95=p(tools[side.name], 95),
                rss_before=memory[side.name][0],
                rss_after=memory[side.name][1],
                runs=self._runs,
                health_p50=median(health[side.name]),
                health_p99=p(health[side.name], 99),
            )
            for side in self._sides
        }

    async def _in_turn(
        self, mood: Any, takes: float, measure: Callable[[Side], Awaitable[list[float]]]
    ) -> dict[str, list[float]]:
        self._fake.mood, self._fake.delay = mood, takes
        found: dict[str, list[float]] = {side.name: [] for side in self._sides}
        for number in range(self._rounds):
            for side in self._sides if number % 2 == 0 else self._sides[::-1]:
                print(
                    f"round {number + 1} of {self._rounds}: {mood}, {side.name}", file=sys.stderr, flush=True
                )
                found[side.name] += await measure(side)
        return found

    async def _empty(self, side: Side) -> list[float]:
        """Runs per second of CPU."""
        before = shares(side)
        await many(side.ask, EMPTY, 4)
        await settled(side)
        spent = {part: seconds - before[part] for part, seconds in shares(side).items()}
        told = ", ".join(f"{part} {1000 * seconds / EMPTY:.0f} ms" for part, seconds in spent.items())
        print(f"CPU of an empty run, {side.name}: {told}", file=sys.stderr, flush=True)
        return [EMPTY / sum(spent.values())]

    async def _tools(self, side: Side) -> list[float]:
        return await many(side.ask, AT_ONCE, AT_ONCE)

    async def _memory(self, side: Side) -> tuple[float, float]:
        self._fake.mood, self._fake.delay = "at-once", 0.0
        await settled(side)
        before = sum(map(rss_of, side.pids))
        await many(side.ask, self._runs, 4)
        await settled(side)
        return before, sum(map(rss_of, side.pids))

    async def _health(self, side: Side) -> list[float]:
        """While `STUCK` runs hang on the model."""
        self._fake.mood = "hangs"
        before = len(self._fake.requests)
        begun: list[asyncio.Task[None]] = [asyncio.create_task(side.begin()) for _ in range(STUCK)]
        stuck = STUCK if side.name == "ours" else 40
        await asyncio.to_thread(self._fake.wait_for, before + stuck, within=PATIENCE_S)
        times: list[float] = []
        for _ in range(LOOKS):
            times.append(await timed(side.health))
            if times[-1] >= GIVES_UP_S and len(times) > 1:
                break  # it does not answer; two hundred such waits would say no more
        self._fake.let_go()
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        self._fake.reset()
        return times if len(times) > 1 else times * 2


async def settled(side: Side) -> None:
    """Until the runs' processes are reaped and their CPU is accounted for."""
    previous = -1.0
    async with asyncio.timeout(PATIENCE_S):
        while (now := sum(map(rss_of, side.pids))) != previous and abs(now - previous) > 1:
            previous = now
            await asyncio.sleep(1.0)


@contextlib.asynccontextmanager
async def ours(stack: Stack) -> AsyncIterator[Side]:
    found = [stack.supervisor.pid_of(f"holmesgpt-api {role}") for role in ("api", "worker")]
    pids = tuple(pid for pid in found if pid is not None)
    if len(pids) != len(found):
        raise RuntimeError("the HolmesGPT API is not running")
    async with _client(stack) as http:
        await _until_ready(http)

        async def ask() -> None:
            answer = await http.post("/api/v1/investigate", json=_alert())
            answer.raise_for_status()
            body = answer.json()
            while body["metadata"]["stage"] != "ended":  # 25 s were not enough; it goes on under its id
                await asyncio.sleep(0.1)
                body = (await http.get(f"/api/v1/investigate/{body['investigation_id']}")).json()
            if body["engine"] != "holmesgpt":
                raise RuntimeError(f"triage answered: {body['degraded_reason']}")

        async def begin() -> None:
            (await http.post("/api/v1/investigate/async", json=_alert())).raise_for_status()

        async def health() -> None:
            (await http.get("/health", timeout=GIVES_UP_S)).raise_for_status()

        yield Side("ours", pids, ask, begin, health)


@contextlib.asynccontextmanager
async def plain(stack: Stack, fake: FakeModel, home: Path) -> AsyncIterator[Side]:
    (port,) = free_ports(1)
    arguments = [str(port), fake.url, stack.urls["context_api"], stack.keys.operator_key]
    program = str(Path(__file__).with_name("plain_holmes.py"))
    process = await asyncio.create_subprocess_exec(
        str(ROOT / ".venv-holmes" / "bin" / "python"),
        program,
        *arguments,
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
                (await http.post("/api/chat", json={"ask": "Why does checkout fail?"})).raise_for_status()

            async def health() -> None:
                with contextlib.suppress(httpx.TimeoutException):  # as long as it took to give up
                    await http.get("/healthz", timeout=GIVES_UP_S)

            yield Side("plain", (process.pid,), ask, ask, health)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _listens(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).is_success
    except httpx.TransportError:
        return False


async def measure(base: Path, *, runs: int, rounds: int) -> dict[str, Measured]:
    with model() as fake:
        fake.digs_into = OBJECTS
        told = {
            "HOLMESGPT_LLM_MODEL": MODEL,
            "HOLMESGPT_LLM_PROVIDER": "local_llm",
            "HOLMESGPT_LLM_API_KEY": "none",
            "HOLMESGPT_LLM_BASE_URL": fake.url,
            "HOLMESGPT_MAX_RUNNING": str(STUCK),
            "RATE_LIMIT_REQUESTS": "1000000",
        }
        services = {"context_api", "holmesgpt_api"}
        (base / "home").mkdir()
        async with (
            running(base, services=services, environment=told) as stack,
            plain(stack, fake, base / "home") as theirs,
            ours(stack) as our_side,
        ):
            return await Turns(fake, [our_side, theirs], runs=runs, rounds=rounds).measure()


TABLE = """## Our engine beside a plain app around the SDK

{machine} One run, in turns, {rounds} rounds; `{command}`. Both ask the same scripted model and Context API; the
plain app calls HolmesGPT {sdk} as its own server does (plain functions, one pool of 40 threads). Ours stores every
investigation and every step of it, asks triage first, and asks the model once more for a document.

| | ours | plain | ratio |
|---|---|---|---|
| empty runs per second of CPU | {o.empty_per_core:.1f} | {t.empty_per_core:.1f} | {empty:.2f}× |
| {at_once} runs at once with 3 tools, {latency:.0f} ms a model answer: p50 | {o.tools_p50:.1f} s | {t.tools_p50:.1f} s | {p50:.2f}× |
| … p95 | {o.tools_p95:.1f} s | {t.tools_p95:.1f} s | {p95:.2f}× |
| health with {stuck} stuck runs: p50 | {o_h50:.0f} ms | {t_h50:.0f} ms | |
| … p99 | {o_h99:.0f} ms | {t_h99:.0f} ms (given up after {gives_up:.0f} s) | |
| memory before {o.runs} runs | {o.rss_before:.0f} MiB | {t.rss_before:.0f} MiB | |
| … after | {o.rss_after:.0f} MiB | {t.rss_after:.0f} MiB | |
"""


def table(found: dict[str, Measured], rounds: int) -> str:
    from services.holmesgpt_api.engine.messages import SDK

    o, t = found["ours"], found["plain"]
    return TABLE.format(
        machine=machine(), rounds=rounds, command=COMMAND, sdk=SDK, o=o, t=t, at_once=AT_ONCE, stuck=STUCK,
        latency=1000 * LATENCY_S, gives_up=GIVES_UP_S, empty=o.empty_per_core / t.empty_per_core,
        p50=o.tools_p50 / t.tools_p50, p95=o.tools_p95 / t.tools_p95, o_h50=1000 * o.health_p50,
        t_h50=1000 * t.health_p50, o_h99=1000 * o.health_p99, t_h99=1000 * t.health_p99,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="over which memory is watched")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--print", action="store_true", help="leave docs/benchmarks.md alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="beside-") as folder:
        base = Path(folder)
        base.chmod(0o755)
        found = asyncio.run(measure(base, runs=given.runs, rounds=given.rounds))
        text = table(found, given.rounds)
    print(text)
    if not given.print:
        REPORT.write_text(with_part(REPORT.read_text(), COMMAND, text))


if __name__ == "__main__":
    main()
