"""Limits that nobody foresaw, by the words in which a program says that it has met one.

Decides two things of a log line, whatever the program: whether it tells that as much of something is in use as may be
(`has [3000]/[3000] maximum normal shards open`), and whether it says the name of a numeric setting
(`vm_memory_high_watermark set`, of a file's row `vm_memory_high_watermark.absolute = 150MB`). Programs also print their
settings when they start; such a line holds the value behind the name, and is none.

Rests on: https://www.elastic.co/docs/troubleshoot/elasticsearch/troubleshooting-shards-capacity-issues,
https://www.rabbitmq.com/docs/memory, https://dev.mysql.com/doc/refman/8.4/en/packet-too-large.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from services.context_api.domain.limits import LONGEST, Row
from services.context_api.domain.logs import is_narrative, weigh

LETTERS = 12
"""Of a setting's name, so that it does not stand in a line by chance. A guess; `max_connections` has fourteen."""

NEAR = 3
"""Lines within which a program that names a setting says that something is wrong."""

_FULL = re.compile(
    r"(?<![\d.])\[?(\d[\d,.]{0,14})\]?\s?(?:/|of|out of)\s?\[?(\1)\]?(?![\d/.])", re.IGNORECASE
)
_MOST = re.compile(r"\b(?:max(?:imum)?|limit(?:ed)?|quota|allowed|exceed\w*)\b", re.IGNORECASE)
_ROW = re.compile(
    r"^[ \t]*(?:-[ \t]+)?[\"']?([A-Za-z][\w.-]{2,78})[\"']?[ \t]{0,4}(?:[=:]|[ \t])[ \t]{0,4}[\"']?(\d[\w.]{0,20})[\"']?[ \t,;]*$"
)
_WORDS = re.compile(r"[\w-]+")
_AMISS = re.compile(
    r"\bwarn(?:ing)?\b|\berr(?:or)?\b|\balarm\b|\bblock(?:ed|ing)\b|\brefus|\breject|\bexceed", re.IGNORECASE
)


def all_in_use(line: str) -> str:
    """What a failing line says is used up, as it says it; empty where it says no such thing."""
    if is_narrative(line) or not weigh(line):
        return ""
    for found in _FULL.finditer(line):
        if float(re.sub(r"[,.]", "", found[1]) or 0) > 1 and _MOST.search(line):
            return line[found.start() : found.end() + 60].split(";")[0].split('"')[0].strip()
    return ""


def numeric_rows(text: str) -> Iterator[Row]:
    """Rows of a file that give a number to a name of several words."""
    for line in text[:LONGEST].splitlines():
        found = _ROW.match(line)
        if found is not None and _stem(found[1]):
            yield Row(found[1], found[2], line.strip())


def words_of(lines: Sequence[str]) -> frozenset[str]:
    """The words of a log, among which that of a setting must be for `says_setting` to find it."""
    return frozenset(_WORDS.findall("\n".join(lines)))


def word_of(row: Row) -> str:
    """The word with which the setting's name begins; empty where the name says too little."""
    found = _WORDS.match(_stem(row.setting))
    return found[0] if found is not None else ""


def says_setting(row: Row, lines: Sequence[str]) -> str:
    """The line that says the setting's name, where something is amiss in it or in those that follow."""
    stem = _stem(row.setting)
    if not stem or not any(stem in line for line in lines):
        return ""
    word = re.compile(rf"(?<![\w-]){re.escape(stem)}(?![\w-])")
    echo = re.compile(rf"{re.escape(row.setting)}\W{{0,6}}{re.escape(row.value)}\b")
    for number, line in enumerate(lines):
        if not word.search(line) or echo.search(line) or is_narrative(line):
            continue
        if any(_AMISS.search(near) for near in lines[number : number + NEAR]):
            return line
    return ""


def _stem(name: str) -> str:
    """The name without its last dotted part, where that leaves enough of it: `….absolute` says only how it is counted."""
    for short in (name.rpartition(".")[0], name):
        words = re.findall(r"[A-Za-z][a-z]*|[A-Z]+", short)
        if len(words) >= 2 and sum(map(len, words)) >= LETTERS:
            return short
    return ""
