"""Reads a cron schedule as far as to say that it means nothing, or a day that no month has.

Decides whether it fired within a time, and nothing about when it fires next; the controller does.

Source: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax; crontab(5).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of month", 1, 31),
    ("month", 1, 12),
    ("day of week", 0, 7),
)
_NAMES = {
    name: index
    for names, first in (
        ("jan feb mar apr may jun jul aug sep oct nov dec", 1),
        ("sun mon tue wed thu fri sat", 0),
    )
    for index, name in enumerate(names.split(), first)
}
_MACROS = frozenset({"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"})
_EVERY = re.compile(r"@every (?:\d+(?:\.\d+)?(?:h|m|s|ms|us|ns))+")
_PART = re.compile(r"(?:\*|\?|([a-z]{3}|\d{1,2})(?:-([a-z]{3}|\d{1,2}))?)(?:/(\d{1,2}))?")
LOOKED_BACK = timedelta(days=7)
_LONGEST = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}


def fault(schedule: str) -> str:
    """Why a schedule never starts anything; empty when it does."""
    words = re.sub(r"^(?:CRON_)?TZ=\S+\s+", "", schedule.strip()).lower()
    if words.startswith("@"):
        return "" if words in _MACROS or _EVERY.fullmatch(words) else f"`{words[:40]}` is no schedule"
    fields = words.split()
    if len(fields) != len(_FIELDS):
        return f"it has {len(fields)} fields, not 5"
    values: list[set[int]] = []
    for word, (name, least, most) in zip(fields, _FIELDS, strict=True):
        found = _values(word, least, most)
        if found is None:
            return f"its {name} `{word[:40]}` is none from {least} to {most}"
        values.append(found)
    days, months, any_weekday = values[2], values[3], fields[4][0] in "*?"
    if any_weekday and not any(day <= _LONGEST[month] for day in days for month in months):
        return "no month it names has such a day"
    return ""


def fired_within(schedule: str, now: datetime, length: timedelta) -> bool:
    """Whether it last fired no longer ago than that; a week at most is looked back. No macros."""
    fields = schedule.lower().split()
    if len(fields) != len(_FIELDS) or fault(schedule):
        return False
    minutes, hours, days, months, weekdays = (
        _values(word, least, most) or set() for word, (_, least, most) in zip(fields, _FIELDS, strict=True)
    )
    weekdays = {day % 7 for day in weekdays}
    any_day, any_weekday = fields[2][0] in "*?", fields[4][0] in "*?"
    moment = now.replace(second=0, microsecond=0)
    earliest = moment - min(length, LOOKED_BACK)
    while moment > earliest:
        in_month, in_week = moment.day in days, (moment.weekday() + 1) % 7 in weekdays
        # Where both are given, either will do: crontab(5).
        day = in_month and in_week if any_day or any_weekday else in_month or in_week
        if not day or moment.month not in months:
            moment = moment.replace(hour=0, minute=0)  # no minute of this day will do
        elif moment.hour not in hours:
            moment = moment.replace(minute=0)
        elif moment.minute in minutes:
            return True
        moment -= timedelta(minutes=1)
    return False


def _values(word: str, least: int, most: int) -> set[int] | None:
    """The numbers a field means; None when it means none."""
    found: set[int] = set()
    for part in word.split(","):
        read = _PART.fullmatch(part)
        if read is None:
            return None
        first, last, step = read[1], read[2], int(read[3] or 1)
        low = least if first is None else _number(first)
        high = most if first is None or (read[3] and last is None) else _number(last or first)
        if step < 1 or not least <= low <= high <= most:
            return None
        found.update(range(low, high + 1, step))
    return found


def _number(word: str) -> int:
    return int(word) if word.isdigit() else _NAMES.get(word, -1)
