"""Limits that programs say they have met, and how the settings are called that set them.

Decides which log lines say so, and which row of a file, argument or variable is the limit; whether it is too low or the
use too high is not asked here. Known are messages that name one resource of one kind of program; "out of memory" of a
container is told by its status.

Rests on: https://www.postgresql.org/docs/current/runtime-config-connection.html,
https://dev.mysql.com/doc/refman/8.4/en/too-many-connections.html, https://redis.io/docs/latest/develop/reference/clients/,
https://redis.io/docs/latest/develop/reference/eviction/, https://www.pgbouncer.org/config.html,
https://nginx.org/en/docs/ngx_core_module.html#worker_connections, https://man7.org/linux/man-pages/man2/getrlimit.2.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from services.context_api.domain.logs import is_narrative

LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Limit:
    """One resource that runs out."""

    what: str
    """In words: `connections`."""
    said: re.Pattern[str]
    settings: tuple[str, ...]
    """What sets it; empty where only the process's own limits do."""
    own: bool = False
    """Whether it is the limit of the process that complains, not of a server that it calls."""


def _limit(what: str, said: str, *settings: str, own: bool = False) -> Limit:
    return Limit(what, re.compile(said, re.IGNORECASE), settings, own)


LIMITS = (
    _limit("connections", r"sorry, too many clients already|remaining connection slots are reserved", "max_connections"),
    _limit("connections", r"\btoo many connections\b", "max_connections", "max-connections", "max_user_connections"),
    _limit("clients", r"max number of clients reached", "maxclients"),
    _limit("client connections", r"no more connections allowed|\bmax_client_conn\b", "max_client_conn"),
    _limit("connections of a worker", r"\d+ worker_connections are not enough", "worker_connections"),
    _limit("memory for data", r"command not allowed when used memory > '?maxmemory'?", "maxmemory"),
    _limit("open files", r"too many open files|\bEMFILE\b", "nofile", "ulimit -n", "worker_rlimit_nofile", own=True),
    _limit("threads", r"unable to create (?:new )?native thread|can't start new thread|pthread_create failed", "pids", own=True),
)  # fmt: skip


def limit_in(line: str) -> Limit | None:
    """The limit that a line says is met, if any."""
    if is_narrative(line):
        return None
    return next((one for one in LIMITS if one.said.search(line)), None)


@dataclass(frozen=True, slots=True)
class Row:
    """`max_connections = 60`."""

    setting: str
    value: str
    shown: str


def row_of(limit: Limit, name: str, value: str) -> Row | None:
    """The limit as a setting called `name` says it: the value itself, or the last row of a file."""
    if "\n" not in value.strip() and any(_same(name, setting) for setting in limit.settings):
        return Row(name, value.strip(), f"{name}={value.strip()}") if value.strip() else None
    return next(rows(limit, [value]), None)


def rows(limit: Limit, texts: Iterable[str]) -> Iterator[Row]:
    """What files or arguments say of it; of a file the last row, which is the one in force."""
    for said in texts:
        for setting in limit.settings:
            pattern = re.compile(
                rf"(?:(?<![\w.#-])|(?<=(?<!\S)--)){re.escape(setting)}[\"']?\s{{0,4}}(?:[=:]|\s)\s{{0,4}}[\"']?(\d[\w.]{{0,20}})",
                re.IGNORECASE,
            )
            found = [
                (match, line.strip())
                for line in said[:LONGEST].splitlines()
                if not line.lstrip().startswith(("#", ";", "//")) and (match := pattern.search(line))
            ]
            if found:
                match, line = found[-1]
                yield Row(setting, match[1], line if len(line) <= 80 else match[0])
                break


def _same(name: str, setting: str) -> bool:
    """`POSTGRES_MAX_CONNECTIONS` is `max_connections`."""
    flat, wanted = (re.sub(r"[^a-z0-9]", "", words.lower()) for words in (name, setting))
    return flat == wanted or flat.endswith(wanted)
