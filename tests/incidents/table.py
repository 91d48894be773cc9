"""The corpus' results as a table for people: per half and kind, then one line an incident of the tuned half."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from tests.incidents.incident import Half
from tests.incidents.judge import Verdict

SURE = 0.9
"""Confidence from which on a first cause has to be right nine times in ten."""


def share(marks: Iterable[bool | None]) -> str:
    """`19 of 20 (95 %)`, of those to which the question applies."""
    asked = [mark for mark in marks if mark is not None]
    return f"{sum(asked)} of {len(asked)} ({100 * sum(asked) / len(asked):.0f} %)" if asked else "–"


def calibration(verdicts: Sequence[Verdict]) -> tuple[int, int]:
    """How many first causes were called at least SURE, and how many of those are right."""
    sure = [one for one in verdicts if one.confidence >= SURE]
    return len(sure), sum(one.right for one in sure)


_COLUMNS: Sequence[tuple[str, Callable[[Verdict], bool | None]]] = (
    ("first object and what is wrong with it", lambda one: one.says),
    ("first object", lambda one: one.target),
    ("object among three", lambda one: one.among),
    ("no cause named where there is none", lambda one: one.no_cause),
    ("innocent object first", lambda one: one.innocent),
    ("both faults among three", lambda one: one.second),
)


def summary(verdicts: Sequence[Verdict]) -> str:
    """One column a half, and the same by who wrote the decisive statuses."""
    groups: list[tuple[str, list[Verdict]]] = [
        *((f"{half} half", [one for one in verdicts if one.half is half]) for half in Half),
        *((kind, [one for one in verdicts if one.kind == kind]) for kind in ("played", "authored")),
    ]
    groups = [(name, members) for name, members in groups if members]
    lines = [
        f"| | {' | '.join(f'{name} ({len(members)})' for name, members in groups)} |",
        f"|---|{'--:|' * len(groups)}",
    ]
    for title, mark in _COLUMNS:
        lines.append(f"| {title} | {' | '.join(share(map(mark, members)) for _, members in groups)} |")
    sure = (calibration(members) for _, members in groups)
    lines.append(
        f"| right of those called ≥ {SURE} | {' | '.join(f'{right} of {all_}' for all_, right in sure)} |"
    )
    times = (f"{1000 * median(one.seconds for one in members):.0f} ms" for _, members in groups)
    lines.append(f"| time per incident, median | {' | '.join(times)} |")
    return "\n".join(lines)


def listing(verdicts: Sequence[Verdict]) -> str:
    """The tuned half one by one. Of the blind half only numbers are told: what is seen is soon tuned on."""
    lines = ["| incident | kind | right | named first | sure |", "|---|---|---|---|--:|"]
    for one in verdicts:
        if one.half is Half.blind:
            continue
        lacks = f"; does not say {', '.join(one.missing)}" if one.target and one.missing else ""
        mark = "yes" if one.right else "**no**"
        lines.append(
            f"| {one.name} | {one.kind} | {mark} | {one.first}{lacks.replace('|', 'or')} | {one.confidence:.2f} |"
        )
    return "\n".join(lines)
