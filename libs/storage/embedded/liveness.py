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
    """One letter, as /proc/PID/stat has it: R runs, D waits for a disk, S waits for somebody."""
    ticks: int
    """Processor time so far, in hundredths of a second. Not how often it woke: a timer wakes the stuck ones too."""


class Liveness:
    """Looks at one server again and again."""

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}

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
        before, self._ticks = self._ticks, {child.pid: child.ticks for child in recovering}
        return (
            any(child.title.startswith(_SERVES) for child in children)
            or any(child.state in "RD" for child in recovering)
            or self._ticks != before
        )


def _look(pid: int) -> Child | None:
    folder = Path(f"/proc/{pid}")
    try:
        title = (folder / "cmdline").read_bytes()
        # The second field is the program's name in brackets, and may hold anything.
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # gone meanwhile
        return None
    return Child(pid, title, state=fields[0], ticks=int(fields[11]) + int(fields[12]))
