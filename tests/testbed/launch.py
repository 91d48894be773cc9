"""Become a program that dies with the process that started it.

Run as a script, with the standard library alone, for the reason that `libs/storage/embedded/launch.py` gives. Unlike
there the signal is SIGKILL: a control plane whose owner is gone has nothing left to save.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whatever the owner holds back, the program must hear
    os.umask(0o077)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
