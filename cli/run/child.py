"""Runs one service in this process and ends it when the supervisor is gone.

The supervisor holds the writing end of a pipe and never writes. When it ends, however it ends (kill -9 too),
the pipe closes, and this process stops itself as if asked to: SIGTERM, then SIGKILL. It needs nothing that only
Linux has.

    python -m cli.run.child DESCRIPTOR MODULE
"""

from __future__ import annotations

import gc
import os
import runpy
import signal
import sys
import threading

GRACE_S = 40.0
"""Longer than a service's own drain (5 s) and finish (25 s), so that a stop is never cut short."""


def end_with(descriptor: int) -> None:
    """Wait until the pipe closes, then end this process; returns only where signals do nothing."""
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    descriptor, module = int(sys.argv[1]), sys.argv[2]
    os.set_inheritable(descriptor, False)
    threading.Thread(target=end_with, args=(descriptor,), name="supervisor-watch", daemon=True).start()
    sys.argv = [module]
    # Importing makes thousands of objects that stay and hardly any garbage: looking for it takes a tenth of the start.
    # What serves collects as `settle_garbage_collection` says.
    gc.set_threshold(50_000, 20, 100)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
