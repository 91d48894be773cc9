"""Kept answers: how fast they are read beside "Redis GET → bytes", and what they take.

Everything of the service is in the way of the full stack: authentication, authorisation, rate limit (shared, in Redis),
conditional answers, access log, metrics. Server on core 0; wrk and Redis on core 1. Variants interleaved in rounds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import redis

from libs.web.pages import hit_ratio
from services.context_api.settings import Settings
from tests.bench.held import FORMS
from tests.bench.held import measure as measure_held
from tests.bench.load import READ_SCRIPT, Run, wrk
from tests.bench.table import Row, machine, rows
from tests.support.ports import free_ports
from tests.support.recordings import write_cluster
from tests.support.redis import RedisServer
from tests.support.replay import replay
from tests.support.trace import questions

COMMAND = "make bench ARGS=--reads"
SIZES = {"4 KB": 4_096, "64 KB": 65_536}
SPACES = 416
"""Namespaces of 24 objects, 10,004 with the nodes."""

CONNECTIONS = 32
BUNDLES = 60
PACE_CONNECTIONS, PACE_MS = 80, 72
"""Each of these connections asks again so many ms after its answer: a little more than 1,000 a second together."""

BASE, BARE, FULL, KNOWN, PACKED, MODELS = (
    "Redis GET → bytes, bare handler",
    "near page → bytes, bare handler",
    "**kept answer, the whole service**",
    "the same, 304 to who has it",
    "the same, zstd",
    "Redis GET → model → JSON, bare FastAPI route",
)

MIXED_SCRIPT = """
local token = os.getenv("BENCH_TOKEN")
local paths = {{{paths}}}
local number = 0
function init(args) wrk.headers["Authorization"] = "Bearer " .. token end
function request() number = number + 1; return wrk.format("GET", paths[1 + number % #paths]) end
function delay() return {delay} end
"""

HEADER_SCRIPT = """
local token = os.getenv("BENCH_TOKEN")
function init(args) wrk.headers["Authorization"] = "Bearer " .. token; wrk.headers["{name}"] = {value} end
"""


@dataclass(frozen=True, slots=True)
class ReadsRun:
    sizes: Mapping[str, int]
    """Bytes of the answers that stand for the sizes."""
    tables: Mapping[str, Sequence[Row]]
    paced: Run
    mixed_paths: int
    objects: int
    bundles: Sequence[float]
    """Seconds of each uncached one."""
    held: Mapping[str, float]
    held_answers: int
    ratios: Mapping[str, float]
    ratio: float
    made: int
    load: float


@dataclass(frozen=True, slots=True)
class Served:
    """The service under test."""

    url: str
    pid: int
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Accept-Encoding": "identity"}

    def get(self, path: str, **headers: str) -> httpx.Response:
        answer = httpx.get(self.url + path, headers={**self.headers, **headers}, timeout=60, trust_env=False)
        return answer.raise_for_status()


@contextlib.contextmanager
def served(bench: Any, recording: Path, redis_url: str, token: str) -> Iterator[Served]:
    port, metrics = free_ports(2)
    environment = {
        "RECORDED_CLUSTER": str(recording),
        "REDIS_URL": redis_url,
        "CONTEXT_API_PORT": str(port),
        "CONTEXT_API_METRICS_PORT": str(metrics),
        "RATE_LIMIT_REQUESTS": "1000000000",
    }
    with bench.server("services.context_api", environment=environment) as pid:
        url = f"http://127.0.0.1:{port}"
        _until_ready(url)
        yield Served(url, pid, token)


def _until_ready(url: str, within_s: float = 120.0) -> None:
    ends = time.monotonic() + within_s
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/ready", timeout=5, trust_env=False).status_code == 200:
                return
        if time.monotonic() > ends:
            raise TimeoutError(f"{url} is not ready")
        time.sleep(0.1)


def nearest(service: Served, size: int) -> tuple[str, bytes]:
    """A question whose answer has about this many bytes."""
    found = []
    for limit in (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200):
        path = f"/api/v1/context/evidence/team-03/Deployment/web-1?limit={limit}"
        body = service.get(path).content
        found.append((abs(len(body) - size), path, body))
    _, path, body = min(found)
    return path, body


def mixed(service: Served) -> list[str]:
    """Two hundred questions of different routes; all asked once, so that their answers are kept."""
    context = "/api/v1/context"
    paths = [
        f"{context}/{question}/team-{space:02}/Deployment/web-{space % 2}"
        for space in range(40)
        for question in ("causes", "findings", "topology", "evidence")
    ] + [f"{context}/kubernetes/team-{space:02}/pods" for space in range(40)]
    for path in paths:
        service.get(path)
    return paths


def bundles(service: Served) -> list[float]:
    """Seconds of each of many different bundles, one after the other; none was asked before."""
    took = []
    with httpx.Client(base_url=service.url, headers=service.headers, timeout=60, trust_env=False) as client:
        for number in range(BUNDLES):
            target = {
                "kind": "Deployment",
                "api_version": "apps/v1",
                "namespace": f"team-{100 + number}",
                "name": "web-1",
            }
            began = time.perf_counter()
            client.post("/api/v1/context/bundle", json={"target": target}).raise_for_status()
            took.append(time.perf_counter() - began)
    return took


class _Small:
    """A bare handler under test."""

    def __init__(self, bench: Any, name: str, redis_url: str) -> None:
        (self._port,) = free_ports(1)
        self._process = bench.server("tests.bench.read_servers", name, str(self._port), redis_url)

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple[str, int]]:
        with self._process as pid:
            url = f"http://127.0.0.1:{self._port}"
            ends = time.monotonic() + 60
            while True:
                try:
                    httpx.get(f"{url}/4", timeout=5, trust_env=False)
                    break
                except httpx.TransportError:
                    if time.monotonic() > ends:
                        raise
                    time.sleep(0.05)
            yield url, pid


def _load(base: Path, url: str, pid: int, token: str, seconds: int, script: str = READ_SCRIPT) -> Run:
    file = base / "reads.lua"
    file.write_text(script)
    for duration in (1, seconds):
        run = wrk(url, pid=pid, script=file, connections=CONNECTIONS, seconds=duration, core="1", token=token)
    return run


def measure(bench: Any, base: Path, token: str, rounds: int, seconds: int) -> ReadsRun:
    load = os.getloadavg()[0]
    recording = base / "cluster"
    recording.mkdir()
    objects = write_cluster(recording, namespaces=SPACES)
    with RedisServer() as store:
        _pin(store)
        with served(bench, recording, store.url, token) as service:
            asked = {size: nearest(service, wanted) for size, wanted in SIZES.items()}
            took = bundles(service)
            paths = mixed(service)
            script = base / "mixed.lua"
            quoted = ", ".join(f'"{path}"' for path in paths)
            script.write_text(MIXED_SCRIPT.format(paths=quoted, delay=PACE_MS))
            paced = wrk(
                service.url,
                pid=service.pid,
                script=script,
                connections=PACE_CONNECTIONS,
                seconds=max(5, seconds),
                core="1",
                token=token,
            )
        client = redis.Redis.from_url(store.url)
        for size, (_, body) in asked.items():
            client.set(size.partition(" ")[0], body)
        client.close()
        tables: dict[str, dict[str, list[Run]]] = {size: {} for size in SIZES}
        for number in range(rounds):
            print(f"kept answers, round {number + 1} of {rounds} …", flush=True)
            _round(bench, base, recording, store.url, token, seconds, asked, tables)
    files = []
    for size, (_, body) in asked.items():
        files.append(base / f"answer-{size.partition(' ')[0]}.json")
        files[-1].write_bytes(body)
    outcomes, made = asyncio.run(replay(questions(), Settings()))
    return ReadsRun(
        sizes={size: len(body) for size, (_, body) in asked.items()},
        tables={size: rows(table, BASE) for size, table in tables.items()},
        paced=paced,
        mixed_paths=len(paths),
        objects=objects,
        bundles=took,
        held=measure_held(files),
        held_answers=len(files),
        ratios={source: hit_ratio(counted) for source, counted in outcomes.items()},
        ratio=hit_ratio(sum(outcomes.values(), Counter[str]())),
        made=made,
        load=load,
    )


def _round(
    bench: Any,
    base: Path,
    recording: Path,
    redis_url: str,
    token: str,
    seconds: int,
    asked: Mapping[str, tuple[str, bytes]],
    tables: dict[str, dict[str, list[Run]]],
) -> None:
    for variant, name in ((BASE, "redis"), (BARE, "near"), (MODELS, "models")):
        with _Small(bench, name, redis_url).running() as (url, pid):
            for size in asked:
                run = _load(base, f"{url}/{size.partition(' ')[0]}", pid, token, seconds)
                tables[size].setdefault(variant, []).append(run)
    with served(bench, recording, redis_url, token) as service:
        for size, (path, _) in asked.items():
            etag = service.get(path).headers["etag"]
            quoted = "'" + etag + "'"
            for variant, script in (
                (FULL, READ_SCRIPT),
                (KNOWN, HEADER_SCRIPT.format(name="If-None-Match", value=quoted)),
                (PACKED, HEADER_SCRIPT.format(name="Accept-Encoding", value="'zstd'")),
            ):
                run = _load(base, service.url + path, service.pid, token, seconds, script)
                tables[size].setdefault(variant, []).append(run)


def _pin(store: RedisServer) -> None:
    """Redis beside wrk, as the load's part."""
    found = subprocess.run(
        ["pgrep", "-f", f"redis-server 127.0.0.1:{store.port}"], capture_output=True, text=True, check=True
    )
    for pid in found.stdout.split():
        os.sched_setaffinity(int(pid), {1})


def percentile(took: Sequence[float], percent: int) -> float:
    return statistics.quantiles(took, n=100, method="inclusive")[percent - 1]


TABLE = """
## Kept answers

Written by `{command}`. Machine: {machine}; load average {load:.1f} when it began. {rounds} interleaved rounds of {seconds} s,
{connections} connections; ratios are medians of per-round ratios. Server on core 0; wrk and Redis on core 1. The service reads
its limits and answers from the same Redis; every request is authenticated, limited, logged and measured.

{sizes}
| goal | measured | wanted |
|---|--:|--:|
| {bare_4} | {bare_4_ratio:.2f} | ≥ 2 |
| {bare_64} | {bare_64_ratio:.2f} | ≥ 2 |
| the whole service, 4 KB, × Redis GET → bytes | {full_4_ratio:.2f} | ≥ 2 |
| the whole service, 64 KB, × Redis GET → bytes | {full_64_ratio:.2f} | ≥ 2 |
| mixed kept reads at a pace of 1,000/s ({paths} questions): reached | {paced:,.0f}/s | |
| their errors; p99 | {errors}; {paced_p99:.1f} ms | 0 |
| uncached bundle over {objects:,} objects, median of {bundles} | {bundle_p50:.0f} ms | |
| its 95th percentile | {bundle_p95:.0f} ms | < 500 ms |
| questions of the recorded trace answered by what was kept | {ratio:.1%} | ≥ 80 % |
| answers made for its 10,000 questions | {made:,} | |

By source: {ratios}.

Memory of {held_mib} MiB of answers of both sizes, kept as:

| | MiB | × parsed |
|---|--:|--:|
{held}
"""


def table(run: ReadsRun, rounds: int, seconds: int) -> str:
    by_size = {size: {row.variant: row for row in found} for size, found in run.tables.items()}
    parsed = run.held["parsed"]
    return TABLE.format(
        command=COMMAND,
        machine=machine(),
        load=run.load,
        rounds=rounds,
        seconds=seconds,
        connections=CONNECTIONS,
        sizes="\n".join(_of_size(size, run.sizes[size], run.tables[size]) for size in run.tables),
        bare_4="near page, bare handlers, 4 KB, × Redis GET → bytes",
        bare_64="near page, bare handlers, 64 KB, × Redis GET → bytes",
        bare_4_ratio=by_size["4 KB"][BARE].ratio,
        bare_64_ratio=by_size["64 KB"][BARE].ratio,
        full_4_ratio=by_size["4 KB"][FULL].ratio,
        full_64_ratio=by_size["64 KB"][FULL].ratio,
        paths=run.mixed_paths,
        paced=run.paced.rps,
        errors=run.paced.errors,
        paced_p99=run.paced.p99,
        objects=run.objects,
        bundles=len(run.bundles),
        bundle_p50=1000 * statistics.median(run.bundles),
        bundle_p95=1000 * percentile(run.bundles, 95),
        ratio=run.ratio,
        made=run.made,
        ratios=", ".join(f"{source} {ratio:.0%}" for source, ratio in run.ratios.items()),
        held_mib=32,
        held="\n".join(
            f"| {words} | {run.held[form]:.0f} | {run.held[form] / parsed:.2f} |"
            for form, words in FORMS.items()
        ),
    )


def _of_size(size: str, length: int, found: Sequence[Row]) -> str:
    lines = [
        f"| answer of {size} ({length:,} bytes) | req/s | × Redis GET | p50 ms | p99 ms | CPU µs/request | errors |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {r.variant} | {r.rps:,.0f} | {r.ratio:.2f} | {r.p50:.1f} | {r.p99:.1f} | {r.cpu_us:.0f} | {r.errors} |"
        for r in found
    ]
    return "\n".join(lines) + "\n"


def alone(bench_of: Any, rounds: int, seconds: int) -> str:
    """This section only; nothing else is measured."""
    with tempfile.TemporaryDirectory(prefix="kubernaut-bench-") as place:
        base = Path(place)
        bench, token = bench_of(base)
        return table(measure(bench, base, token, rounds, seconds), rounds, seconds)
