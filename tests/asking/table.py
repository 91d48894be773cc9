"""The figures for people: medians per half and way, and what does not save what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tests.asking.measure import STATIC, WAYS, Outcome
from tests.incidents.incident import Half

WANTED = 0.4
"""Share of the time that asking has to save over static enrichment (BR-CAPI-011: 40 to 60 %)."""


def summary(outcomes: Sequence[Outcome]) -> str:
    lines = [
        "| half | way | all in view | steps | tokens read | largest prompt | stand-in's time | tools' processor time |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for half in Half:
        of_half = [one for one in outcomes if one.half is half]
        for way in (STATIC, *WAYS) if of_half else ():
            all_ = [one.taken[way] for one in of_half]
            lines.append(
                f"| {half} | {way} | {sum(t.in_view for t in all_)} of {len(all_)} | {median(t.steps for t in all_):.0f} "
                f"| {median(t.read for t in all_):,.0f} | {median(t.size for t in all_):,.0f} "
                f"| {median(t.seconds for t in all_):.1f} s | {1000 * median(t.asked_s for t in all_):.0f} ms |"
            )
    return "\n".join(lines)


def savings(outcomes: Sequence[Outcome]) -> str:
    """Only incidents that both ways bring into view are compared; the others are counted above."""
    lines = [
        f"| half | way | compared | time saved, median | tokens saved, median | steps more, median | saves ≥ {WANTED:.0%} of the time |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for half in Half:
        for way in WAYS:
            both = comparable(outcomes, half, way)
            if both:
                more = median(one.taken[way].steps - one.taken[STATIC].steps for one in both)
                lines.append(
                    f"| {half} | {way} | {len(both)} | {median(one.saved(way) for one in both):.0%} "
                    f"| {median(one.tokens_saved(way) for one in both):.0%} | {more:.0f} "
                    f"| {sum(one.saved(way) >= WANTED for one in both)} of {len(both)} |"
                )
    return "\n".join(lines)


SPEEDS = (500, 2_000, 10_000)
"""Tokens of prompt a second: how much a prompt's length weighs against one more step."""


def speeds(outcomes: Sequence[Outcome]) -> str:
    """How the time saved hangs on how fast the model reads."""
    lines = [
        f"| half | way | {' | '.join(f'{speed:,} tokens/s' for speed in SPEEDS)} |",
        f"|---|---|{'--:|' * len(SPEEDS)}",
    ]
    for half in Half:
        for way in WAYS:
            if both := comparable(outcomes, half, way):
                saved = (f"{median(one.saved(way, speed) for one in both):.0%}" for speed in SPEEDS)
                lines.append(f"| {half} | {way} | {' | '.join(saved)} |")
    return "\n".join(lines)


def comparable(outcomes: Sequence[Outcome], half: Half, way: str) -> list[Outcome]:
    return [
        one for one in outcomes if one.half is half and one.taken[way].in_view and one.taken[STATIC].in_view
    ]


def not_in_view(outcomes: Sequence[Outcome]) -> str:
    """What a way's end leaves out, of the tuned half; of the blind one only numbers are told."""
    rows = [
        f"| {one.name} | {way} | {'; '.join(one.taken[way].missing).replace('|', 'or')} |"
        for one in outcomes
        for way in (STATIC, *WAYS)
        if one.half is Half.tuned and not one.taken[way].in_view
    ]
    if not rows:
        return "Every way brings all that is needed of the tuned half into view."
    return "\n".join(["| tuned half | way | not in view at its end |", "|---|---|---|", *rows])
