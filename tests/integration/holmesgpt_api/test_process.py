"""The program as it is started: one process, asked over a socket, ended by a signal."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.children import start
from tests.support.holmesgpt import Place, as_go_sends_it

pytestmark = pytest.mark.requirement("HAPI-036", "HAPI-040", "HAPI-051", "HAPI-054")

NETWORKS = json.dumps({"127.0.0.0/8": {"principal": "kubernaut", "roles": ["api_user"]}})


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture
def environment(here: Place, monkeypatch: pytest.MonkeyPatch) -> int:
    """What an operator sets; the port it is to listen on."""
    port = free_port()
    monkeypatch.setenv("DATABASE_URL", here.values["database_url"])
    monkeypatch.setenv("KUBERNAUT_CONTEXT_API_URL", here.values["context_api_url"])
    monkeypatch.setenv("HOLMESGPT_PORT", str(port))
    monkeypatch.setenv("HOLMESGPT_METRICS_PORT", "0")
    monkeypatch.delenv("AUTH_KEYS_FILE", raising=False)
    return port


@contextmanager
def process() -> Iterator[subprocess.Popen[bytes]]:
    child = start("services.holmesgpt_api", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def ask(port: int, method: str, path: str, body: object = None) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        headers = {"Content-Type": "application/json", "User-Agent": "Kubernaut-HolmesGPT-Client/1.0"}
        connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def says(child: subprocess.Popen[bytes], word: bytes) -> list[bytes]:
    """Read the log until a line with this word, or its end."""
    assert child.stdout is not None
    lines = []
    for line in child.stdout:
        lines.append(line)
        if word in line:
            return lines
    raise AssertionError(f"it ended with {child.wait()} and never said {word!r}: {lines}")


@pytest.mark.requirement("HAPI-045")
def test_the_go_applications_call_is_answered_over_the_wire_and_the_process_ends_in_order(
    environment: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TRUSTED_NETWORKS", NETWORKS)
    with process() as child:
        says(child, b'"listening"')
        ready, _ = ask(environment, "GET", "/ready")
        status, body = ask(environment, "POST", "/api/v1/investigate", as_go_sends_it())
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)

    assert (ready, status, body["status"], body["engine"]) == (200, 200, "completed", "triage")
    assert "orders-db-config" in str(body["investigation"])
    assert child.returncode == 0


@pytest.mark.requirement("HAPI-066", "HAPI-079")
def test_a_process_that_knows_no_caller_refuses_to_start_and_says_what_to_set(environment: int):
    with process() as child:
        says(child, b"AUTH_KEYS_FILE")
        child.communicate(timeout=30)

    assert child.returncode not in (0, None)
