"""Finds the setting a program complains about: a log line beside the environment and files it was given.

Decides whether an error line speaks of a particular variable, file or value of the configuration, and how
surely. A line that merely contains a common word matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.context_api.domain.changes import FieldChange
from services.context_api.domain.kube import flat
from services.context_api.domain.logs import Line, cut
from services.context_api.domain.redact import value_of
from services.context_api.domain.references import Reference
from services.context_api.domain.snapshot import KubeObject

_QUOTED = re.compile(r"[\"'`“]([^\"'`”]{2,120})[\"'`”]")
_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
_PATH = re.compile(r"(?<![\w.])(/[\w.@/-]{3,200})")
_NAMED = re.compile(
    r"(?:parameter|setting|option|key|directive|variable|field|property|configuration|config|argument|flag|value(?: of| for)?)s?[ :=]{1,3}[\"'`]?([\w.-]{3,80})",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(r"([\w.-]{3,80})\s?[=:]\s?(\S{1,120})")
_ABSENT = re.compile(
    r"not set|is required|required|missing|undefined|must be set|not provided|is empty|not defined|KeyError|no value|unset",
    re.IGNORECASE,
)
_COMMON = frozenset(
    {"error", "fatal", "config", "configuration", "value", "true", "false", "none", "null", "name", "type", "data", "file", "line", "http", "https",
     "default", "the", "for", "not", "and", "info", "warn", "level", "server", "host", "port", "main", "start", "postgres", "root", "user", "database"}
)  # fmt: skip

_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
WARNS = re.compile(r"\b(?:WARN(?:ING)?|ERROR)\b|\blevel=\"?(?:warn|error)|^[WE]\d{4} ")
_VERBS = frozenset({"use", "uses", "enable", "enabled", "allow", "with", "is", "set", "require", "force"})
_OFF = frozenset({"", "false", "no", "off", "0", "none", "disabled"})
SPELLED = 10
"""Letters that a setting's words have together, so that they do not stand in a line by chance. A guess."""


@dataclass(frozen=True, slots=True)
class Match:
    """A setting that an error line speaks of."""

    key: str
    shown: str
    """The setting as configured: `LOG_LEVEL=verbos`, `max_connections = 10O`."""
    line: str
    strength: float


def words_in(lines: Sequence[Line]) -> dict[str, str]:
    """What error lines name: quoted words, variables, settings; each with the line that names it."""
    found: dict[str, str] = {}
    for line in lines:
        if line.weight < 2:
            continue
        named = [*_QUOTED.findall(line.text), *_VARIABLE.findall(line.text), *_NAMED.findall(line.text)]
        for pair in _ASSIGNED.findall(line.text):
            named += pair
        for word in named:
            word = word.strip(".,:;()[]{}")
            if len(word) >= 3 and word.lower() not in _COMMON:
                found.setdefault(word, line.text)
    return found


def absent_variables(lines: Sequence[Line]) -> dict[str, str]:
    """Variables that error lines say are not set."""
    return {
        v: line.text
        for line in lines
        if line.weight >= 2 and _ABSENT.search(line.text)
        for v in _VARIABLE.findall(line.text)
    }


def in_config(config: KubeObject, uses: Iterable[Reference], lines: Sequence[Line]) -> Match | None:
    """The best match between error lines and the keys of a ConfigMap that are used."""
    named = words_in(lines)
    data = flat(config.body.get("data"))
    matches = [m for use in uses for m in _matches(data, use, lines, named)]
    return max(matches, key=lambda m: (m.strength, m.key), default=None)


def _matches(
    data: dict[str, str], use: Reference, lines: Sequence[Line], named: dict[str, str]
) -> Iterable[Match]:
    for key, value in data.items():
        if use.key not in (None, key):
            continue
        variable = use.variable or key
        if not use.paths:
            if variable in named:
                yield Match(key, f"{variable}={cut(value_of(variable, value), 120)}", named[variable], 0.92)
            elif len(value) >= 3 and value in named:
                yield Match(key, f"{variable}={cut(value_of(variable, value), 120)}", named[value], 0.85)
            continue
        yield from _in_file(key, value, use, lines, named)


def _in_file(
    key: str, value: str, use: Reference, lines: Sequence[Line], named: dict[str, str]
) -> Iterable[Match]:
    """A mounted file: a setting in it that a line names, or the file's own path."""
    for word, line in named.items():
        row = next((r for r in value[:65536].splitlines() if _holds(r, word)), None)
        if row is not None:
            name = re.split(r"[=: ]", row.strip(), maxsplit=1)[0]
            yield Match(
                key,
                cut(value_of(name, row.strip()), 160),
                line,
                0.92 if word in (name, name.strip("\"'")) else 0.85,
            )
    own_paths = {*use.paths, *(f"{path.rstrip('/')}/{key}" for path in use.paths)}
    for heard in lines:
        if heard.weight >= 2:
            for path in own_paths.intersection(_PATH.findall(heard.text)):
                yield Match(key, f"file {path}", heard.text, 0.85)


def _holds(row: str, word: str) -> bool:
    """Whether a line of a file holds the word as a whole."""
    at = row.find(word)
    if at < 0 or row.lstrip().startswith(("#", "//", ";")):
        return False
    before, after = row[at - 1 : at], row[at + len(word) : at + len(word) + 1]
    return not (before.isalnum() or after.isalnum() or before == "_" or after == "_")


def spelled_out(key: str, value: str, lines: Sequence[Line]) -> str:
    """The error line that says a setting's name in words: `use-proxy-protocol` and `while reading PROXY protocol`.

    Only names of two words or more beside the verb; a setting that is off is not what a program complains about.
    """
    words = [w.lower() for w in _PARTS.findall(key)]
    while words and words[0] in _VERBS:
        words = words[1:]
    if len(words) < 2 or len("".join(words)) < SPELLED or value.strip().lower() in _OFF:
        return ""
    said = re.compile(r"(?<![a-z])" + r"[-_ .]?".join(map(re.escape, words)) + r"(?![a-z])", re.IGNORECASE)
    return next((line.text for line in lines if line.weight >= 2 and said.search(line.text)), "")


def doubted(key: str, value: str, lines: Iterable[str]) -> str:
    """The warning that repeats a setting with its value: `veth_mtu` of 1500 and `larger than the host's … mtu=1500`.

    A program goes on after a warning, so nothing but the setting's own word beside its very value counts.
    """
    words = {w.lower() for w in _PARTS.findall(key)} - _COMMON
    if len(value) < 2 or value.lower() in ("true", "false", "yes", "no", "on", "off"):
        return ""
    for line in lines:
        if WARNS.search(line):
            for name, said in _ASSIGNED.findall(line):
                spoken = [w.lower() for w in _PARTS.findall(name)]
                if said.strip("\"'`,;.)]}") == value and spoken and words.issuperset(spoken):
                    return line
    return ""


def speaks_of(changes: Sequence[FieldChange], lines: Sequence[Line], *, file_too: bool = True) -> str:
    """The line that names a changed value, else a changed setting, else its file; empty when none does."""
    words = [w for c in changes for w in _words(c.after)] + [w for c in changes for w in _words(c.before)]
    words += [c.path for c in changes] if file_too else []
    for word in words:
        for line in lines:
            if word in line.text:
                return line.text
    return ""


def _words(value: str) -> list[str]:
    """Words that would not stand in a log by chance."""
    found = re.findall(r"[\w.-]{4,80}", value)
    return [w for w in found if w.lower() not in _COMMON and (len(w) >= 5 or any(c.isdigit() for c in w))]
