"""`make bench`: the ratios that the alert path promises, measured side by side in one run.

Server on core 0; wrk, PostgreSQL and the worker on core 1. Variants are interleaved in rounds; figures are medians,
ratios medians of per-round ratios. Writes docs/benchmarks.md. Takes about five minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import psycopg

from cli.run.stack import CONNECTION_LIMITS
from libs.auth.new_keys import NewKeys, new_keys_file
from libs.storage.embedded import EmbeddedPostgres
from tests.bench import reads
from tests.bench.document import with_body, with_part
from tests.bench.load import ALERT_SCRIPT, READ_SCRIPT, Run, wrk
from tests.bench.table import cpu_ratio, machine, markdown, rows
from tests.bench.triage import TriageRun
from tests.bench.triage import measure as measure_triage
from tests.bench.triage import table as triage_table
from tests.support.ports import free_ports
from tests.support.stack import INCIDENT, ROOT

SERVER_CORE, LOAD_CORE = "0", "1"
WEBHOOK = "/api/v1/webhooks/alertmanager"
CAUSES = "/api/v1/context/causes/shop/Deployment/checkout"
REPORT = ROOT / "docs" / "benchmarks.md"
READY_WITHIN_S = 30.0


class Bench:
    """Servers under test below one directory; ends them all."""

    def __init__(self, base: Path, keys: NewKeys, database_url: str) -> None:
        self._base, self._keys, self._database_url = base, keys, database_url

    @contextlib.contextmanager
    def server(
        self, *arguments: str, environment: Mapping[str, str] | None = None, core: str = SERVER_CORE
    ) -> Iterator[int]:
        """A process pinned to a core; yields its pid."""
        with (self._base / "server.log").open("ab") as log:
            process = subprocess.Popen(
                ["taskset", "-c", core, sys.executable, "-m", *arguments],
                cwd=ROOT,
                env={
                    **os.environ,
                    "AUTH_KEYS_FILE": str(self._base / "keys.yaml"),
                    "LOG_FORMAT": "json",
                    **(environment or {}),
                },
                stdout=log,
                stderr=log,
            )
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=40)

    def small(self, name: str, *, seconds: int, connections: int = 64, alerts: int = 1) -> Run:
        """One round against one of the small servers."""
        (port,) = free_ports(1)
        with self.server("tests.bench.servers", name, str(port)) as pid:
            return self._load(f"http://127.0.0.1:{port}/", pid, seconds, connections, alerts)

    def alerts(self, *, seconds: int, connections: int, worker: bool, alerts: int = 1) -> Run:
        """One round against the alerts service itself, every request a new committed row and its job."""
        port, metrics = free_ports(2)
        shared = {"DATABASE_URL": self._database_url}
        # Nobody drains in most rounds; the mark would turn the rest of the run into 503s.
        shared["INGEST_HIGH_WATER"] = "100000000"
        api = {"KUBERNAUT_ROLE": "api", "ALERTS_PORT": str(port), "ALERTS_METRICS_PORT": str(metrics)}
        with contextlib.ExitStack() as parts:
            pid = parts.enter_context(self.server("services.alerts", environment={**shared, **api}))
            if worker:
                role = {"KUBERNAUT_ROLE": "worker", "ALERTS_METRICS_PORT": str(metrics + 1)}
                parts.enter_context(
                    self.server("services.alerts", environment={**shared, **role}, core=LOAD_CORE)
                )
            return self._load(f"http://127.0.0.1:{port}{WEBHOOK}", pid, seconds, connections, alerts)

    def context(self, *, seconds: int, connections: int = 64) -> Run:
        """One round of the same question to the Context API: found once, then read from its cache."""
        port, metrics = free_ports(2)
        settings = {
            "RECORDED_CLUSTER": str(INCIDENT),
            "CONTEXT_API_PORT": str(port),
            "CONTEXT_API_METRICS_PORT": str(metrics),
            "RATE_LIMIT_REQUESTS": "1000000000",
        }
        url = f"http://127.0.0.1:{port}{CAUSES}"
        with self.server("services.context_api", environment=settings) as pid:
            _wait_until_listening(url)
            _wait_until_ready(f"http://127.0.0.1:{port}/ready")
            script = self._base / "read.lua"
            script.write_text(READ_SCRIPT)
            for duration in (1, seconds):
                run = wrk(
                    url,
                    pid=pid,
                    script=script,
                    connections=connections,
                    seconds=duration,
                    core=LOAD_CORE,
                    token=self._keys.operator_key,
                )
            return run

    def _load(self, url: str, pid: int, seconds: int, connections: int, alerts: int) -> Run:
        _wait_until_listening(url)
        script = self._base / "alerts.lua"
        script.write_text(ALERT_SCRIPT.format(alerts=alerts, run=uuid.uuid4().hex[:8]))
        token = self._keys.alertmanager_token if WEBHOOK in url else self._keys.operator_key
        wrk(url, pid=pid, script=script, connections=connections, seconds=1, core=LOAD_CORE, token=token)
        script.write_text(ALERT_SCRIPT.format(alerts=alerts, run=uuid.uuid4().hex[:8]))
        return wrk(
            url, pid=pid, script=script, connections=connections, seconds=seconds, core=LOAD_CORE, token=token
        )


def _wait_until_listening(url: str) -> None:
    ends = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            httpx.get(url, timeout=1, trust_env=False)
        except httpx.TransportError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)
        else:
            return


def settle(postgres: EmbeddedPostgres, bench: Bench) -> None:
    """Bring PostgreSQL to where it is after its first hours: log files are recycled instead of made.

    A new server writes and syncs 16 MB of zeros for each of the first ones; acknowledgements wait for that.
    """
    bench.alerts(seconds=10, connections=64, worker=False)
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        for statement in ("SELECT pg_switch_wal()", "CHECKPOINT") * 2:
            connection.execute(statement)


ROOMY = {"min_wal_size": "2GB", "max_wal_size": "4GB"}
"""Log files enough for a whole bench; a checkpoint in one variant's round would be that variant's bad luck."""


def _wait_until_ready(url: str) -> None:
    ends = time.monotonic() + READY_WITHIN_S
    while (status := httpx.get(url, timeout=5, trust_env=False).status_code) != 200:
        if time.monotonic() > ends:
            raise TimeoutError(f"{url} still answers {status}")
        time.sleep(0.05)


def measure(bench: Bench, rounds: int, seconds: int) -> tuple[dict[str, list[Run]], dict[str, list[Run]]]:
    """Interleave every variant in each round; the second table is at 1,000 connections."""
    main: dict[str, list[Run]] = {}
    many: dict[str, list[Run]] = {}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds} …", flush=True)
        for name in ("raw", "decode", "plain", "full"):
            main.setdefault(NAMES[name], []).append(bench.small(name, seconds=seconds))
        for name, worker in (("ack", False), ("draining", True)):
            run = bench.alerts(seconds=seconds, connections=64, worker=worker)
            main.setdefault(NAMES[name], []).append(run)
        main.setdefault(NAMES["read"], []).append(bench.context(seconds=seconds))
        many.setdefault(NAMES["raw"], []).append(bench.small("raw", seconds=seconds, connections=1_000))
        run = bench.alerts(seconds=seconds, connections=1_000, worker=False)
        many.setdefault(NAMES["ack"], []).append(run)
    return main, many


NAMES = {
    "raw": "raw ASGI (uvicorn)",
    "decode": "parse + validate",
    "plain": "FastAPI + Pydantic route, nothing around it",
    "full": "the same route with everything around it",
    "ack": "**durable ack** (row + job committed; authentication, log, metrics)",
    "read": "cached context read (ranked causes of one workload)",
    "draining": "durable ack, worker draining on PostgreSQL's core",
}

GOALS = """
| goal | measured | wanted |
|---|--:|--:|
| durable ack, 64 connections, × raw ASGI | {ack:.3f} | ≥ 0.20 |
| its p99 | {p99:.1f} ms | < 15 ms |
| errors at 1,000 connections | {errors} | 0 |
| p99 at 1,000 connections | {many_p99:.0f} ms | < 250 ms |
| CPU per request, everything around a route ÷ nothing | {cpu:.2f} | ≤ 1.3 |
"""


def report(
    triage: TriageRun,
    main: dict[str, list[Run]],
    many: dict[str, list[Run]],
    rounds: int,
    seconds: int,
) -> str:
    table, crowd = rows(main, NAMES["raw"]), rows(many, NAMES["raw"])
    by_name = {row.variant: row for row in table}
    ack, busy = by_name[NAMES["ack"]], next(row for row in crowd if row.variant == NAMES["ack"])
    goals = GOALS.format(
        ack=ack.ratio,
        p99=ack.p99,
        errors=busy.errors,
        many_p99=busy.p99,
        cpu=cpu_ratio(main, NAMES["full"], NAMES["plain"]),
    )
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Written by `make bench`. Ratios, because the machine's own speed is nobody's news.",
            "",
            f"Machine: {machine()}. {rounds} interleaved rounds of {seconds} s; medians, ratios are medians of per-round",
            "ratios. Server on core 0; wrk, PostgreSQL (fsync on) and the worker on core 1. Every request carries one",
            "alert that no request carried before. PostgreSQL recycles its log files, as after its first hours; on one that",
            "still makes them p99 of an acknowledgement is 1 to 3 ms longer (2026-11-26).",
            goals,
            "## 64 connections",
            "",
            markdown(table),
            "",
            "## 1,000 connections",
            "",
            markdown(crowd),
            "",
            TRIAGE,
            triage_table(triage),
        ]
    )


TRIAGE = "## Speed of triage"


def with_triage(text: str, run: TriageRun) -> str:
    """The report with this section of it measured anew; the others, and other commands' parts, keep their figures."""
    body = text.partition("<!-- written by ")[0].partition(TRIAGE)[0]
    return with_body(text, f"{body}{TRIAGE}\n{triage_table(run)}")


def _without_database(base: Path) -> tuple[Bench, str]:
    keys = new_keys_file(base / "keys.yaml")
    return Bench(base, keys, ""), keys.operator_key


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the alert path's ratios.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--dry", action="store_true", help="print the report, do not write it")
    parser.add_argument(
        "--triage", action="store_true", help="measure triage alone, and keep the other figures"
    )
    parser.add_argument(
        "--reads", action="store_true", help="measure kept answers alone, and keep the other figures"
    )
    chosen = parser.parse_args()
    if chosen.reads:
        section = reads.alone(_without_database, chosen.rounds, chosen.seconds)
        print(section)
        if not chosen.dry:
            REPORT.write_text(with_part(REPORT.read_text(), reads.COMMAND, section))
        return
    if chosen.triage:
        with tempfile.TemporaryDirectory(prefix="kubernaut-bench-") as place:
            text = with_triage(REPORT.read_text(), measure_triage(Path(place)))
        print(text.partition(TRIAGE)[2])
        if not chosen.dry:
            REPORT.write_text(text)
        return
    with tempfile.TemporaryDirectory(prefix="kubernaut-bench-") as place:
        base = Path(place)
        postgres = EmbeddedPostgres(base / "postgres", settings=ROOMY)
        postgres.start()
        try:
            if postgres.pid is not None:
                os.sched_setaffinity(postgres.pid, {int(LOAD_CORE)})
            postgres.provision(CONNECTION_LIMITS)
            keys = new_keys_file(base / "keys.yaml")
            bench = Bench(base, keys, postgres.url(role="alerts"))
            settle(postgres, bench)
            main_table, crowd = measure(bench, chosen.rounds, chosen.seconds)
            triage = measure_triage(base)
            read = reads.measure(bench, base, keys.operator_key, chosen.rounds, chosen.seconds)
        finally:
            postgres.destroy()
        text = report(triage, main_table, crowd, chosen.rounds, chosen.seconds)
    print(text)
    if not chosen.dry:
        whole = with_body(REPORT.read_text(), text)
        section = reads.table(read, chosen.rounds, chosen.seconds)
        REPORT.write_text(with_part(whole, reads.COMMAND, section))


if __name__ == "__main__":
    main()
