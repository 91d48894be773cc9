"""A process that is confined as the engine is, tries everything, and prints what came of it.

Run as `python -m tests.support.confined` in the engine's environment, with what it is to try on standard input.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from services.holmesgpt_api.engine.confinement import confine, narrow
from services.holmesgpt_api.engine.messages import Confinement


def tried(act: Callable[[], object]) -> str:
    """`done`, or the name of the error."""
    try:
        act()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    return "done"


def connect(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass


def listen() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()


def in_a_thread(act: Callable[[], object]) -> str:
    said: list[str] = []
    thread = threading.Thread(target=lambda: said.append(tried(act)))
    thread.start()
    thread.join()
    return said[0]


def in_a_fork(act: Callable[[], object]) -> str:
    there, here = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(here, tried(act).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return os.read(there, 100).decode()


def outcomes(given: Mapping[str, Any]) -> dict[str, str]:
    home, outside, root = Path(os.environ["HOME"]), Path(given["outside"]), Path(given["root"])
    allowed, other = given["allowed"], given["other"]
    reads: dict[str, Path] = {
        "a secret outside": outside / "secret",
        "the installation's directory": root / "pyproject.toml",
        "a parent's environment": Path(f"/proc/{os.getppid()}/environ"),
        "names of hosts": Path("/etc/hosts"),
        "a file that the environment names": Path(os.environ["CREDENTIALS_FILE"]),
        "its own code": Path(__file__).parents[2] / "services/__init__.py",
        "its own size": Path("/proc/self/statm"),
    }
    writes: dict[str, Path] = {
        "outside": outside / "left",
        "into a library": Path(os.__file__).parent / "left.py",
        "at home": home / "kept",
        "who is ended first": Path("/proc/self/oom_score_adj"),
    }
    found = {f"read {what}": tried(path.read_bytes) for what, path in reads.items()}
    found |= {f"write {what}": tried(lambda one=path: one.write_text("500")) for what, path in writes.items()}  # type: ignore[misc]
    found["list outside"] = tried(lambda: list(outside.iterdir()))
    found["execute"] = tried(lambda: subprocess.run(["/bin/true"], check=True))
    found["listen"] = tried(listen)
    found["signal a parent"] = tried(lambda: os.kill(os.getppid(), 0))
    found["import what was not needed before"] = tried(lambda: __import__("wave"))
    found["connect before a run"] = tried(lambda: connect(other))
    narrow(frozenset({allowed}))
    found["connect to its model"] = tried(lambda: connect(allowed))
    found["connect elsewhere"] = tried(lambda: connect(other))
    found["connect elsewhere in a thread"] = in_a_thread(lambda: connect(other))
    found["connect elsewhere in a fork"] = in_a_fork(lambda: connect(other))
    found["read a secret in a fork"] = in_a_fork((outside / "secret").read_bytes)
    return found


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    abi = confine(Confinement(mode="required"))
    json.dump({"abi": abi, "outcomes": outcomes(asked)}, sys.stdout)
