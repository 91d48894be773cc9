"""How the command line reads a live cluster: which one, as whom, how far back, and what it says meanwhile.

What is read and how is `services.context_api.adapters.live`'s; importing this module takes a second, so the commands
do it when they are called.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console

from services.context_api.adapters.live import (
    Access,
    Gathering,
    KubeApi,
    LiveError,
    LiveLimits,
    Prometheus,
    Scope,
)
from services.context_api.adapters.live.connect import SERVICE_ACCOUNT, connect
from services.context_api.domain.promql import QueryRefused, matches_of
from services.context_api.domain.snapshot import Snapshot

PATIENT = LiveLimits(
    lists_within=timedelta(minutes=3),
    call=timedelta(seconds=30),
    logs=500,
    healthy_logs=200,
    logs_within=timedelta(minutes=1),
    metrics_within=timedelta(seconds=30),
)
"""One reading that a person waits for, instead of one every few seconds."""

_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class BadOption(Exception):
    """An option cannot be meant like that; the message names it."""


class NotRead(Exception):
    """There is no cluster to read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A cluster, and what of it, as the options say it."""

    kubeconfig: str | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    since: str | None = None
    prometheus: str | None = None


def read(wanted: Wanted, limits: LiveLimits = PATIENT) -> tuple[Snapshot, str]:
    """A snapshot of the cluster, and the address of its API server.

    Raises:
        BadOption, NotRead: with what to change.
    """
    scope = scope_of(wanted.namespaces, wanted.since)
    access = Access(kubeconfig_of(wanted.kubeconfig), wanted.context)
    prometheus = _prometheus(wanted.prometheus)

    async def gather() -> tuple[Snapshot, str]:
        api = KubeApi(lambda: connect(access), limits)
        try:
            with _progress() as progress:
                gathering = Gathering(api, limits, scope, prometheus)
                return await gathering.snapshot(progress=progress), api.server
        finally:
            await api.close()

    try:
        snapshot, server = asyncio.run(gather())
    except LiveError as error:
        raise NotRead(f"{error}. Which cluster: {access}; choose with --kubeconfig and --context") from error
    _refuse_unknown(scope.namespaces, snapshot)
    return snapshot, server


def scope_of(namespaces: Sequence[str], since: str | None) -> Scope:
    """Raises BadOption."""
    for name in namespaces:
        if not _NAMESPACE.fullmatch(name):
            raise BadOption(f"--namespace {name!r}: no namespace is called like that")
    return Scope(tuple(dict.fromkeys(namespaces)), duration(since) if since is not None else None)


def duration(text: str) -> timedelta:
    """`90s`, `30m`, `2h`, `1d`, or several of them in a row. Raises BadOption."""
    parts = _DURATION.findall(text)
    seconds = sum(int(count) * _UNITS[unit] for count, unit in parts)
    if "".join(f"{count}{unit}" for count, unit in parts) != text or seconds == 0:
        raise BadOption(f"--since {text!r}: want a length of time such as 90s, 30m, 2h or 1d")
    return timedelta(seconds=seconds)


def kubeconfig_of(given: str | None) -> str | None:
    """As kubectl chooses: the option, else KUBECONFIG, else `~/.kube/config`; None for the pod this runs in."""
    chosen = given or os.environ.get("KUBECONFIG")
    home = Path.home() / ".kube" / "config"
    if chosen or (SERVICE_ACCOUNT.is_file() and not home.is_file()):
        return chosen or None
    return str(home)


def _prometheus(url: str | None) -> Prometheus | None:
    if url is None:
        return None
    if not url.startswith(("http://", "https://")):
        raise BadOption(f"--prometheus {url!r}: want http://… or https://…")
    # Not an option: `ps` shows those to everybody.
    token = os.environ.get("EVIDENCE_PROMETHEUS_TOKEN")
    # As the service reads it: whoever is kept to a tenant there is kept to it here.
    matchers = os.environ.get("EVIDENCE_PROMETHEUS_MATCHERS", "")
    try:
        matches = matches_of(matchers)
    except QueryRefused as error:
        raise BadOption(f"EVIDENCE_PROMETHEUS_MATCHERS: {error}") from error
    return Prometheus(url, token=SecretStr(token) if token else None, matches=matches)


def _refuse_unknown(namespaces: Sequence[str], snapshot: Snapshot) -> None:
    """A name misspelt would give an empty and healthy-looking cluster."""
    known = {namespace.name for namespace in snapshot.of_kind("Namespace")}
    # Where namespaces cannot be listed, nothing is known about them.
    listed = not any(gap.what == "namespaces" for gap in snapshot.not_read)
    unknown = [name for name in namespaces if name not in known]
    if unknown and listed:
        raise BadOption(f"--namespace {unknown[0]}: the cluster has no such namespace")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """On a terminal a line that says how far it is; elsewhere nothing."""
    console = Console(file=sys.stderr, highlight=False)
    if not console.is_terminal:
        yield lambda what, done, of: None
        return
    with console.status("connecting") as status:
        yield lambda what, done, of: status.update(f"{what} ({done} of {of})" if of > 1 else what)
