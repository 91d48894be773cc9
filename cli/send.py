"""`kubernaut send`: post a webhook body to the alerts service, byte for byte, and say what became of each alert."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from cli.call import PATIENCE, TENANT, NoAnswer, ask, complain
from cli.triage_text import readable
from libs.clients.alerts import AlertsClient
from libs.contracts.alerts import AlertReceipt

ACCEPTED, REFUSED, UNREADABLE = 0, 1, 2


def main(file: Path, *, url: str | None, as_json: bool) -> int:
    """Read, post, print; returns the exit code."""
    try:
        body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        complain("send", f"{file}: {(error.strerror or 'cannot be read').lower()}")
        return UNREADABLE

    async def post(alerts: AlertsClient) -> AlertReceipt:
        return await alerts.send_webhook(body, tenant=TENANT, deadline=PATIENCE)

    try:
        receipt = ask(url, post)
    except NoAnswer as error:
        complain("send", str(error))
        return REFUSED
    if as_json:
        print(receipt.model_dump_json(indent=2))
    else:
        write(receipt, Console(file=sys.stdout, highlight=False))
    return REFUSED if receipt.rejected else ACCEPTED


def write(receipt: AlertReceipt, console: Console) -> None:
    """One line for all, one for each that was rejected."""
    console.print(f"{receipt.accepted} accepted and committed, {receipt.rejected} rejected", soft_wrap=True)
    for result in receipt.results:
        if result.error:
            console.print(readable(f"  alert {result.index}: {result.error}"), markup=False, soft_wrap=True)
