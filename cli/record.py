"""`kubernaut record`: write a recorded cluster from a live one, to be read by `triage` or RECORDED_CLUSTER.

Decides what is said about it, and the exit code. What not everybody may read is handled below: Secrets come
without their data, and the directory is its owner's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from cli.call import complain
from cli.live import BadOption, NotRead, Wanted, read
from cli.triage_text import readable
from services.context_api.adapters.recording import CannotWrite, free_for, write_recording
from services.context_api.domain.snapshot import NotRead as Gap
from services.context_api.domain.snapshot import Snapshot

WRITTEN, NOT_WRITTEN = 0, 2

TOOL = "kubernaut record"
GAPS_SHOWN = 12


def main(out: Path, wanted: Wanted, *, name: str | None) -> int:
    """Read, write, say what is there and what is not; returns the exit code."""
    try:
        # First: nobody should wait for minutes to learn that the place is taken.
        free_for(out)
        snapshot, server = read(wanted)
        missed = write_recording(
            snapshot, out, {"cluster": name or wanted.context or server, "recorded_by": TOOL}
        )
    except (CannotWrite, NotRead, BadOption) as error:
        complain("record", str(error))
        return NOT_WRITTEN
    write(out, snapshot, missed, Console(file=sys.stdout, highlight=False))
    return WRITTEN


def write(out: Path, snapshot: Snapshot, missed: Iterable[Gap], console: Console) -> None:
    """One line of what is there, then what could not be read."""
    console.print(
        readable(
            f"{out}: {len(snapshot.objects)} objects, {len(snapshot.events)} events, {len(snapshot.logs)} logs and "
            f"{len(snapshot.metrics)} metric answers as of {snapshot.captured_at:%Y-%m-%d %H:%M:%S} UTC"
        ),
        markup=False,
        soft_wrap=True,
    )
    gaps = [*snapshot.not_read, *missed]
    if gaps:
        console.print(f"Not read ({len(gaps)}; all of it stands in snapshot.yaml):", soft_wrap=True)
    for gap in gaps[:GAPS_SHOWN]:
        console.print(readable(f"  {gap}"), markup=False, soft_wrap=True)
    if len(gaps) > GAPS_SHOWN:
        console.print(f"  … and {len(gaps) - GAPS_SHOWN} more", soft_wrap=True)
