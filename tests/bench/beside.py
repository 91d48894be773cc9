"""`make bench-engine`: our engine beside a plain FastAPI app around the same SDK, in one run, in turns.

Chats are compared with chats: the same scripted model, the same Context API, the same number of questions to the model. CPU
is that of the processes under test with all they have started (ours: API, worker, zygote, children; theirs: the one
process), so that it does not depend on what else the machine does; times do. Ours stores the session, the question and each
of its events, asks the tenant's budget before each step, takes secrets out and looks up what the answer cites; the plain
app keeps nothing. The database's CPU is told beside, and not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL
from statistics import median, quantiles
from typing import Any

from tests.bench.document import with_part
from tests.bench.engine import MODEL, PATIENCE_S, STUCK, client
from tests.bench.sides import (
    GIVES_UP_S,
    Ask,
    Side,
    age_of,
    cpu,
    investigated,
    memory,
    our_processes,
    ours,
    plain,
)
from tests.bench.table import machine
from tests.fakes.model import FakeModel, model
from tests.support.stack import ROOT, Stack, running

COMMAND = "make bench-engine"
REPORT = ROOT / "docs" / "benchmarks.md"
OBJECTS = (
    "Deployment.apps/shop/checkout",
    "StatefulSet.apps/data/orders-db",
    "ConfigMap/data/orders-db-config",
)
LATENCY_S = 0.2
AT_ONCE, EMPTY, ROUNDS = 20, 100, 3
EMPTY_AT_ONCE = 4
LOOKS = 200
ALONE = 5
BEGAN = time.monotonic()


@dataclass
class Found:
    """Of one side. Times in seconds, memory in MiB."""

    empty: list[float] = field(default_factory=list)
    """Empty runs per second of CPU, one for each round."""
    shares: list[dict[str, float]] = field(default_factory=list)
    """CPU of one empty run by part."""
    database: list[float] = field(default_factory=list)
    """CPU of the database for one empty run."""
    tools: list[float] = field(default_factory=list)
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    health: list[float] = field(default_factory=list)

    @property
    def per_core(self) -> float:
        return median(self.empty)

    @property
    def shared(self) -> dict[str, float]:
        """Milliseconds of CPU of one empty run by part, the median of the rounds."""
        return {part: 1000 * median(one.get(part, 0.0) for one in self.shares) for part in self.shares[0]}


@dataclass(frozen=True, slots=True)
class Alone:
    """Seconds, of ours alone."""

    first: float
    simple: float
    complex: float


def say(text: str) -> None:
    print(f"[{time.monotonic() - BEGAN:4.0f} s] {text}", file=sys.stderr, flush=True)


async def timed(ask: Callable[[], Awaitable[object]]) -> float:
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
    """What is measured, in turns: what one side does, the others do at once afterwards."""

    def __init__(self, fake: FakeModel, sides: list[Side], *, runs: int, rounds: int) -> None:
        self._fake, self._sides, self._runs, self._rounds = fake, sides, runs, rounds
        self.found = {side.name: Found() for side in sides}

    async def measure(self) -> dict[str, Found]:
        self._fake.mood = "at-once"
        for side in self._sides:
            say(f"warming up: {side.name}")
            await many(side.ask, 8, EMPTY_AT_ONCE)  # the first ones import and compile
        await self._in_turn("at-once", 0.0, self._empty)
        await self._in_turn("digs", LATENCY_S, self._tools)
        for side in self._sides:
            if side.name != "investigations":
                await self._memory(side)
                await self._health(side)
        return self.found

    async def _in_turn(self, mood: Any, takes: float, measure: Callable[[Side], Awaitable[None]]) -> None:
        self._fake.mood, self._fake.delay = mood, takes
        for number in range(self._rounds):
            for side in self._sides if number % 2 == 0 else self._sides[::-1]:
                say(f"round {number + 1} of {self._rounds}: {mood}, {side.name}")
                await measure(side)

    async def _empty(self, side: Side) -> None:
        before, database = cpu(side), side.beside()
        await many(side.ask, EMPTY, EMPTY_AT_ONCE)
        await settled(side)
        spent = {part: (seconds - before.get(part, 0.0)) / EMPTY for part, seconds in cpu(side).items()}
        found = self.found[side.name]
        found.shares.append(spent)
        found.empty.append(1 / sum(spent.values()))
        found.database.append((side.beside() - database) / EMPTY)
        told = ", ".join(f"{part} {1000 * seconds:.1f} ms" for part, seconds in spent.items())
        say(f"CPU of an empty run, {side.name}: {told}; {found.empty[-1]:.1f} a second of CPU")

    async def _tools(self, side: Side) -> None:
        asked = len(self._fake.requests)
        times = await many(side.ask, AT_ONCE, AT_ONCE)
        self.found[side.name].tools += times
        asked = len(self._fake.requests) - asked
        say(f"{AT_ONCE} at once, {side.name}: p95 {p(times, 95):.1f} s, {asked} questions to the model")

    async def _memory(self, side: Side) -> None:
        self._fake.mood, self._fake.delay = "at-once", 0.0
        found = self.found[side.name]
        await settled(side)
        found.before = memory(side)
        done = 0
        while done < self._runs:
            number = min(200, self._runs - done)
            await many(side.ask, number, EMPTY_AT_ONCE)
            done += number
            self._fake.requests.clear()
            say(f"memory of {side.name} after {done} runs: {sum(memory(side).values()):.0f} MiB")
        await settled(side)
        found.after = memory(side)

    async def _health(self, side: Side) -> None:
        """While runs hang on the model."""
        say(f"health beside {side.stuck} stuck runs: {side.name}")
        self._fake.mood = "hangs"
        before = len(self._fake.requests)
        begun: list[asyncio.Task[None]] = [asyncio.create_task(side.begin()) for _ in range(STUCK)]
        await asyncio.to_thread(self._fake.wait_for, before + side.stuck, within=PATIENCE_S)
        times = self.found[side.name].health
        for _ in range(LOOKS):
            times.append(await timed(side.health))
            if times[-1] >= GIVES_UP_S:
                times *= 2  # it does not answer; two hundred such waits would say no more
                break
        self._fake.let_go()
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
        self._fake.reset()
        await settled(side)


async def settled(side: Side) -> None:
    """Until a second has passed in which its processes did next to nothing."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            before = cpu(side)
            await asyncio.sleep(1.0)
            if sum(cpu(side).values()) - sum(before.values()) < 0.1:
                return


async def first_answer(stack: Stack, side: Side) -> float:
    """Seconds from a start of API and worker to the first answer by the model."""
    say("the first answer after a start")
    names = [f"holmesgpt-api {role}" for role in ("api", "worker")]
    async with stack.down(*names, word=SIGKILL):
        pass
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(Exception):  # whatever it says before the engine is there
                await side.ask()
                break
            await asyncio.sleep(0.1)
    processes = our_processes(stack)
    return max(age_of(pid) for pid in (*processes["API"], *processes["worker"]))


async def alone(base: Path, stack: Stack, fake: FakeModel, side: Side) -> Alone:
    fake.mood, fake.delay = "at-once", 0.0
    first = await first_answer(stack, side)
    fake.mood, fake.delay = "digs", LATENCY_S
    say("investigations with three tools, one after the other")
    async with client(stack) as http:
        slow = median([await timed(lambda: investigated(http)) for _ in range(ALONE)])
    return Alone(first, await _by_triage(base), slow)


async def _by_triage(base: Path) -> float:
    """An investigation where no model is configured."""
    say("triage alone")
    services = {"context_api", "holmesgpt_api"}
    async with running(base, services=services) as stack, client(stack) as http:
        return median([await timed(lambda: investigated(http)) for _ in range(ALONE)])


@contextlib.asynccontextmanager
async def everything(base: Path) -> AsyncIterator[tuple[Stack, FakeModel, list[Side]]]:
    with model() as fake:
        fake.digs_into = OBJECTS
        told = {
            "HOLMESGPT_LLM_MODEL": MODEL,
            "HOLMESGPT_LLM_PROVIDER": "local_llm",
            "HOLMESGPT_LLM_API_KEY": "none",
            "HOLMESGPT_LLM_BASE_URL": fake.url,
            "HOLMESGPT_MAX_RUNNING": str(STUCK),
            "HOLMESGPT_CHAT_SESSIONS": "1000000",
            "HOLMESGPT_CHAT_QUESTIONS": "100",
            "HOLMESGPT_RESULT_CACHE_TTL": "0",
            "RATE_LIMIT_REQUESTS": "1000000",
            "DATABASE_POOL_TIMEOUT": "30",  # the bench asks on however busy the machine is
        }
        services = {"context_api", "holmesgpt_api"}
        for name in ("model", "triage", "plain", "lean"):
            (base / name).mkdir()
        async with (
            running(base / "model", services=services, environment=told) as stack,
            plain(stack, fake, base / "plain", lean=False) as full,
            plain(stack, fake, base / "lean", lean=True) as lean,
            ours(stack) as (chats, investigations),
        ):
            yield stack, fake, [chats, full, lean, investigations]


async def measure(base: Path, *, runs: int, rounds: int) -> tuple[dict[str, Found], Alone]:
    async with everything(base) as (stack, fake, sides):
        found = await Turns(fake, sides, runs=runs, rounds=rounds).measure()
        fake.digs_into = OBJECTS
        return found, await alone(base / "triage", stack, fake, sides[0])


TABLE = """## Our engine beside a plain app around the SDK

{machine}. One run, in turns, {rounds} rounds; `{command}`. The same scripted model and Context API on all sides, and the same
number of questions to the model. *Plain* calls HolmesGPT {sdk} as its own server does: plain functions in one pool of 40
threads, the toolsets a server loads by default beside our tool. *Lean* is the same with our tool alone, which nobody runs; it
tells how much comes of the toolsets. Ours stores session, question and events, asks the budget before each step, clears
secrets and looks citations up.

| | ours | plain | lean | ours / plain | wanted | ours / lean |
|---|--:|--:|--:|--:|--:|--:|
| empty chats per second of CPU | {o.per_core:.1f} | {t.per_core:.1f} | {l.per_core:.1f} | {empty:.2f}× | ≥ 2× | {empty_lean:.2f}× |
| {at_once} chats at once with 3 tools, {latency:.0f} ms a model answer: p50 | {o50:.2f} s | {t50:.2f} s | {l50:.2f} s | {p50:.2f}× | | {p50_lean:.2f}× |
| … p95 | {o95:.2f} s | {t95:.2f} s | {l95:.2f} s | {p95:.2f}× | ≤ 0.6× | {p95_lean:.2f}× |
| health with {stuck} stuck runs: p50 | {oh50:.0f} ms | {th50:.0f} ms | {lh50:.0f} ms | | | |
| … p99 | {oh99:.0f} ms | {th99:.0f} ms | {lh99:.0f} ms | | < 50 ms | |
| memory (PSS) before {runs} chats | {ob:.0f} MiB | {tb:.0f} MiB | {lb:.0f} MiB | | | |
| … after | {oa:.0f} MiB | {ta:.0f} MiB | {la:.0f} MiB | | | |

CPU of an empty chat: ours {shared}; the database {database:.1f} ms beside, which is not counted. Health is given up after {gives_up:.0f} s. Ours in memory after {runs} chats: {parts}.

| ours alone | measured | wanted |
|---|--:|--:|
| first model answer after a start of API and worker | {a.first:.1f} s | < 15 s |
| an investigation by triage | {a.simple:.2f} s | < 2 s |
| an investigation with 3 tools and a document, {latency:.0f} ms a model answer | {a.complex:.1f} s | < 30 s |
| empty investigations per second of CPU (triage, stored steps, a document) | {i.per_core:.1f} | |
| {at_once} investigations at once with 3 tools: p95 | {i95:.1f} s | |
"""


def table(found: dict[str, Found], a: Alone, *, runs: int, rounds: int) -> str:
    from services.holmesgpt_api.engine.messages import SDK

    o, t, l, i = (found[name] for name in ("ours", "plain", "lean", "investigations"))  # noqa: E741
    values: dict[str, Any] = {}
    for letter, one in (("o", o), ("t", t), ("l", l)):
        values |= {f"{letter}{percent}": p(one.tools, percent) for percent in (50, 95)}
        values |= {f"{letter}h{percent}": 1000 * p(one.health, percent) for percent in (50, 99)}
        values |= {f"{letter}b": sum(one.before.values()), f"{letter}a": sum(one.after.values())}
    return TABLE.format(
        machine=machine(), rounds=rounds, command=COMMAND, sdk=SDK, o=o, t=t, l=l, i=i, a=a, at_once=AT_ONCE,
        latency=1000 * LATENCY_S, stuck=STUCK, runs=runs, gives_up=GIVES_UP_S,
        empty=o.per_core / t.per_core, empty_lean=o.per_core / l.per_core,
        p50=values["o50"] / values["t50"], p50_lean=values["o50"] / values["l50"],
        p95=values["o95"] / values["t95"], p95_lean=values["o95"] / values["l95"], i95=p(i.tools, 95),
        database=1000 * median(o.database),
        shared=", ".join(f"{part} {ms:.1f} ms" for part, ms in o.shared.items()),
        parts=", ".join(f"{part} {size:.0f} MiB" for part, size in o.after.items()), **values,
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
        found, lone = asyncio.run(measure(base, runs=given.runs, rounds=given.rounds))
        text = table(found, lone, runs=given.runs, rounds=given.rounds)
    print(text)
    if not given.print:
        REPORT.write_text(with_part(REPORT.read_text(), COMMAND, text))


if __name__ == "__main__":
    main()
