"""A recording served by `./kubernaut serve-recording`, and the real kubectl that looks into it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.source import ROOT
from tests.testbed.programs import find

WITHIN_S = 60.0


@dataclass(frozen=True)
class Said:
    """What kubectl printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class ServedRecording:
    process: subprocess.Popen[str]
    url: str
    greeting: str
    """Everything up to the line that says how to look."""
    home: Path
    """kubectl's cache of discovery goes here: another recording on the same port must not find it."""

    def kubectl(self, *arguments: str | Path, kubeconfig: str | Path = "/dev/null") -> Said:
        where = ["--server", self.url] if str(kubeconfig) == "/dev/null" else []
        done = subprocess.run(
            [find().path("kubectl"), "--kubeconfig", kubeconfig, *where, *arguments],
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            env={"HOME": str(self.home), "PATH": os.defpath},
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def get(self, *arguments: str) -> Any:
        """`kubectl get … -o json`, read."""
        said = self.kubectl("get", *arguments, "-o", "json", "--show-managed-fields")
        assert said.code == 0, said.err
        return json.loads(said.out)

    def stop(self) -> tuple[int, str]:
        """As Ctrl-C stops it; the exit code, and what it said on standard error."""
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=WITHIN_S)
        return self.process.returncode, err


@contextlib.contextmanager
def serving(recording: Path, *options: str | Path) -> Iterator[ServedRecording]:
    """Serve it on a free port while the block runs."""
    process = subprocess.Popen(
        [str(ROOT / "kubernaut"), "serve-recording", str(recording), "--port", "0", *map(str, options)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as home:
        try:
            assert process.stdout is not None
            lines: list[str] = []
            while not (lines and lines[-1].lstrip().startswith("kubectl ")):
                line = process.stdout.readline()
                assert line, f"it ended at once: {process.stderr.read() if process.stderr else ''}"
                lines.append(line)
            greeting = "".join(lines)
            found = re.search(r"http://127\.0\.0\.1:[0-9]+", greeting)
            assert found is not None
            yield ServedRecording(process, found[0], greeting, Path(home))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(WITHIN_S)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
