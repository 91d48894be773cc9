"""Become the server: drop root's rights, ask to be told of the parent's death, then execute the program.

Run as a script by `server.py`, with the standard library alone. A script of its own rather than
`preexec_fn`, because that runs Python in a forked child: the supervisor has threads, and Python 3.12 and
later warn that this may deadlock.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, uid: int, gid: int, command: list[str]) -> None:
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After the change of user, which clears it. SIGINT is PostgreSQL's fast shutdown. It is sent when
        # the parent's thread that started us ends, so that must be the main thread.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)
    os.umask(0o077)
    os.execv(command[0], command)  # noqa: S606  a program of ours, from an absolute path


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
