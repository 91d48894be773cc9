"""Whether a TCP port is free, and who holds it when it is not."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

PROC = Path("/proc")


def is_taken(port: int, host: str = "127.0.0.1") -> bool:
    """True when another socket listens there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the servers do it: a port in TIME_WAIT is free, a listening one is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return True
            raise
    return False


def holder(port: int, proc: Path = PROC) -> str:
    """The process that listens on a TCP port, as `pid 123 (redis-server …)`.

    Reads Linux's /proc; elsewhere, or for another user's process, the answer says that it cannot be told.
    """
    inodes = _listening_inodes(port, proc)
    for folder in proc.glob("[0-9]*") if inodes else ():
        try:
            links = [descriptor.readlink() for descriptor in (folder / "fd").iterdir()]
        except OSError:  # gone meanwhile, or not ours to look at
            continue
        if any(str(link) in inodes for link in links):
            return f"pid {folder.name} ({_command(folder)})"
    return "a process that cannot be named from here (another user's, perhaps)"


def _listening_inodes(port: int, proc: Path) -> set[str]:
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            listening = columns[3] == "0A"
            if listening and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{columns[9]}]")
    return inodes


def _command(folder: Path) -> str:
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
    except OSError:
        return "?"
    return words if len(words) <= 120 else words[:117] + "…"
