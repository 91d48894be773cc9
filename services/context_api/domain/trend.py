"""When a measured value will reach a limit, if it goes on as it has; when it began to; whether it has come back.

Decides whether a series rises steadily enough to say so: a straight line fitted to it, judged by how much of the
movement the line accounts for, and whether the last part still rises. Decides also what is held: no lower for a day. What
comes again is `ordinary`'s. What the value means is the analyzers' business.

A saw (a log that is rotated, memory that is collected) resets itself before the limit and gets no forecast; one whose
teeth reached the limit does, from its last tooth on. A rise that began within the record is foretold from where it
began, when it went clearly beyond all that came before: a level with a rise after it is no line as a whole.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

Points = Sequence[tuple[float, float]]

FEWEST = 5
COMPARED = 3 * FEWEST
"""Samples from which on a level before and one now can be told apart."""

SHORTEST = 600.0
"""Seconds. Less than ten minutes is a moment, not a trend; Kubernetes' own volume alerts look at six hours."""

STEADY = 0.8
"""Share of the movement that the line must account for (R²). A guess: a noisy but real leak has 0.9."""

ONGOING = 0.25
"""The last third must rise at least this fast, as a share of the whole, else it has levelled off; and what rose this fast
before a bend was no level."""

TOOTH = 0.3
"""A drop of this share of the range is a reset: a restart, a rotation, a collection."""

CLEAR = 3.0
"""A rise is one when it is this many times what the level before it wavered by. A guess."""

BENDS = 150
"""Samples among which a bend is looked for: every pair of a level and a line is tried."""

BEGAN = (1.0, 0.75, 0.5, 1 / 3)
"""Parts of the record in which a rise is looked for, the longest first."""

BEYOND = 0.8
"""Share of a later rise that must lie above everything before it; ups and downs of a day come back to where they were."""

REACHED = 0.9
"""A tooth counts as ended by the limit from this share of it on."""


DAY = 86_400.0
"""Seconds."""

STEADILY = 0.97
"""Part of its present value below which a level that is held never fell."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """A steady rise, and when it ends."""

    slope: float
    """Per second."""
    left: float
    """Seconds from the last sample until the limit; 0 when it is reached."""
    at: float
    """That moment, in seconds since 1970."""
    fit: float
    samples: int


def forecast(points: Points, limit: float) -> Forecast | None:
    """When the series reaches `limit` from below; None when it does not rise steadily, or falls."""
    whole = _after_resets(points, limit)
    found = []
    for part in BEGAN:
        begin = len(whole) - round(len(whole) * part)
        if begin and len(whole) - begin < COMPARED:
            break  # a few samples upwards are noise as often as not
        rise = _rising(whole[begin:], limit)
        if rise is not None and _beyond(whole[:begin], whole[begin:]):
            found.append(rise)
    # A little more of the movement is no reason to look at less of the record.
    return max(found, key=lambda one: (round(one.fit, 2), one.samples), default=None)


def _beyond(before: Points, rise: Points) -> bool:
    """Whether most of a rise lies above everything before it."""
    lowest, highest = rise[0][1], rise[-1][1]
    return not before or highest - max(v for _, v in before) >= BEYOND * (highest - lowest)


def _rising(tail: Points, limit: float) -> Forecast | None:
    if len(tail) < FEWEST or tail[-1][0] - tail[0][0] < SHORTEST:
        return None
    slope, fit = line(tail)
    third = tail[-max(len(tail) // 3, 2) :]
    if slope <= 0 or fit < STEADY or line(third)[0] < ONGOING * slope:
        return None
    left = max(limit - tail[-1][1], 0.0) / slope
    return Forecast(slope, left, tail[-1][0] + left, fit, len(tail))


@dataclass(frozen=True, slots=True)
class Step:
    """A series that went from one level to a higher one and stayed there."""

    before: float
    after: float
    since: float
    """When it had left the lower half for good, in seconds since 1970."""


def stepped(points: Points, factor: float) -> Step | None:
    """From which level the series rose to at least `factor` times as much, and since when; None if it did not, or fell again.

    The level before is the median of its first third, the level now that of its last `FEWEST` samples.
    """
    if len(points) < COMPARED:
        return None
    values = [v for _, v in points]
    before, after = median(values[: len(values) // 3]), median(values[-FEWEST:])
    middle = (before + after) / 2
    last_low = max((i for i, v in enumerate(values) if v < middle), default=-1)
    if after <= 0 or after < factor * before or not len(values) // 3 <= last_low + 1 <= len(values) - FEWEST:
        return None
    return Step(before, after, points[last_low + 1][0])


def is_held(points: Points, moment: float) -> bool:
    """Whether a level has been what it is since a day before that moment, in seconds since 1970, without a break."""
    return points[0][0] <= moment - DAY and min(v for _, v in points) >= STEADILY * points[-1][1]


def was_reached(points: Points, moment: float, share: float = STEADILY) -> bool:
    """Whether that part of the present value had been reached a day or longer before that moment, in seconds since 1970."""
    return any(t <= moment - DAY and v >= share * points[-1][1] for t, v in points)


@dataclass(frozen=True, slots=True)
class Spell:
    """A time for which a series was over a limit, now past."""

    began: float
    ended: float
    """The first sample under the limit again, in seconds since 1970."""
    most: float


def past_spell(points: Points, limit: float) -> Spell | None:
    """The last time the series reached `limit`, when it was under it before and has been under it for `FEWEST` samples."""
    over = [i for i, (_, v) in enumerate(points) if v >= limit]
    if not over or over[-1] + FEWEST >= len(points):
        return None
    last = over[-1]
    first = next((i for i in range(last, -1, -1) if points[i][1] < limit), -1) + 1
    if first == 0:
        return None
    return Spell(points[first][0], points[last + 1][0], max(v for _, v in points[first : last + 1]))


def line(points: Points) -> tuple[float, float]:
    """(slope per second, R²) of the least-squares line; (0, 0) for points that do not move."""
    middle = sum(t for t, _ in points) / len(points)
    mean = sum(v for _, v in points) / len(points)
    # Products, not powers: a value no program measures may overflow to infinity, but must not raise.
    spread = sum((t - middle) * (t - middle) for t, _ in points)
    moved = sum((v - mean) * (v - mean) for _, v in points)
    together = sum((t - middle) * (v - mean) for t, v in points)
    if not spread or not moved:
        return 0.0, 0.0
    slope, fit = together / spread, together * together / (spread * moved)
    return (slope, fit) if math.isfinite(slope) and math.isfinite(fit) else (0.0, 0.0)


def bent(points: Points) -> float | None:
    """When a series that was level began to rise for good, in seconds since 1970; None where it always rose, or never.

    The bend is where a level before and a line after, from that level on, fit best together. The rise has to be steady
    and far larger than what the level wavers by.
    """
    points = points[:: max(1, len(points) // BENDS)]
    best: tuple[float, int] | None = None
    for turn in range(FEWEST, len(points) - FEWEST + 1):
        level = sum(v for _, v in points[:turn]) / turn
        begin = points[turn - 1][0]
        spread = sum((t - begin) * (t - begin) for t, _ in points[turn:])
        slope = sum((t - begin) * (v - level) for t, v in points[turn:]) / spread if spread else 0.0
        off = sum((v - level) ** 2 for _, v in points[:turn])
        off += sum((v - level - slope * (t - begin)) ** 2 for t, v in points[turn:])
        if slope > 0 and (best is None or off < best[0]):
            best = off, turn
    if best is None:
        return None
    before, after = points[: best[1]], points[best[1] - 1 :]
    waver = max(v for _, v in before) - min(v for _, v in before)
    slope, fit = line(after)
    rise = slope * (after[-1][0] - after[0][0])
    if line(before)[0] >= ONGOING * slope:
        return None  # it rose before as well
    return after[0][0] if fit >= STEADY and rise > CLEAR * waver else None


def increase(points: Points) -> float:
    """How much a counter has grown, its resets to zero left out."""
    return sum(max(b - a, 0.0) if b >= a else b for (_, a), (_, b) in itertools.pairwise(points))


def _after_resets(points: Points, limit: float) -> Points:
    """What follows the last reset; nothing when a reset came long before the limit."""
    values = [v for _, v in points]
    span = max(values, default=0.0) - min(values, default=0.0)
    drops = [i for i in range(1, len(values)) if values[i - 1] - values[i] > TOOTH * span > 0]
    if any(values[i - 1] < REACHED * limit for i in drops):
        return []
    return points[drops[-1] :] if drops else points
