"""A worker with a real engine and a scripted model, shared by the tests of a module: HolmesGPT takes long to import.

Each test sets the model's mood, and asks through an API of its own, whose settings decide how long runs live.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from services.holmesgpt_api.settings import Settings
from tests.fakes.context_api import FakeContextApi
from tests.fakes.model import FakeModel
from tests.support.holmesgpt import Place

KEY = "sk-scripted-model"


@dataclass
class Engine:
    place: Place
    context: FakeContextApi
    model: FakeModel
    worker: subprocess.Popen[bytes]
    with_model: dict[str, Any]

    def settings(self, **others: Any) -> Settings:
        return self.place.settings(**self.with_model, **others)

    def processes(self) -> list[int]:
        """The zygote and its children, the zygote first."""
        zygotes = [pid for pid in children_of(self.worker.pid) if "holmesgpt_api.engine" in command_of(pid)]
        return [one for zygote in zygotes for one in (zygote, *children_of(zygote))]

    def children(self, doing: str) -> list[int]:
        """Those at a run (`busy`), or those that wait for one (`idle`)."""
        return [pid for pid in self.processes()[1:] if name_of(pid) == f"holmes-{doing}"]

    def wait_for_children(self, number: int, *, doing: str = "busy", within: float = 30) -> list[int]:
        """The children at a run, once there are exactly so many."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            children = self.children(doing)
            if self.processes() and len(children) == number:
                return children
            time.sleep(0.05)
        raise AssertionError(f"{self.processes()}: not {number} {doing} children within {within} s")


def with_model(model: FakeModel) -> dict[str, Any]:
    return {
        "llm_model": "scripted",
        "llm_provider": "local_llm",
        "llm_base_url": model.url,
        "llm_api_key": KEY,
        "llm_input_price": 2.0,
        "llm_output_price": 8.0,
        "llm_tools": True,  # not probed, so that every request is a run's
        "llm_probe_interval": 3600,
        "max_steps": 4,
        "max_running": 20,
        # Tests ask the same question again and again, and want the model asked each time.
        "result_cache_ttl": 0,
    }


@contextmanager
def engine(
    place: Place, context: FakeContextApi, model: FakeModel, *, log: IO[bytes] | None = None, **others: Any
) -> Iterator[Engine]:
    settings = {**with_model(model), **others}
    worker = place.worker_process(log, **settings)
    try:
        yield Engine(place, context, model, worker, settings)
    finally:
        worker.kill()
        worker.wait()


def children_of(pid: int) -> list[int]:
    entries = [one for one in Path("/proc").iterdir() if one.name.isdigit()]
    return sorted(int(one.name) for one in entries if _parent(one) == pid)


def _parent(entry: Path) -> int | None:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def name_of(pid: int) -> str:
    """As `ps -o comm` shows it."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Whether it still runs; one that nobody has reaped does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
