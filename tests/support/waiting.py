"""A service that only waits, for tests that start, kill and orphan processes. Ends kindly on SIGTERM.

Run as `python -m cli.run.child DESCRIPTOR tests.support.waiting`.
"""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"waiting as {os.getpid()}", flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
