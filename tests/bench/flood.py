"""`make bench-flood`: one tenant asks ten times as much as another; what does the other one notice?

In turns, so that what the machine does besides hits both: a while in which the neighbour asks alone, and a while in which
the other tenant asks ten times as often beside it. Both ask for investigations by a model with three tools, and the
neighbour waits for each of its own. The load is open: who asks does so by the clock, whether or not answers have come.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson

from tests.bench.beside import LATENCY_S, OBJECTS, p, say
from tests.bench.document import with_part
from tests.bench.engine import MODEL, PATIENCE_S, alert, apart, client, until_ready
from tests.bench.sides import our_processes, pss_of
from tests.bench.table import machine
from tests.fakes.model import FakeModel, model
from tests.support.stack import ROOT, Stack, running

COMMAND = "make bench-flood"
REPORT = ROOT / "docs" / "benchmarks.md"
EVERY_S, TIMES = 6.0, 10
"""Between two questions of the neighbour; and how often the other tenant asks in that time."""
WHILE_S = 90.0
STORM = "127.0.0.2"
"""Where the other tenant calls from: who calls from there belongs to it."""
MOST = 40
"""Investigations one caller may have under way."""


@dataclass
class Found:
    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    """Seconds from the neighbour's question to its end, by a model."""
    engines: Counter[str] = field(default_factory=Counter)
    """Who answered the neighbour."""
    flood: Counter[str] = field(default_factory=Counter)
    """What the other tenant was told: status codes, and how those that were taken ended."""
    memory: list[tuple[float, float]] = field(default_factory=list)
    """MiB before and after each flood, all processes of the HolmesGPT API."""


def memory(stack: Stack) -> float:
    return sum(pss_of(pid) for pids in our_processes(stack).values() for pid in pids)


class Flood:
    def __init__(self, stack: Stack, neighbour: httpx.AsyncClient, storm: httpx.AsyncClient) -> None:
        self._stack, self._neighbour, self._storm = stack, neighbour, storm
        self.found = Found()
        self._taken: list[str] = []

    async def measure(self, rounds: int) -> Found:
        await self._asked([])  # the first one imports and compiles
        self.found.engines.clear()
        for number in range(rounds):
            say(f"round {number + 1} of {rounds}: alone")
            await self._by_the_clock(self.found.alone)
            say(f"round {number + 1} of {rounds}: beside {TIMES} times as much")
            before = memory(self._stack)
            stop = asyncio.Event()
            flood = asyncio.create_task(self._flood(stop))
            await self._by_the_clock(self.found.beside)
            stop.set()
            await flood
            await self._over()
            self.found.memory.append((before, memory(self._stack)))
        return self.found

    async def _by_the_clock(self, times: list[float]) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(round(WHILE_S / EVERY_S)):
                await asyncio.sleep(max(began + number * EVERY_S - time.monotonic(), 0.0))
                group.create_task(self._asked(times))

    async def _asked(self, times: list[float]) -> None:
        began = time.perf_counter()
        answer = await self._neighbour.post("/api/v1/investigate", json=alert(), headers=apart())
        answer.raise_for_status()
        body = answer.json()
        while body["metadata"]["stage"] != "ended":
            await asyncio.sleep(0.05)
            body = (await self._neighbour.get(f"/api/v1/investigate/{body['investigation_id']}")).json()
        times.append(time.perf_counter() - began)
        self.found.engines[body["engine"]] += 1

    async def _flood(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                group.create_task(self._one_more())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), EVERY_S / TIMES)

    async def _one_more(self) -> None:
        answer = await self._storm.post("/api/v1/investigate/async", json=alert(), headers=apart())
        self.found.flood[str(answer.status_code)] += 1
        if answer.status_code == 202:
            self._taken.append(answer.json()["investigation_id"])

    async def _over(self) -> None:
        """Until all that was taken of the other tenant has ended."""
        say(f"waiting for {len(self._taken)} of the other tenant")
        for id_ in self._taken:
            async with asyncio.timeout(10 * PATIENCE_S):
                while (await self._storm.get(f"/api/v1/investigate/{id_}")).json()["status"] in (
                    "started",
                    "running",
                ):
                    await asyncio.sleep(0.2)
            body = (await self._storm.get(f"/api/v1/investigate/{id_}")).json()
            self.found.flood[f"{body['status']} by {body['engine']}"] += 1
        self._taken.clear()


@contextlib.asynccontextmanager
async def everything(base: Path) -> AsyncIterator[tuple[Stack, FakeModel]]:
    networks = {
        f"{STORM}/32": {"principal": "storm", "tenant": "other", "roles": ["api_user"], "namespaces": ["*"]}
    }
    with model() as fake:
        fake.digs_into, fake.mood, fake.delay = OBJECTS, "digs", LATENCY_S
        told = {
            "HOLMESGPT_LLM_MODEL": MODEL,
            "HOLMESGPT_LLM_PROVIDER": "local_llm",
            "HOLMESGPT_LLM_API_KEY": "none",
            "HOLMESGPT_LLM_BASE_URL": fake.url,
            "HOLMESGPT_RESULT_CACHE_TTL": "0",
            "HOLMESGPT_INVESTIGATIONS": str(MOST),
            "TRUSTED_NETWORKS": orjson.dumps(networks).decode(),
        }
        async with running(base, services={"context_api", "holmesgpt_api"}, environment=told) as stack:
            yield stack, fake


async def measure(base: Path, *, rounds: int) -> Found:
    async with (
        everything(base) as (stack, _),
        client(stack) as neighbour,
        httpx.AsyncClient(
            base_url=stack.urls["holmesgpt_api"],
            transport=httpx.AsyncHTTPTransport(local_address=STORM),
            timeout=60,
        ) as storm,
    ):
        await until_ready(neighbour)
        return await Flood(stack, neighbour, storm).measure(rounds)


TABLE = """## One tenant's flood

{machine}. `{command}`: {rounds} rounds of {each:.0f} s alone and as long beside a tenant that asks {times} times as much; each asks for
investigations by a model with three tools ({latency:.0f} ms a model answer), the neighbour every {every:.0f} s. Of one caller at most {most} may be
under way.

| the neighbour's investigations | alone | beside the flood | ratio | wanted |
|---|--:|--:|--:|--:|
| asked | {alone} | {beside} | | |
| p50 | {a50:.2f} s | {b50:.2f} s | {r50:.2f}× | |
| p95 | {a95:.2f} s | {b95:.2f} s | {r95:.2f}× | ≤ 1.2× |

Who answered the neighbour: {engines}. What the other tenant was told: {flood}. Memory (PSS) of the HolmesGPT API's processes before and
after each flood: {memory}.
"""


def table(found: Found, rounds: int) -> str:
    a50, a95, b50, b95 = (p(times, share) for times in (found.alone, found.beside) for share in (50, 95))
    return TABLE.format(
        machine=machine(), command=COMMAND, rounds=rounds, each=WHILE_S, times=TIMES, latency=1000 * LATENCY_S,
        every=EVERY_S, most=MOST, alone=len(found.alone), beside=len(found.beside), a50=a50, a95=a95, b50=b50,
        b95=b95, r50=b50 / a50, r95=b95 / a95,
        engines=", ".join(f"{name} {number}" for name, number in sorted(found.engines.items())),
        flood=", ".join(f"{name} {number}" for name, number in sorted(found.flood.items())),
        memory=", ".join(f"{before:.0f} → {after:.0f} MiB" for before, after in found.memory),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--print", action="store_true", help="leave docs/benchmarks.md alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flood-") as folder:
        base = Path(folder)
        base.chmod(0o755)
        text = table(asyncio.run(measure(base, rounds=given.rounds)), given.rounds)
    print(text)
    if not given.print:
        REPORT.write_text(with_part(REPORT.read_text(), COMMAND, text))


if __name__ == "__main__":
    main()
