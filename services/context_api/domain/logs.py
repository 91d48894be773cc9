"""Finds the lines of a log that tell why, and counts those that say the same.

Decides which lines are errors and which of them comes nearest to a cause; believes none of them.
Lines that read like instructions or verdicts ("root cause is …") are never chosen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.context_api.domain.kube import harmless
from services.context_api.domain.log_levels import Level, answered, is_advice, level_of, named, of_the_server
from services.context_api.domain.redact import redact
from services.context_api.domain.snapshot import parse_time

QUOTED = 320
"""Letters of a line that a sentence quotes: the refusal itself stands at the end of what wraps it."""

LINES = 300
"""Lines read from a log's end. A crash explains itself in its last lines; a guess, generous."""

LONGEST = 400
"""Characters kept of one line; the cut is marked."""

_STAMP = re.compile(
    r"^(?:\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|(?!INFO|WARN|CRIT|NOTE|LOG|ERR)[A-Z]{3,4}\b|[+-]\d\d:?\d\d))?\]?[:\s]*(?:\[\d+\] ?)?"
    r"|[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ |\d\d:\d\d:\d\d(?:[.,]\d+)?\s+)"
)
_TIME = re.compile(r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?")
_SHAPE = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{16,}\b|\d+")
_FATAL = re.compile(
    r"\bfatal\b|\bpanic\b|\bemerg\b|\bcritical\b|\bcrit\b|\balert\b\]|unrecoverable|\babort", re.IGNORECASE
)
_ERROR = re.compile(
    r"error|exception|\bfail|\bcannot\b|\bcan't\b|\bcould not\b|unable to|denied|refused|invalid|unknown|"
    r"not found|no such|timed? ?out|missing|required|unexpected|unsupported|unauthorized|forbidden|\bbad\b|"
    r"out of memory|no space left|illegal|unrecognized|not permitted|exceeded|undefined|must be|unreachable|killed",
    re.IGNORECASE,
)
_HARMLESS = re.compile(
    r"\b0 errors?\b|\bno errors?\b|errors?[=: ]+0\b",
)
_OF_THE_END = re.compile(r"\bfatal\b|\bpanic\b|unrecoverable|\babort", re.IGNORECASE)
"""What tells of an end even where the writer calls it news; `critical` is said of sections and of counts too."""

_FRAME = re.compile(
    r"^\s+at |^\s*File \"|^\s*\.\.\. \d+ more|^goroutine \d|^\s+/|^\t|^\s{4,}|^created by |^exit status \d"
)
_CAUSED = re.compile(r"^\s*caused by:?\s", re.IGNORECASE)
_EXCEPTION = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception)\b.*:", re.ASCII)
NARRATIVE = re.compile(
    r"ignore (?:all |any |the )*(?:previous|prior|above|other)|disregard (?:all |any |the )*(?:previous|prior|above)|"
    r"\broot[- ]?cause (?:is|was|of this|has been)|\broot[- ]?cause(?: \w+)?:|\breal cause\b|actual cause\b|system prompt|you are (?:now |an? )?(?:an? )?(?:ai|assistant|llm|agent)\b|"
    r"(?:do not|don't|never) (?:report|investigate|mention|alert|blame)|"
    r"\breport (?:that|this as|it as)\b|<\|im_start\|>|\[/?inst\]|</?system>|\bassistant:|new instructions|"
    r"mark (?:this|it)? ?(?:alert|incident)? ?as (?:resolved|healthy|false positive)|kubectl delete (?:ns|namespace)",
    re.IGNORECASE,
)
"""Text that tells a reader what to conclude or do, which no program writes about itself."""

_SUSPECT_HINTS = (
    "ignore", "disregard", "cause", "prompt", "you are", "report", "im_start", "inst]", "system>", "assistant",
    "instructions", "mark ", "investigate", "mention", "blame", "alert", "kubectl delete",
)  # fmt: skip


def is_narrative(words: str) -> bool:
    """Whether text tries to tell its reader what to conclude or do."""
    lowered = words.lower()
    return any(hint in lowered for hint in _SUSPECT_HINTS) and NARRATIVE.search(words) is not None


@dataclass(frozen=True, slots=True)
class Line:
    """Lines of one shape: the newest as an example, and how often it occurred."""

    text: str
    count: int
    weight: int
    """3 fatal or last cause of a stack trace, 2 error, 0 none."""


_UNSAID = frozenset(
    {
        "time",
        "timestamp",
        "ts",
        "@timestamp",
        "logger",
        "caller",
        "stack",
        "stacktrace",
        "trace_id",
        "span_id",
        "pid",
        "thread",
        "hostname",
        "version",
        "v",
    }
)


_LEVELS = ("level", "severity", "lvl", "levelname", "log.level")
_ERRORS = frozenset(
    {"error", "err", "exception", "reason", "cause", "error.message", "error.type", "exception.message"}
)
_OF_THE_WRITER = ("log.", "process.", "service.", "ecs.", "event.", "trace.", "host.")
"""Fields of the Elastic Common Schema that say who wrote a line, not what happened."""


def readable(line: str) -> str:
    """A structured (JSON) log line as a sentence: level, message, then its fields; other lines as they are.

    With `kubectl logs --timestamps` a time stands before the JSON; it goes, as times within do.
    """
    line = line.strip()
    bare = _STAMP.sub("", line, count=1) if line[:1].isdigit() else line
    if not (bare.startswith("{") and bare.endswith("}")) or len(line) > 20 * LONGEST:
        return line
    try:
        fields = json.loads(bare)
    except (ValueError, RecursionError):
        return line
    if not isinstance(fields, dict):
        return line
    level = next((_level(fields[k]) for k in _LEVELS if k in fields), "")
    said = next((str(fields[k]) for k in ("msg", "message", "event", "log") if k in fields), "")
    skipped = _UNSAID | {*_LEVELS, "msg", "message", "event", "log"}
    errors = sorted(k for k in fields if k in _ERRORS)
    rest = [
        k
        for k in fields
        if k not in skipped
        and k not in errors
        and not k.startswith(_OF_THE_WRITER)
        and not k.endswith("stack_trace")
    ]
    # pino and others nest an error: {"err": {"type": …, "message": …, "stack": …}}.
    told = {k: v.get("message") if k in errors and isinstance(v, dict) else v for k, v in fields.items()}
    parts = [f"{k}={told[k]}" for k in (*errors, *rest) if isinstance(told[k], str | int | float | bool)]
    return " ".join(part for part in (level, said, *parts) if part) or line


def _level(value: object) -> str:
    return named(value) if isinstance(value, int) else str(value).upper()


def cut(words: str, most: int = LONGEST) -> str:
    """One line of bounded length; what was cut is said."""
    flat = " ".join(words.split()) if len(words) < 20 * most else " ".join(words[: 20 * most].split())
    flat = harmless(flat)
    return flat if len(flat) <= most else f"{flat[:most]}… [{len(words) - most} characters cut]"


def ends(words: str, most: int = LONGEST) -> str:
    """`cut`, but of a long text the end is kept too: an error that wraps others names the first of them last."""
    flat = harmless(" ".join(words[: 20 * most].split())) if len(words) <= 20 * most else ""
    if not flat or len(flat) <= most:
        return cut(words, most)
    tail = most * 2 // 5
    return f"{flat[: most - tail]} … {flat[-tail:]}"


def quote(line: str, most: int = QUOTED) -> str:
    """A log line or a message for a sentence: redacted, without the time that the kubelet put in front, both ends kept.

    Redacted before it is cut: the end alone of a secret has no name in front of it by which it would be known.
    """
    line = redact(line[: 20 * LONGEST].strip())
    return ends(_STAMP.sub("", line, count=1) if line[:1].isdigit() else line, most)


def last_lines(log: str, most: int = LINES) -> list[str]:
    """The last non-empty lines, structured ones made readable; only the end of a long log is split."""
    tail = log[-most * 500 :]
    return [readable(line) for line in tail.splitlines() if line.strip()][-most:]


def timed_lines(log: str, most: int = LINES) -> list[tuple[datetime | None, str]]:
    """The same with the time of each, which a structured line loses when it is made readable."""
    tail = log[-most * 500 :]
    return [(time_of(line), readable(line)) for line in tail.splitlines() if line.strip()][-most:]


def time_of(line: str) -> datetime | None:
    """The time a line says it was written at, as UTC when it names no zone."""
    found = _TIME.search(line[:200])
    return parse_time(found[0].replace("/", "-").replace(",", ".")) if found else None


def shape_of(line: str) -> str:
    """What lines that say the same have in common: no time in front, no numbers or ids within."""
    return _SHAPE.sub("#", _STAMP.sub("", line, count=1))


def message_of(line: str) -> str:
    """A line without the time in front, of bounded length."""
    return cut(_STAMP.sub("", line, count=1))


def clusters(logs: Iterable[str], most: int = LINES) -> list[Line]:
    """Error lines of several logs, clustered by shape, in the order of their newest occurrence."""
    found: dict[str, tuple[str, int, int]] = {}
    for log in logs:
        for line in last_lines(log, most):
            weight = weigh(line)
            if weight:
                shape = _SHAPE.sub("#", message_of(line))
                count = found.pop(shape, ("", 0, 0))[1]
                found[shape] = (line, count + 1, weight)
    return [Line(quote(line, LONGEST), count, weight) for line, count, weight in found.values()]


def merged(lines: Iterable[Line]) -> list[Line]:
    """Lines of one shape as one, counted together: replicas say the same."""
    found: dict[str, Line] = {}
    for line in lines:
        held = found.pop(shape_of(line.text), None)
        count = line.count + (held.count if held is not None else 0)
        found[shape_of(line.text)] = Line(line.text, count, line.weight)
    return list(found.values())


def weigh(line: str) -> int:
    """How much a line says about a failure: 0 nothing, 2 an error, 3 the end of it."""
    if len(line) > 20 * LONGEST:
        line = line[: 20 * LONGEST]
    frame = _FRAME.match(line) or (line.endswith(")") and " " not in line and "(" in line)
    if frame and not _CAUSED.search(line):
        return 0
    if is_narrative(line):
        return 0
    if _CAUSED.search(line) or _EXCEPTION.match(line):
        return 3
    if not (_FATAL.search(line) or _ERROR.search(line)):
        return 0
    status = answered(line)
    if status is not None and not of_the_server(status):
        return 0
    news = level_of(line) is Level.news
    if (_OF_THE_END if news else _FATAL).search(line):
        return 3
    return 0 if news or _HARMLESS.search(line) or is_advice(line) else 2


def telling(lines: Sequence[Line], most: int = 3) -> list[Line]:
    """The lines nearest to a cause: the heaviest, newest first; at most `most`."""
    ranked = sorted(enumerate(lines), key=lambda item: (-item[1].weight, -item[0]))
    return [line for _, line in ranked[:most]]
