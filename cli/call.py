"""How the command line reaches a service: its address, its credential, and what it says when that fails."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from libs.clients.alerts import AlertsClient
from libs.clients.errors import PeerRefused, PeerUnavailable
from libs.clients.settings import AlertsPeerSettings

TENANT = "default"
"""Only chooses a token where there are several; the service takes the tenant from the credential."""

PATIENCE = timedelta(seconds=30)
"""For one call. A person is waiting."""

Answer = TypeVar("Answer")


class NoAnswer(Exception):
    """The service refused or was not reached; the message says what to do."""


def ask(url: str | None, question: Callable[[AlertsClient], Awaitable[Answer]]) -> Answer:
    """Put one question to the alerts service.

    The credential is taken from the environment, not from an option: `ps` shows those to everybody.

    Raises:
        NoAnswer: with what to do about it.
    """
    address = url or str(AlertsPeerSettings().alerts_url)
    token = os.environ.get("KUBERNAUT_TOKEN")

    async def call() -> Answer:
        async with AlertsClient(address, token=lambda _: token) as client:
            return await question(client)

    try:
        return asyncio.run(call())
    except PeerUnavailable as error:
        raise NoAnswer(f"{address} did not answer: {error}. Is it running (make run)?") from error
    except PeerRefused as error:
        raise NoAnswer(_refusal(address, error)) from error


def complain(command: str, reason: str) -> None:
    print(f"kubernaut {command}: {reason}", file=sys.stderr)


def _refusal(address: str, error: PeerRefused) -> str:
    said = error.problem.detail or error.problem.title
    fields = "; ".join(f"{fault.field}: {fault.reason}" for fault in error.problem.errors)
    hint = " Set KUBERNAUT_TOKEN to an API key." if error.status == 401 else ""
    return f"{address} refused ({error.status} {error.problem.code}): {fields or said}.{hint}".replace(
        "..", "."
    )
