"""Numbers as people and programs write them, made comparable. Pure.

`1.5Gi` is 1610612736 bytes, `200m` 0.2 cores or 200 minutes, `87 %` 0.87, `4m12s` 252 seconds. A number with a
unit may have been rounded: it is met by what rounds to it. One without must be met exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Of(StrEnum):
    nothing = "nothing"
    bytes = "bytes"
    cores = "cores"
    share = "share"
    seconds = "seconds"


_FACTORS: dict[str, tuple[tuple[Of, float], ...]] = {
    "%": ((Of.share, 0.01),),
    "b": ((Of.bytes, 1),),
    "cores": ((Of.cores, 1),),
    "ms": ((Of.seconds, 0.001),),
    "s": ((Of.seconds, 1),),
    "m": ((Of.seconds, 60), (Of.cores, 0.001)),
    "min": ((Of.seconds, 60),),
    "h": ((Of.seconds, 3600),),
    "d": ((Of.seconds, 86400),),
    "µs": ((Of.seconds, 1e-6),),
} | {
    f"{prefix}{ending}": ((Of.bytes, float(base**power)),)
    for power, prefix in enumerate("kmgt", start=1)
    for base, ending in ((1024, "i"), (1000, "b"))
}
_SPELLINGS = {
    **dict.fromkeys(("percent", "per cent", "pct"), "%"),
    **dict.fromkeys(("byte", "bytes"), "b"),
    **dict.fromkeys(("core", "cpu", "cpus", "vcpu", "vcpus"), "cores"),
    **dict.fromkeys(("millisecond", "milliseconds", "msec"), "ms"),
    **dict.fromkeys(("second", "seconds", "sec", "secs"), "s"),
    **dict.fromkeys(("minute", "minutes", "mins"), "min"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs"), "h"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("us", "microsecond", "microseconds"), "µs"),
    **{f"{p}ib": f"{p}i" for p in "kmgt"},
    "g": "gb",
    "t": "tb",
    "k": "kb",
    "millicores": "m",
    "millicore": "m",
    "millicpu": "m",
}
_UNITS = "|".join(sorted({re.escape(one) for one in [*_FACTORS, *_SPELLINGS]}, key=len, reverse=True))
_DIGITS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:e[+-]?\d{1,3})?"
# Not within a name (checkout-7d9f), a version or an address (1.2.3), a time of day (09:05) or another number.
_ONE = re.compile(
    rf"(?<![\w.,-])(?<!\d:)({_DIGITS})(?:[   ]?({_UNITS})(?![\w]))?(?![\w]|[.,:]\d|-\w)", re.IGNORECASE
)
_COMPOUND = re.compile(
    r"(?<![\w.:-])((?:\d+ ?(?:d|days?) ?)?(?:\d+ ?(?:h|hours?) ?)?(?:\d+ ?(?:m|min|minutes?) ?)?"
    r"(?:\d+(?:\.\d+)? ?(?:s|sec|seconds?))?)(?![\w:-])",
    re.IGNORECASE,
)
_PART = re.compile(r"(\d+(?:\.\d+)?) ?([a-z]+)", re.IGNORECASE)
_WORDS = dict(
    zip(
        ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
        range(2, 13),
        strict=True,
    )
)
_COUNTED = re.compile(
    rf"\b({'|'.join(_WORDS)}) (?:more |other |failed |times|(?:re)?starts?|pods?|replicas?|minutes?|seconds?|hours?|"
    r"days?|nodes?|containers?|requests?|errors?|retries|attempts?|connections?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Amount:
    """One number as it was written, and what it can mean."""

    said: str
    start: int
    end: int
    value: float
    """The number itself, whatever its unit."""
    meanings: tuple[tuple[Of, float], ...]
    """Dimension and value in base units; several where a unit has two readings."""
    slack: float
    """Of the number as written: half of its last digit; 0 for a number without a unit."""

    @property
    def bare(self) -> bool:
        return self.meanings[0][0] is Of.nothing


def amounts(text: str) -> Iterator[Amount]:
    """Every number in a text, from left to right, durations of several parts as one."""
    taken = 0
    found = [*_compounds(text), *_counted(text), *_simple(text)]
    for one in sorted(found, key=lambda one: (one.start, -one.end)):
        if one.start >= taken:
            taken = one.end
            yield one


def _compounds(text: str) -> Iterator[Amount]:
    for match in _COMPOUND.finditer(text):
        parts = _PART.findall(match[1])
        if len(parts) > 1:
            seconds = sum(float(number) * _seconds(unit) for number, unit in parts)
            said = match[1].strip()
            start = match.start(1)
            yield Amount(said, start, start + len(said), seconds, ((Of.seconds, seconds),), 0.5)


def _seconds(unit: str) -> float:
    return next(factor for of, factor in _FACTORS[_unit(unit)] if of is Of.seconds)


def _unit(written: str) -> str:
    lowered = written.lower()
    return _SPELLINGS.get(lowered, lowered)


def _counted(text: str) -> Iterator[Amount]:
    for match in _COUNTED.finditer(text):
        value = float(_WORDS[match[1].lower()])
        yield Amount(match[1], match.start(1), match.end(1), value, ((Of.nothing, value),), 0.0)


def _simple(text: str) -> Iterator[Amount]:
    for match in _ONE.finditer(text):
        digits = match[1].replace(",", "")
        value = float(digits)
        if not match[2]:
            yield Amount(match[0], match.start(), match.end(), value, ((Of.nothing, value),), 0.0)
            continue
        # `500M` is a quantity of memory, `500m` none.
        unit = "mb" if match[2] == "M" else _unit(match[2])
        meanings = tuple((of, value * factor) for of, factor in _FACTORS[unit])
        slack = 0.5 * 10 ** -len(digits.partition(".")[2])
        yield Amount(match[0], match.start(), match.end(), value, meanings, slack)


def meets(claimed: Amount, shown: Amount) -> bool:
    """Whether a number that was shown is the one that is claimed."""
    if claimed.bare:
        return shown.bare and shown.value == claimed.value
    unit = claimed.meanings[0][1] / claimed.value if claimed.value else 1.0
    for of, base in claimed.meanings:
        factor = base / claimed.value if claimed.value else unit
        room = claimed.slack * factor + 1e-9 * abs(base)
        for shown_of, value in shown.meanings:
            if shown_of is of and abs(value - base) <= room:
                return True
        # A field's unit often stands in its name alone: periodSeconds: 10, memory_bytes 1610612736.
        if shown.bare and abs(shown.value - base) <= room and (of is not Of.bytes or base >= 1024):
            return True
    return shown.bare and claimed.meanings[0][0] in (Of.seconds, Of.share) and shown.value == claimed.value
