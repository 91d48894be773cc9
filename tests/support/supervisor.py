"""A supervisor in a process of its own, to be killed: starts the embedded server, says so, waits.

Run as `python -m tests.support.supervisor STATE_FOLDER BASE`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from libs.storage.embedded import EmbeddedFailed, EmbeddedPostgres
from tests.support.children import start


def main(root: Path, base: Path) -> int:
    # A shell starts what runs in its background with SIGINT ignored, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    server = EmbeddedPostgres(root, base=base)
    try:
        server.start()
    except EmbeddedFailed as error:
        print(error, flush=True)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(server.pid, flush=True)
    try:
        sys.stdin.read()
    finally:
        server.stop()
    return 0


class Supervisor:
    """The other side: starts that process and reads what it says first."""

    def __init__(self, root: Path, base: Path) -> None:
        self.process = start(
            "tests.support.supervisor",
            str(root),
            str(base),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().strip()

    @property
    def postmaster(self) -> int:
        assert self.said.isdigit(), self.said
        return int(self.said)

    def end(self, word: signal.Signals) -> int:
        self.process.send_signal(word)
        status = self.process.wait(timeout=30)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
