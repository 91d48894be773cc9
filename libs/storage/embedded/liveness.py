"""Tell a server that serves or recovers from one that does neither and never will.

PostgreSQL 18 was seen in both states after its disk had been full: the process that recovers waited for a checkpoint
that nobody made any more until the next one was due, five minutes later; or that process had died and the others
waited for it without end. Everybody was refused meanwhile, although there was room again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_SERVES = b"postgres: walwriter"
_RECOVERS = (b"postgres: startup", b"postgres: checkpointer")


@dataclass(frozen=True, slots=True)
class Child:
    pid: int
    title: bytes
    state: str
    """One letter, as /proc/PID/status has it: R runs, D waits for a disk, S waits for somebody."""
    waits: int
    """How often it has waited for anything so far: it grows with each step of whatever it does."""


class Liveness:
    """Looks at one server again and again."""

    def __init__(self) -> None:
        self._waits: dict[int, int] = {}

    def at_work(self, postmaster: int) -> bool:
        """Whether it serves, or has got on with its recovery since the last look.

        Where the kernel does not list children it cannot be known, and is taken for granted.
        """
        try:
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        except OSError:
            return True
        return self.judge([child for pid in children if (child := _look(int(pid)))])

    def judge(self, children: list[Child]) -> bool:
        recovering = [child for child in children if child.title.startswith(_RECOVERS)]
        before, self._waits = self._waits, {child.pid: child.waits for child in recovering}
        return (
            any(child.title.startswith(_SERVES) for child in children)
            or any(child.state in "RD" for child in recovering)
            or self._waits != before
        )


def _look(pid: int) -> Child | None:
    folder = Path(f"/proc/{pid}")
    try:
        title = (folder / "cmdline").read_bytes()
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    except OSError:  # gone meanwhile
        return None
    return Child(pid, title, status["State"].strip()[0], int(status.get("voluntary_ctxt_switches", 0)))
