"""The words for what changed: one line for people, one document for programs.

Labels, annotations and log lines were written by somebody else, who may want to steer a terminal or to forge a line:
`plain` is on the way of every text that leaves here for people, and the documents are written in ASCII.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from cli.triage_text import readable
from cli.watch.sights import AlertSight, Blamed, InvestigationSight, Judged

NAME, TEXT = 120, 300
"""Characters of a name and of a sentence; `kubernaut explain` and `--json` have all of it."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How it goes with one service. `again_s` None: it answers, or it will not be asked again (`refused`)."""

    service: str
    address: str
    state: str
    """`connected`, `away`, `back` or `refused`."""
    detail: str = ""
    again_s: float | None = None


def plain(text: str, at_most: int = TEXT) -> str:
    """One line without control characters, cut to a length."""
    line = readable(" ".join(text.split()))
    return line if len(line) <= at_most else line[: at_most - 1] + "…"


def alert_news(now: AlertSight, before: AlertSight | None) -> str | None:
    """What somebody watching is told; None when nothing of it is worth a line."""
    facts = _alert_facts(now, before)
    if not facts:
        return None
    return f"{plain(now.name, NAME)} {'; '.join(facts)}"


def _alert_facts(now: AlertSight, before: AlertSight | None) -> list[str]:
    facts: list[str] = []
    on = f" on {plain(now.target, NAME)}" if now.target else ""
    if before is None or before.state != now.state:
        facts.append(f"{_state(now)}{on if before is None else ''}")
    elif on and before.target != now.target:
        facts.append(f"is{on}")
    for subject, judged, earlier in (
        ("environment", now.environment, before.environment if before else None),
        ("priority", now.priority, before.priority if before else None),
    ):
        if judged and judged != earlier:
            facts.append(f"{subject} {why(judged)}")
    if now.incident and (before is None or before.incident != now.incident or before.cause != now.cause):
        facts += _incident(now)
    if now.told and (before is None or before.told != now.told):
        facts.append(f"people told ({_count(now.told, 'notification')})")
    if before is None:
        facts.append(f"episode {plain(now.id, NAME)}")
    return facts


def _state(now: AlertSight) -> str:
    if now.open:
        return f"({plain(now.severity, NAME)}) is {plain(now.state, NAME)}"
    lasted = f" after {lasting(now.ended - now.since)}" if now.ended else ""
    return f"has {plain(now.state, NAME)}{lasted}"


def _incident(now: AlertSight) -> list[str]:
    match now.incident:
        case "explained":
            return [f"explained by {blame(now.cause)}" if now.cause else "explained"]
        case "unexplained":
            return [f"unexplained{f' ({plain(now.no_cause, NAME)})' if now.no_cause else ''}"]
        case "investigating":
            return ["being investigated"]
        case "closed":
            return ["incident closed"] if now.open else []
        case _:
            return []


def investigation_news(now: InvestigationSight, before: InvestigationSight | None) -> str | None:
    """What somebody watching is told; None when nothing of it is worth a line."""
    name = plain(now.name, NAME)
    if now.open:
        if before and (before.status, before.progress, before.stage) == (
            now.status,
            now.progress,
            now.stage,
        ):
            return None
        return f"{name} {progress(now)}"
    if before and not before.open:
        return None
    return f"{name} {outcome(now)}"


def progress(now: InvestigationSight) -> str:
    stage = f": {plain(now.stage)}" if now.stage else ""
    engine = f" by {plain(now.engine, NAME)}" if now.engine else ""
    return f"{plain(now.status, NAME)}{engine} {now.progress} %{stage}"


def outcome(now: InvestigationSight) -> str:
    """How it ended; never like a success that is none."""
    if now.status in ("failed", "cancelled"):
        return f"{now.status} after {lasting(now.took)}: {plain(now.error or 'no reason given')}"
    degraded = f" ({plain(now.degraded, NAME)})" if now.degraded else ""
    by = f"{now.status} in {lasting(now.took)} by {plain(now.engine or 'no engine', NAME)}{degraded}"
    if now.cause:
        return f"{by}: {blame(now.cause)}"
    return f"{by}: no cause named ({plain(now.no_cause or 'no reason given', NAME)})"


def blame(cause: Blamed) -> str:
    return f"{plain(cause.target, NAME)} ({plain(cause.reason, NAME)}, {cause.sure:.0%} sure)"


def why(judged: Judged) -> str:
    return f"{plain(judged.outcome, NAME)}{f' because {plain(judged.because)}' if judged.because else ''}"


def connection_news(now: Connection) -> str:
    if now.state == "refused":  # the words of a refusal say who and what to do
        return f"{now.service}: {plain(now.detail)} It is not asked again."
    said = f": {plain(now.detail)}" if now.detail else ""
    again = f"; asking again in {now.again_s:.0f} s" if now.again_s is not None else ""
    return f"{now.service} at {plain(now.address, NAME)} {_CONNECTION[now.state]}{said}{again}"


_CONNECTION = {
    "connected": "answers",
    "away": "does not answer",
    "back": "answers again",
}


def lasting(time: timedelta) -> str:
    """`0.8 s`, `42 s`, `7 min`, `3 h`, `2 d`: as exact as somebody watching cares."""
    seconds = max(time.total_seconds(), 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def document(event: str, now: AlertSight | InvestigationSight | Connection, at: datetime) -> str:
    """One JSON line in ASCII: what is not printable is escaped in it."""
    fields = {
        "at": at.isoformat(timespec="milliseconds"),
        "event": event,
        **dict(_told(name, value) for name, value in asdict(now).items()),
    }
    return json.dumps(fields, ensure_ascii=True)


def note_document(text: str, at: datetime) -> str:
    return json.dumps({"at": at.isoformat(timespec="milliseconds"), "event": "note", "text": text})


def _told(name: str, value: object) -> tuple[str, object]:
    if isinstance(value, datetime):
        return name, value.isoformat()
    return (f"{name}_s", value.total_seconds()) if isinstance(value, timedelta) else (name, value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
