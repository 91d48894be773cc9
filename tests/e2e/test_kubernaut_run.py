"""`kubernaut run` as a person meets it: its report, its exit code, what it leaves behind."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.stack import ROOT, ports_environment

pytestmark = [
    pytest.mark.requirement("HAPI-040", "HAPI-050", "HAPI-055", "INT-BR-WH-001", "INT-BR-TEST-005"),
    pytest.mark.xdist_group("stack"),
]

PATIENCE_S = 120.0


class Run:
    """One `kubernaut run` with a state folder and ports of its own."""

    def __init__(self, state: Path, *arguments: str, **environment: str) -> None:
        self.output = state / "output.txt"
        self._file = self.output.open("wb")
        self.process = subprocess.Popen(
            [str(ROOT / "kubernaut"), "run", *arguments],
            env={**os.environ, **ports_environment(), "KUBERNAUT_STATE": str(state / "state"), **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=subprocess.STDOUT,
        )
        self.state = state / "state"

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=PATIENCE_S)
        self._file.close()

    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        ends = time.monotonic() + PATIENCE_S
        while text not in self.said():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < ends, self.said()
            time.sleep(0.1)

    def left(self) -> list[str]:
        """Processes that were started for this run and still are there."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                zombie = (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            if f"KUBERNAUT_STATE={self.state}".encode() in environment and not zombie:
                found.append(f"{folder.name} {command}")
        return found

    def wait_until_nothing_is_left(self) -> None:
        ends = time.monotonic() + PATIENCE_S
        while left := self.left():
            assert time.monotonic() < ends, left
            time.sleep(0.1)


def test_once_reports_the_cause_and_the_notification_and_leaves_nothing_running(tmp_path):
    with Run(tmp_path, "--once") as run:
        assert run.process.wait(timeout=PATIENCE_S) == 0, run.said()
        run.wait_until_nothing_is_left()

    said = run.said()
    assert "ConfigMap/data/orders-db-config" in said
    assert "environment" in said
    assert "priority" in said
    assert "console" in said
    assert "Traceback" not in said


def test_a_second_run_beside_it_is_refused_with_the_first_ones_pid(tmp_path):
    with Run(tmp_path) as first:
        first.wait_for("Kubernaut")
        (tmp_path / "second").mkdir()
        with Run(tmp_path / "second", KUBERNAUT_STATE=str(first.state)) as second:
            assert second.process.wait(timeout=PATIENCE_S) == 2
        assert f"pid {first.process.pid}" in second.said()


@pytest.mark.parametrize("word", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_running_when_a_serving_run_is_ended(tmp_path, word):
    with Run(tmp_path) as run:
        run.wait_for("Serving until Ctrl-C")
        run.process.send_signal(word)
        run.process.wait(timeout=PATIENCE_S)
        run.wait_until_nothing_is_left()


def test_a_taken_port_is_named_with_its_holder(tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with Run(tmp_path, ALERTS_PORT=str(port)) as run:
            assert run.process.wait(timeout=PATIENCE_S) == 2

    assert f"port {port}" in run.said()
    assert f"pid {os.getpid()}" in run.said()
    assert "ALERTS_PORT" in run.said()
