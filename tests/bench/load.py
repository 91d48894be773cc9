"""Drives a server on loopback with wrk and reads what it and the kernel say about the run."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")

ALERT_SCRIPT = """
-- Each request carries {alerts} alert(s) that no request carried before, so that every one is a new row.
local thread_number = 0
function setup(thread) thread:set("number", thread_number); thread_number = thread_number + 1 end
local count = 0
local run = "{run}"
local token = os.getenv("BENCH_TOKEN")
function init(args) wrk.headers["Content-Type"] = "application/json"
  if token and token ~= "" then wrk.headers["Authorization"] = "Bearer " .. token end end
local one = '{{"status":"firing","labels":{{"alertname":"HighErrorRate","cluster":"bench","instance":"10.0.0.7:9090",' ..
  '"job":"demo","namespace":"shop","pod":"checkout-%s","prometheus":"monitoring/k8s","service":"checkout",' ..
  '"severity":"critical","team":"shop"}},"annotations":{{"description":"checkout at 90%%","runbook_url":' ..
  '"https://runbooks.example/HighErrorRate","summary":"High error ratio"}},"startsAt":"2026-11-21T01:25:36.568Z",' ..
  '"endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prom.example/graph","fingerprint":"%s"}}'
function request()
  local alerts = {{}}
  for i = 1, {alerts} do
    count = count + 1
    local id = run .. "-" .. number .. "-" .. count
    alerts[i] = string.format(one, id, id)
  end
  local body = '{{"receiver":"bench","status":"firing","alerts":[' .. table.concat(alerts, ",") ..
    '],"groupLabels":{{"alertname":"HighErrorRate"}},"commonLabels":{{"alertname":"HighErrorRate"}},' ..
    '"commonAnnotations":{{}},"externalURL":"http://am.example:9093","version":"4","groupKey":"{{}}:{{alertname=' ..
    '\\\\"HighErrorRate\\\\"}}","truncatedAlerts":0}}'
  return wrk.format("POST", nil, nil, body)
end
"""

READ_SCRIPT = """
local token = os.getenv("BENCH_TOKEN")
function init(args) wrk.headers["Authorization"] = "Bearer " .. token end
"""

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of wrk. Times in ms, CPU in µs of the server process per answered request."""

    rps: float
    p50: float
    p99: float
    requests: int
    errors: int
    """Answers other than 2xx/3xx, and socket errors."""
    cpu_us: float


def cpu_ticks(pid: int) -> int:
    """User and system time of a process, all threads, in clock ticks (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def wrk(
    url: str, *, pid: int, script: Path, connections: int, seconds: int, core: str, token: str = ""
) -> Run:
    """One closed-loop run: as many requests as the connections carry, for a bounded time."""
    before = cpu_ticks(pid)
    done = subprocess.run(
        [
            "taskset",
            "-c",
            core,
            "wrk",
            "--latency",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "10s",
            "-s",
            str(script),
            url,
        ],
        env={**os.environ, "BENCH_TOKEN": token},
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    return parse(done.stdout, cpu_ticks(pid) - before)


def parse(text: str, ticks: int) -> Run:
    """Read wrk's report.

    Raises:
        ValueError: the text is no wrk report.
    """
    total = re.search(r"(\d+) requests in ", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if not total or not rate:
        raise ValueError(f"wrk said something else:\n{text}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    sockets = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    requests = int(total[1])
    return Run(
        rps=float(rate[1]),
        p50=_percentile(text, "50"),
        p99=_percentile(text, "99"),
        requests=requests,
        errors=(int(bad[1]) if bad else 0) + (sum(map(int, sockets.groups())) if sockets else 0),
        cpu_us=ticks / TICKS * 1e6 / max(requests, 1),
    )


def _percentile(text: str, percent: str) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    if not found:
        raise ValueError(f"wrk gave no {percent}th percentile:\n{text}")
    return float(found[1]) * _UNITS[found[2]]
