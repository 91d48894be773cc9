"""What is said when serving begins: what is served, where, and how to look at it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from cli.triage_text import readable
from services.context_api.domain.snapshot import Snapshot

GAPS_SHOWN = 12

NO_CONFIG = "/dev/null"
"""Instead of the user's own kubeconfig: neither its credentials nor its namespace belong here."""


def greeting(snapshot: Snapshot, source: Path, url: str, kubeconfig: Path | None) -> Sequence[str]:
    """One line each."""
    lines = [
        (
            f"{source}: {len(snapshot.objects)} objects, {len(snapshot.events)} events and {len(snapshot.logs)} logs "
            f"as of {snapshot.captured_at:%Y-%m-%d %H:%M:%S} UTC"
        ),
        f"serving it read-only, to this machine alone, at {url} until Ctrl-C",
        "",
        f"  {command(url, kubeconfig)} get pods -A",
        "",
    ]
    gaps = snapshot.not_read
    if gaps:
        lines.append(f"Not recorded or not read ({len(gaps)}):")
    lines += [f"  {gap}" for gap in gaps[:GAPS_SHOWN]]
    if len(gaps) > GAPS_SHOWN:
        lines.append(f"  … and {len(gaps) - GAPS_SHOWN} more")
    return [readable(line) for line in lines]


def command(url: str, kubeconfig: Path | None) -> str:
    """How kubectl is led here."""
    if kubeconfig is not None:
        return f"kubectl --kubeconfig {shlex.quote(str(kubeconfig))}"
    return f"kubectl --kubeconfig {NO_CONFIG} --server {url}"
