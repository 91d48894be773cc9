"""What a person reads after `kubernaut triage`: whose fault, why, what to do; then what else; then the gaps.

On a terminal in colour and wrapped; elsewhere plain, one fact a line, so that it can be searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from libs.contracts.causes import Cause, FindingSeverity, NoCause

if TYPE_CHECKING:
    from cli.triage import Question, Report

EVIDENCE_SHOWN = 6
OTHERS_SHOWN = 5
LINES_SHOWN = 12
LIVE = "kubernetes"
"""The source of a snapshot that was read from the cluster itself."""

LABEL = 10
"""Columns of the words on the left (`Evidence`)."""

_COLOURS = {
    FindingSeverity.critical: "bold red",
    FindingSeverity.warning: "bold yellow",
    FindingSeverity.info: "bold",
}
_NO_CAUSE = {
    NoCause.nothing_wrong: "Nothing wrong was found.",
    NoCause.recovered: "It has recovered: there was trouble within the last hour, and nothing is wrong now.",
    NoCause.muted: "Nothing but what is muted; that stands below.",
    NoCause.insufficient: "The evidence does not suffice to say; what is missing stands below.",
}


def write(report: Report, stream: IO[str]) -> None:
    """Print the report."""
    page = _Page(Console(file=stream, highlight=False))
    _heading(page, report)
    causes = report.causes
    if causes:
        _first(page, causes[0], report)
        _others(page, causes[1:])
    else:
        page.blank()
        page.line("No cause found.", style="bold")
        page.line(_NO_CAUSE.get(NoCause(report.no_cause_reason), "") if report.no_cause_reason else "")
        if report.no_cause_text:
            page.line(report.no_cause_text)
    _told(page, "Muted", report.muted)
    _told(page, "Not looked at", report.not_looked_at)


class _Page:
    """Lines on a terminal or in a file. Everything printed was written by somebody else: nothing steers."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def blank(self) -> None:
        self._console.print()

    def line(self, text: str, *, style: str = "", indent: int = 0) -> None:
        self._put(Text(readable(text), style=style), indent)

    def fact(self, label: str, text: str, *, style: str = "", label_style: str = "dim") -> None:
        """`label` in a column on the left, `text` beside it; a label of its own only for the first of a kind."""
        if self._console.is_terminal:
            self._put(
                Text(readable(text), style=style), LABEL + 2, label=Text(f"  {label}", style=label_style)
            )
        else:
            self._put(Text(f"  {label:{LABEL}}{readable(text)}"), 0)

    def _put(self, text: Text, indent: int, label: Text | None = None) -> None:
        if not self._console.is_terminal:
            self._console.print(Text(" " * indent) + text, soft_wrap=True)
            return
        for number, part in enumerate(text.wrap(self._console, max(20, self._console.width - indent))):
            part.rstrip()
            if label is not None and number == 0:
                self._console.print(Text.assemble(label, " " * max(1, indent - len(label)), part))
            else:
                self._console.print(Padding(part, (0, 0, 0, indent)))


def readable(text: str) -> str:
    """Without control characters: a recorded log line must not colour, clear or retitle anybody's terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in text)


def _heading(page: _Page, report: Report) -> None:
    seen = report.snapshot
    for question in report.questions:
        page.line(_asked(question), style="bold")
    page.line(
        f"{'Read live' if seen.source == LIVE else 'Recorded'} {seen.captured_at:%Y-%m-%d %H:%M:%S} UTC: {len(seen.objects)} objects, {len(seen.events)} events,"
        f" {len(seen.logs)} logs, {len(seen.metrics)} metrics",
        style="dim",
    )


def _asked(question: Question) -> str:
    about = str(question.target) if question.target else "the whole cluster"
    since = f", since {question.onset:%Y-%m-%d %H:%M:%S} UTC" if question.onset else ""
    return f"{question.alert or 'Looking'} {'at' if not question.alert else 'on'} {about}{since}"


def _first(page: _Page, cause: Cause, report: Report) -> None:
    page.blank()
    page.line(f"CAUSE  {cause.target}  ({cause.reason}, {_sure(cause)})", style=_COLOURS[cause.severity])
    for sentence in sentences(cause.text):
        page.fact("", sentence)
    page.blank()
    _listed(page, "Why", cause.confidence.basis)
    _listed(page, "Against", cause.against)
    _path(page, cause)
    _listed(
        page, "Evidence", [report.evidence[i].summary for i in cause.evidence_ids if i in report.evidence]
    )
    _remedy(page, cause)


def sentences(text: str) -> Sequence[str]:
    """A long text in the parts it was made of: what happened, what followed, what else speaks for it."""
    for mark in ("Since then:", "Also:"):
        text = text.replace(f". {mark} ", f".\n{mark} ")
    return text.split("\n")


def _listed(page: _Page, label: str, entries: Sequence[str]) -> None:
    for number, entry in enumerate(entries[:EVIDENCE_SHOWN]):
        page.fact(label if number == 0 else "", f"• {entry}")
    if len(entries) > EVIDENCE_SHOWN:
        page.fact("", f"and {len(entries) - EVIDENCE_SHOWN} more (--json shows all)")


def _path(page: _Page, cause: Cause) -> None:
    for number, step in enumerate(cause.path):
        page.fact("Path" if number == 0 else "", step if number == 0 else f"{'  ' * (number - 1)}└▸ {step}")


def _remedy(page: _Page, cause: Cause) -> None:
    remedy = cause.remediation
    if remedy is None:
        return
    page.blank()
    page.fact("Do", remedy.text, style="bold", label_style="bold green")
    if remedy.command:
        page.fact("", f"$ {remedy.command}", style="bold")
    if remedy.risk:
        page.fact("Risk", remedy.risk)
    if remedy.undo:
        page.fact("Undo", remedy.undo)


def _others(page: _Page, causes: Sequence[Cause]) -> None:
    if not causes:
        return
    page.blank()
    page.line("Less likely, or a consequence", style="bold")
    for number, cause in enumerate(causes[:OTHERS_SHOWN], start=2):
        page.line(f"{number}. {cause.target}  {cause.reason}, {_sure(cause)}", indent=2)
        page.line(sentences(cause.text)[0][:300], indent=5, style="dim")
    if len(causes) > OTHERS_SHOWN:
        page.line(f"and {len(causes) - OTHERS_SHOWN} more (--json shows all)", indent=2)


def _told(page: _Page, heading: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    page.blank()
    page.line(heading, style="bold")
    for line in lines[:LINES_SHOWN]:
        page.line(f"• {line}", indent=2)
    if len(lines) > LINES_SHOWN:
        page.line(f"and {len(lines) - LINES_SHOWN} more (--json shows all)", indent=2)


def _sure(cause: Cause) -> str:
    return f"{cause.confidence.value:.0%} sure"
