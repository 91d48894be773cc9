"""Who waits for a lock in a database, for whom, and who stands behind: read from the database's own log.

Decides which waits go on at the end of a log, and which one others queue behind. A waiting request for a strong lock
holds up weaker ones that come after it, though it has nothing yet. Sessions are told by process number, and by what the
line's prefix or an earlier line says of user and application, in the usual prefixes. Only PostgreSQL logs waits so.

Rests on: https://www.postgresql.org/docs/current/explicit-locking.html,
https://www.postgresql.org/docs/current/runtime-config-logging.html (log_lock_waits, log_line_prefix, log_connections).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.context_api.domain.logs import is_narrative, time_of

MOST_LINES = 4000
STILL = timedelta(minutes=15)
"""A wait of which nothing was said for so long is over: a database says it of each that comes."""

STRENGTHS = (
    "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock",
    "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
)  # fmt: skip
"""Lock modes, weakest first."""

_WAITS = re.compile(
    r"\bprocess (\d+) (still waiting for|acquired) (\w+) on (\w+ [\d,() ]+?(?: of (?:relation|database) \d+)*) after [\d.]+ ms"
)
_HOLDER = re.compile(
    r"\[(\d+)\].*Process(?:es)? holding the lock: (\d+(?:, \d+)*)\. Wait queue: (\d+(?:, \d+)*)"
)
_STATEMENT = re.compile(r"\[(\d+)\].*?STATEMENT:\s+(.+)")
_SESSION = re.compile(r"\[(\d+)\]:?\s+(?:([\w.-]+)@([\w.-]+)(?:/([\w.\[\]-]+))?\s)?")
_USER, _APPLICATION = re.compile(r"\buser=([\w.-]+)"), re.compile(r"\bapp(?:lication_name)?=([\w.-]+)")


@dataclass(slots=True)
class Session:
    """A connection to the database."""

    pid: str
    user: str = ""
    application: str = ""
    statement: str = ""
    since: datetime | None = None
    """When it asked for the lock; of a holder, when the log first speaks of it."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Waits for one thing that go on."""

    on: str
    """`relation 16734 of database 16391`."""
    mode: str
    first: Session
    """Who waits at the head: the strongest request, the earliest of these."""
    holders: tuple[Session, ...]
    behind: int
    """How many others wait."""
    said: str
    """The line that tells of its head, as the log has it."""


@dataclass(slots=True)
class _Wait:
    pid: str
    mode: str
    since: datetime
    last: datetime
    said: str
    holders: tuple[str, ...] = ()
    others: set[str] = field(default_factory=set)


def queues(text: str, now: datetime) -> Sequence[Queue]:
    """The queues at the end of a log, longest first."""
    if "still waiting for" not in text:
        return []
    lines = [line for line in text.splitlines()[-MOST_LINES:] if not is_narrative(line)]
    waits: dict[str, dict[str, _Wait]] = {}
    for line in lines:
        moment, found = time_of(line), _WAITS.search(line)
        if found is not None and moment is not None:
            pid, how, mode, on = found.groups()
            if how == "acquired":
                waits.get(on, {}).pop(pid, None)
            else:
                held = waits.setdefault(on, {}).setdefault(pid, _Wait(pid, mode, moment, moment, line))
                held.last = moment
        elif (detail := _HOLDER.search(line)) is not None:
            for group in waits.values():
                if detail[1] in group:
                    group[detail[1]].holders = tuple(detail[2].split(", "))
                    group[detail[1]].others.update(detail[3].split(", "))
    sessions = _sessions(lines)
    found_queues = [
        queue
        for on, group in waits.items()
        if (queue := _queue(on, list(group.values()), sessions, now)) is not None
    ]
    return sorted(found_queues, key=lambda q: (-q.behind, q.on))


def _queue(on: str, waits: list[_Wait], sessions: dict[str, Session], now: datetime) -> Queue | None:
    if not waits or max(w.last for w in waits) < now - STILL:
        return None
    # Who is held back by others of the queue is not its head, unless it asks for more than they do.
    head = min(waits, key=lambda w: (-_strength(w.mode), w.since, w.pid))
    pids = {w.pid for w in waits}.union(*(w.others for w in waits)) - {head.pid}
    holders = head.holders or next((w.holders for w in waits if w.holders), ())
    first = sessions.get(head.pid, Session(head.pid))
    first.since = head.since
    return Queue(
        on,
        head.mode,
        first,
        tuple(sessions.get(h, Session(h)) for h in holders),
        len(pids - set(holders)),
        head.said,
    )


def _strength(mode: str) -> int:
    return STRENGTHS.index(mode) if mode in STRENGTHS else -1


def _sessions(lines: Iterable[str]) -> dict[str, Session]:
    """What the log says of each process number."""
    found: dict[str, Session] = {}
    for line in lines:
        named = _SESSION.search(line)
        if named is None:
            continue
        session = found.setdefault(named[1], Session(named[1], since=time_of(line)))
        user, application = _USER.search(line), _APPLICATION.search(line)
        session.user = named[2] or (user[1] if user else session.user)
        told = named[4] if named[4] and named[4] != "[unknown]" else (application[1] if application else "")
        session.application = told or session.application
        statement = _STATEMENT.search(line)
        if statement is not None:
            session.statement = statement[2].strip()
    return found
