"""The three views: lines for people who keep them, JSON lines for programs, a table for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import IO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cli.watch import words
from cli.watch.books import Change
from cli.watch.sights import AlertSight, InvestigationSight
from cli.watch.words import Connection, plain

FRAME = 6
"""Lines of the terminal that are not rows: head, rules, what the services do, and one to spare."""

ENDED_SHOWN_S = 3600.0
"""What ended longer ago than this leaves the table."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class Lines:
    """One line for each thing that happened, with this machine's time of day. Fulfils `follow.Show`."""

    def __init__(self, stream: IO[str], *, clock: Clock = utc_now) -> None:
        self._stream, self._clock = stream, clock
        self._states: dict[str, str] = {}

    def changed(self, change: Change[AlertSight] | Change[InvestigationSight]) -> None:
        kind, news = _news(change)
        if news:
            self._line(kind, news)

    def connection(self, now: Connection) -> None:
        if self._states.get(now.service) != now.state:
            self._line("service", words.connection_news(now))
        self._states[now.service] = now.state

    def note(self, text: str) -> None:
        self._line("note", plain(text))

    def _line(self, kind: str, text: str) -> None:
        print(f"{self._clock().astimezone():%H:%M:%S}  {kind:13}  {text}", file=self._stream, flush=True)


class JsonLines:
    """One JSON document a line, in ASCII. Fulfils `follow.Show`."""

    def __init__(self, stream: IO[str], *, clock: Clock = utc_now) -> None:
        self._stream, self._clock = stream, clock
        self._states: dict[str, str] = {}

    def changed(self, change: Change[AlertSight] | Change[InvestigationSight]) -> None:
        event = "alert" if isinstance(change.now, AlertSight) else "investigation"
        self._print(words.document(event, change.now, self._clock()))

    def connection(self, now: Connection) -> None:
        if self._states.get(now.service) != now.state:
            self._print(words.document("service", now, self._clock()))
        self._states[now.service] = now.state

    def note(self, text: str) -> None:
        self._print(words.note_document(text, self._clock()))

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class Screen:
    """A table that is drawn again when something happened and once a second. Fulfils `follow.Show`.

    It keeps nothing but the services' states: what there is to show, the books remember.
    """

    def __init__(
        self,
        console: Console,
        alerts: Callable[[], Sequence[AlertSight]],
        investigations: Callable[[], Sequence[InvestigationSight]],
        *,
        clock: Clock = utc_now,
    ) -> None:
        self._console, self._clock = console, clock
        self._alerts, self._investigations = alerts, investigations
        self._connections: dict[str, Connection] = {}
        self._note = ""
        self.live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def changed(self, change: Change[AlertSight] | Change[InvestigationSight]) -> None:
        self.draw()

    def connection(self, now: Connection) -> None:
        self._connections[now.service] = now
        self.draw()

    def note(self, text: str) -> None:
        self._note = text

    def draw(self) -> None:
        picture = screen(
            self._alerts(),
            self._investigations(),
            list(self._connections.values()),
            note=self._note,
            now=self._clock(),
            height=self._console.height,
        )
        self.live.update(picture, refresh=True)


def screen(
    alerts: Sequence[AlertSight],
    investigations: Sequence[InvestigationSight],
    connections: Sequence[Connection],
    *,
    note: str,
    now: datetime,
    height: int,
) -> RenderableType:
    """Everything on one screen: what fires first, then what ended lately; two lines each."""
    by_id = {one.id: one for one in investigations}
    asked = {one.investigation_id for one in alerts}
    entries = [
        _alert_row(one, by_id.get(one.investigation_id or ""), now)
        for one in sorted(alerts, key=_urgency)
        if one.open or one.ended is None or (now - one.ended).total_seconds() < ENDED_SHOWN_S
    ]
    entries += [_investigation_row(one) for one in investigations if one.id not in asked]
    fitting = max(1, (height - FRAME - len(connections)) // 2)
    table = Table(box=None, expand=True, pad_edge=False, header_style="bold underline")
    for title, ratio, width in _COLUMNS:
        table.add_column(title, ratio=ratio, width=width, no_wrap=True, overflow="ellipsis")
    for row in entries[:fitting]:
        table.add_row(*row)
    foot = Text(no_wrap=True, overflow="ellipsis")
    foot.append("\n")
    if not entries:
        foot.append("Nothing fires, and nothing is investigated.\n")
    if len(entries) > fitting:
        foot.append(f"and {len(entries) - fitting} more\n", style="dim")
    if note:
        foot.append(f"{plain(note)}\n", style="yellow")
    for connection in connections:
        foot.append(f"{words.connection_news(connection)}\n", style=_LOOK.get(connection.state, ""))
    foot.append("Ctrl-C ends the watch, and nothing else.", style="dim")
    return Group(table, foot)


_COLUMNS = (
    ("Alert", 3, None),
    ("State", None, 9),
    ("Priority", None, 11),
    ("Cause, or how far it is", 6, None),
)
_LOOK = {"away": "bold yellow", "refused": "bold red", "connected": "dim", "back": "dim"}
_PRIORITY = {"P0": "bold red", "P1": "red", "P2": "yellow", "P3": ""}


def _urgency(alert: AlertSight) -> tuple[bool, float]:
    return (not alert.open, -alert.since.timestamp())


def _alert_row(alert: AlertSight, investigation: InvestigationSight | None, now: datetime) -> list[Text]:
    priority = alert.priority.outcome if alert.priority else "undecided"
    environment = alert.environment.outcome if alert.environment else ""
    reasons = [
        f"{judged.outcome}: {judged.because}"
        for judged in (alert.priority, alert.environment)
        if judged and judged.because
    ]
    end = alert.ended or now
    return [
        _two(alert.name, alert.target or "names no object", "bold" if alert.open else "dim"),
        _two(alert.state, f"for {words.lasting(end - alert.since)}", "" if alert.open else "green"),
        _two(priority, environment, _PRIORITY.get(priority, "") if alert.open else "dim"),
        _two(_how_far(alert, investigation), "; ".join(reasons)),
    ]


def _how_far(alert: AlertSight, investigation: InvestigationSight | None) -> str:
    told = ", people told" if alert.told else ""
    if alert.cause:
        # The object first: of a narrow column's text it is what must be seen.
        return f"{alert.cause.target}, {alert.cause.sure:.0%} sure, {alert.cause.reason}{told}"
    if investigation and investigation.open:
        return words.progress(investigation)
    if investigation and investigation.error:
        return words.outcome(investigation)
    if alert.incident == "unexplained":
        return f"no cause named ({alert.no_cause or 'no reason given'}){told}"
    return {"investigating": "being investigated", "closed": "incident closed"}.get(
        alert.incident or "", "taken, not looked into yet"
    )


def _investigation_row(one: InvestigationSight) -> list[Text]:
    said = words.progress(one) if one.open else words.outcome(one)
    return [
        _two(one.name, "asked for by itself", "bold" if one.open else "dim"),
        _two(one.status, words.lasting(one.took)),
        _two("", one.namespace or ""),
        _two(said, one.cause.text if one.cause else ""),
    ]


def _two(first: str, second: str, style: str = "") -> Text:
    return Text.assemble((plain(first), style), "\n", (plain(second), "dim"))


def _news(change: Change[AlertSight] | Change[InvestigationSight]) -> tuple[str, str | None]:
    if isinstance(change.now, AlertSight):
        return "alert", words.alert_news(change.now, change.before)
    return "investigation", words.investigation_news(change.now, change.before)
