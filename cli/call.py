"""How the command line reaches a service: its address, its credential, and what it says when that fails."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from pydantic import ValidationError

from cli.triage_text import readable
from libs.clients.alerts import AlertsClient
from libs.clients.errors import PeerRefused, PeerUnavailable
from libs.clients.peer import TokenSource
from libs.clients.settings import AlertsPeerSettings, PeerSettings

TENANT = "default"
"""Only chooses a token where there are several; the service takes the tenant from the credential."""

PATIENCE = timedelta(seconds=30)
"""For one call. A person is waiting."""

Answer = TypeVar("Answer")
Where = TypeVar("Where", bound=PeerSettings)


class NoAnswer(Exception):
    """The service refused, was not reached, or could not be asked; the message says what to do."""


def ask(url: str | None, question: Callable[[AlertsClient], Awaitable[Answer]]) -> Answer:
    """Put one question to the alerts service.

    The credential is taken from the environment, not from an option: `ps` shows those to everybody.

    Raises:
        NoAnswer: with what to do about it.
    """
    peer = where(AlertsPeerSettings)
    address = url or str(peer.alerts_url)

    async def call() -> Answer:
        async with AlertsClient(address, token=credential(), ca_file=peer.peer_ca_file) as client:
            return await question(client)

    try:
        return asyncio.run(call())
    except PeerUnavailable as error:
        raise NoAnswer(f"{address} did not answer: {error}. Is it running (make run)?") from error
    except PeerRefused as error:
        raise NoAnswer(refusal(address, error)) from error


def where(settings: Callable[[], Where]) -> Where:
    """Where a service is, and whose word on it is believed, as the environment says.

    Raises:
        NoAnswer: a value is wrong; it is named in one line, as a service does that cannot start.
    """
    try:
        return settings()
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise NoAnswer("; ".join(faults)) from error


def credential() -> TokenSource:
    """Where a client gets its bearer credential: KUBERNAUT_TOKEN, and none when that is not set."""
    token = os.environ.get("KUBERNAUT_TOKEN")
    return lambda _: token


def complain(command: str, reason: str) -> None:
    """Say on standard error what went wrong. A service's own words may be among it: they do not steer a terminal."""
    print(readable(f"kubernaut {command}: {reason}"), file=sys.stderr)


def refusal(address: str, error: PeerRefused) -> str:
    """What was refused and what to do about it, in one line."""
    said = error.problem.detail or error.problem.title
    fields = "; ".join(f"{fault.field}: {fault.reason}" for fault in error.problem.errors)
    hint = " Set KUBERNAUT_TOKEN to an API key." if error.status == 401 else ""
    return f"{address} refused ({error.status} {error.problem.code}): {fields or said}.{hint}".replace(
        "..", "."
    )
