"""A real Prometheus and a real Alertmanager as child processes, and an exporter whose values a test sets.

Debian's or, where `KUBERNAUT_PROMETHEUS` and `KUBERNAUT_ALERTMANAGER` name them, others.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.support.ports import free_ports
from tests.support.programs import program

READY_WITHIN_S = 30.0
"""Both need under half a second on a quiet machine."""

CRASH_LOOP = "KubePodCrashLooping"
_WAITING = "kube_pod_container_status_waiting_reason"


class Exporter:
    """Says, as kube-state-metrics does, which pods are in CrashLoopBackOff."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._crashing: set[tuple[str, str, str]] = set()

    @contextlib.contextmanager
    def crashing(self, namespace: str, pod: str, container: str) -> Iterator[None]:
        """The pod crash-loops while the block runs."""
        self._crashing.add((namespace, pod, container))
        try:
            yield
        finally:
            self._crashing.discard((namespace, pod, container))

    def text(self) -> bytes:
        lines = [f"# TYPE {_WAITING} gauge"] + [
            f'{_WAITING}{{namespace="{namespace}",pod="{pod}",container="{container}",reason="CrashLoopBackOff"}} 1'
            for namespace, pod, container in sorted(self._crashing)
        ]
        return ("\n".join(lines) + "\n").encode()


@contextlib.contextmanager
def exporting() -> Iterator[Exporter]:
    """Serve the exporter on a free port of 127.0.0.1."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exporter.text()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A scrape a second is no news."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.daemon_threads = True
    exporter = Exporter(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield exporter
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Alertmanager:
    """What a test may ask a running Alertmanager."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def failed_posts(self) -> int:
        """How many webhooks were not taken: refused, or answered with an error."""
        text = httpx.get(f"{self.url}/metrics", trust_env=False, timeout=5).text
        name = r"^alertmanager_notification_requests_failed_total\{[^}]*integration=\"webhook\"[^}]*\} (\S+)$"
        return round(sum(float(value) for value in re.findall(name, text, re.MULTILINE)))


@contextlib.contextmanager
def alertmanager(folder: Path, *, webhook: str, token: str) -> Iterator[Alertmanager]:
    """Start one that posts what it is told, within a second, to the webhook, with this bearer credential."""
    folder.mkdir()
    credential = folder / "token"
    credential.write_text(token)
    credential.chmod(0o600)
    receiver = {
        "url": webhook,
        "send_resolved": True,
        "http_config": {"authorization": {"type": "Bearer", "credentials_file": str(credential)}},
    }
    route = {
        "receiver": "kubernaut",
        "group_by": ["alertname", "namespace", "pod"],
        "group_wait": "500ms",
        "group_interval": "1s",
        "repeat_interval": "4h",
    }
    config = {"route": route, "receivers": [{"name": "kubernaut", "webhook_configs": [receiver]}]}
    (port,) = free_ports(1)
    arguments = [
        f"--config.file={_written(folder / 'alertmanager.yml', config)}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with _running("prometheus-alertmanager", arguments, folder, port):
        yield Alertmanager(port)


@contextlib.contextmanager
def prometheus(folder: Path, *, scraping: int, alerting: str) -> Iterator[str]:
    """Start one that scrapes a port of 127.0.0.1 and evaluates the crash-loop rule, each once a second; its URL."""
    folder.mkdir()
    rule = {
        "alert": CRASH_LOOP,
        "expr": f'{_WAITING}{{reason="CrashLoopBackOff"}} >= 1',
        "labels": {"severity": "warning"},
        "annotations": {
            "summary": "Pod is crash looping.",
            "description": "Pod {{ $labels.namespace }}/{{ $labels.pod }} ({{ $labels.container }}) is in waiting state.",
        },
    }
    rules = {"groups": [{"name": "kubernetes-apps", "rules": [rule]}]}
    job = {
        "job_name": "kube-state-metrics",
        "honor_labels": True,
        "static_configs": [{"targets": [f"127.0.0.1:{scraping}"]}],
    }
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [_written(folder / "rules.yml", rules)],
        "scrape_configs": [job],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [urlsplit(alerting).netloc]}]}]},
    }
    (port,) = free_ports(1)
    arguments = [
        f"--config.file={_written(folder / 'prometheus.yml', config)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with _running("prometheus", arguments, folder, port):
        yield f"http://127.0.0.1:{port}"


def _written(path: Path, content: dict[str, Any]) -> str:
    """JSON is YAML."""
    path.write_text(json.dumps(content))
    return str(path)


@contextlib.contextmanager
def _running(name: str, arguments: list[str], folder: Path, port: int) -> Iterator[None]:
    path = program(name)
    assert path is not None
    log = folder / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen([path, *arguments], stdout=output, stderr=output, cwd=folder)
    try:
        ends = time.monotonic() + READY_WITHIN_S
        while not _ready(port):
            assert process.poll() is None, f"{name} ended at once:\n{log.read_text()}"
            assert time.monotonic() < ends, f"{name} does not become ready:\n{log.read_text()}"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/-/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
