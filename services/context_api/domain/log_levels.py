"""How grave a line of a log is by its writer's own word, and whose fault an answer is that an access log tells.

Decides only what the writer says of a line: its level, in the forms that usual loggers give it; of a request that was
answered, with which status, and whether the server is at fault; and whether it only advises. What a line is about, and
whether it matters, is not asked here. A line that says no level has none: then its words count.
A server that does not know a method or a version (501, 505) was asked for what it never did: the client's fault.

Rests on: https://github.com/kubernetes/klog (the letter before the date), https://github.com/pinojs/pino (level 30 is info),
https://github.com/dotnet/runtime (SimpleConsoleFormatter: `info: `), https://httpd.apache.org/docs/2.4/logs.html#accesslog
(common log format), https://www.rfc-editor.org/rfc/rfc9110#section-15.5, https://docs.python.org/3/library/warnings.html.
"""

from __future__ import annotations

import re
from enum import IntEnum

FRONT = 400
"""Characters at a line's beginning in which its level stands."""

LONGEST = 8000
"""Characters of a line that are read."""


class Level(IntEnum):
    """What a writer calls a line."""

    news = 0
    warning = 1
    error = 2


_NAMES = {
    Level.news: "trace trce debug dbug dbg info information inf notice note news finer fine config",
    Level.warning: "warn warning wrn w",
    Level.error: "error err fail severe fatal critical crit ftl alert emerg emergency panic e f c",
}
_LEVELS = {name: level for level, names in _NAMES.items() for name in names.split()} | {
    "i": Level.news,
    "d": Level.news,
}
_NUMBERED = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL"}
"""Levels that Node's loggers write as numbers."""

_CLOCK = re.compile(
    r"^[\[(]?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?[\])]?[\s:,]{0,4}"
)
_SAID = re.compile(
    r"\b(?:level|lvl|severity|levelname|loglevel|log\.level)[\"']?\s{0,2}[=:]\s{0,2}[\"']?(?P<key>(?i:[a-z]{1,11}))\b"
    r"|[\[<(|]\s{0,2}(?P<boxed>(?i:trace|debug|info|notice|note|warn|warning|error|err|crit|critical|alert|emerg|fatal))\s{0,5}[\]>)|]"
    r"|\b(?P<upper>TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|SEVERE|FATAL|CRITICAL)\b"
    r"|^(?P<lower>trace|trce|debug|dbug|info|notice|warn|warning|error|fail|crit|fatal)(?=:|\t|\s{2})"
    r"|^(?P<klog>[IWEF])\d{4} \d\d:\d\d:\d\d\.\d"
    r"|^\[?(?P<letter>[DIWEFC])(?:, \[| \d{4}-\d\d-\d\d| \d\d:\d\d:\d\d)"
)

_ANSWERED = re.compile(
    r"\"[A-Z]{3,16} [^\"\n]{1,4000}\" (?P<request>[1-5]\d\d)(?= |$)"
    r"|\"[^\"\n]{0,4000}\" (?P<any>[1-5]\d\d) (?:\d{1,15}|-)(?= |$)"
    r"|\| {1,4}(?P<columns>[1-5]\d\d) {1,4}\| {1,16}[\d.]{1,16} ?(?:ns|µs|us|ms|s)\b"
    r"|^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \S{1,2000} (?P<short>[1-5]\d\d) [\d.]{1,16} ?ms\b"
)
_NEVER_DONE = frozenset({501, 505})

_ADVICE = re.compile(r"\b\w{3,40}Warning:|\bdeprecat(?:ed|es|ion)\b|\bwill be removed in\b", re.IGNORECASE)
_CATEGORY = re.compile(r"\b[A-Z]\w{2,40}Warning:")
_MORE_THAN_ADVICE = re.compile(
    r"\berrors?\b|\bfail|\bcannot\b|\bcan't\b|\bcould not\b|\bunsupported\b|\bno longer\b|\b(?:was|were|been) removed\b|\bexit|\babort"
    r"|(?<![`'\"])\bunknown\b|\binvalid\b|\bdenied\b|\bmust\b",
    re.IGNORECASE,
)
"""What tells that something fails, is refused or has to be done now. A name in quotes may be anything."""


def named(number: int) -> str:
    """The name of a level that a structured line gives as a number; the number itself where it is none of these."""
    return _NUMBERED.get(number, str(number))


def bare(line: str) -> str:
    """A line without the times in front: the kubelet's and the program's own."""
    for _ in range(2):
        line = _CLOCK.sub("", line, count=1)
    return line


def level_of(line: str) -> Level | None:
    """What the writer calls it: the first word of a level; None where there is none."""
    for found in _SAID.finditer(bare(line[:FRONT])):
        level = _LEVELS.get(found[found.lastgroup or 0].lower())
        if level is not None:
            return level
    return None


def is_news(line: str) -> bool:
    """Whether its writer calls it less than a warning, whatever words it holds."""
    return level_of(line) is Level.news


def is_modest(line: str) -> bool:
    """Whether its writer calls it less than an error."""
    return level_of(line) in (Level.news, Level.warning)


def answered(line: str) -> int | None:
    """The status with which a request was answered, of an access log's line; None of any other."""
    found = _ANSWERED.search(bare(line[:LONGEST]))
    if found is None or level_of(line) is Level.error:
        return None  # an error about a call of somebody else may quote it in the same form
    return int(found[found.lastgroup or 0])


def of_the_server(status: int) -> bool:
    """Whether a request that was answered so failed by the server's fault."""
    return status >= 500 and status not in _NEVER_DONE


def is_advice(line: str) -> bool:
    """Whether it only says what will not go for ever: that something is deprecated, a warning of a language's own."""
    line = line[:LONGEST]
    if not _ADVICE.search(line) or level_of(line) is Level.error:
        return False
    return _CATEGORY.search(line) is not None or not _MORE_THAN_ADVICE.search(line)
