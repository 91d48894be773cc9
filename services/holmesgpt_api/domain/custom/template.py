"""Templates: where in a request a model's arguments go, and that they stay there. Pure.

RFC 6570, level 1: `{name}` in a segment of a path, in a value of the query, in a text of the body. What fills a gap
is encoded so that it ends where the gap ends; what a careless server could still take for more is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from services.holmesgpt_api.domain.custom.errors import BadToolset, Unfit
from services.holmesgpt_api.domain.custom.words import fault_in, fault_in_segment, leads_elsewhere

LONGEST = 4_000
"""Characters of a path with its query; some servers take no more."""

_GAP = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]{0,63})\}")
_WORD = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]*")
"""What stands in a segment as it is (RFC 3986, pchar), without what is percent-encoded."""
_QUERY_NAME = re.compile(r"[A-Za-z0-9._~\[\]:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Text:
    """A text with gaps: literals and names in turn, a literal first and last."""

    parts: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return self.parts[1::2]

    def filled(self, values: Mapping[str, str]) -> str:
        return "".join(values[part] if number % 2 else part for number, part in enumerate(self.parts))

    @property
    def alone(self) -> str | None:
        """The name, where the text is one gap and nothing else."""
        return self.parts[1] if len(self.parts) == 3 and not (self.parts[0] or self.parts[2]) else None


def text(template: str) -> Text:
    """Raises BadToolset: it holds a brace that is no gap."""
    parts = tuple(_GAP.split(template))
    if any("{" in part or "}" in part for part in parts[0::2]):
        raise BadToolset(f"{template[:60]!r}: a brace that is no `{{name}}`")
    return Text(parts)


@dataclass(frozen=True, slots=True)
class Path:
    segments: tuple[Text, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for one in self.segments for name in one.names)

    def filled(self, arguments: Mapping[str, Any]) -> str:
        """Raises Unfit: with this argument it would not be this path."""
        texts = {name: spelled(arguments[name]) for name in self.names}
        for name, value in texts.items():
            if fault := fault_in_segment(value):
                raise Unfit(f"{name}: {fault}")
        made = []
        for one in self.segments:
            if one.names and leads_elsewhere(one.filled(texts)):
                raise Unfit(f"{', '.join(one.names)}: leads elsewhere")
            made.append(one.filled({name: quote(texts[name], safe="") for name in one.names}))
        return "/" + "/".join(made)


def path(template: str) -> Path:
    """Raises BadToolset."""
    if not template.startswith("/") or len(template) > LONGEST:
        raise BadToolset(f"path {template[:60]!r}: want one that begins with a slash")
    if template == "/":
        return Path((Text(("",)),))
    segments = tuple(text(one) for one in template[1:].split("/"))
    for number, one in enumerate(segments):
        if not all(_WORD.fullmatch(literal) for literal in one.parts[0::2]):
            raise BadToolset(f"path {template[:60]!r}: a character that does not stand in a path as it is")
        last = number == len(segments) - 1
        if not one.names and leads_elsewhere(one.parts[0]) and not (last and one.parts[0] == ""):
            raise BadToolset(f"path {template[:60]!r}: an empty segment, or one of dots")
    return Path(segments)


@dataclass(frozen=True, slots=True)
class Query:
    values: tuple[tuple[str, Text], ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for _, one in self.values for name in one.names)

    def filled(self, arguments: Mapping[str, Any]) -> str:
        """What is left out leaves its value out. Raises Unfit."""
        pairs = []
        for name, one in self.values:
            if not all(each in arguments for each in one.names):
                continue
            texts = {each: spelled(arguments[each]) for each in one.names}
            for each, value in texts.items():
                if fault := fault_in(value, lines=False):
                    raise Unfit(f"{each}: {fault}")
            pairs.append(f"{quote(name, safe='')}={quote(one.filled(texts), safe='')}")
        return "&".join(pairs)


def query(templates: Mapping[str, str]) -> Query:
    """Raises BadToolset."""
    if unfit := [name for name in templates if not _QUERY_NAME.fullmatch(name)]:
        raise BadToolset(f"query: {unfit[0][:40]!r}: no name")
    return Query(tuple((name, text(one)) for name, one in templates.items()))


def names_in(body: Any) -> frozenset[str]:
    """The gaps of a body. Raises BadToolset."""
    match body:
        case dict():
            return frozenset().union(*(names_in(one) for one in body.values()))
        case list():
            return frozenset().union(*(names_in(one) for one in body))
        case str():
            return frozenset(text(body).names)
    return frozenset()


def body(template: Any, arguments: Mapping[str, Any]) -> Any:
    """The body; a text that is one gap becomes the argument itself, and is left out with it."""
    match template:
        case dict():
            made = {name: body(one, arguments) for name, one in template.items()}
            return {name: one for name, one in made.items() if one is not LEFT_OUT}
        case list():
            return [one for each in template if (one := body(each, arguments)) is not LEFT_OUT]
        case str():
            found = text(template)
            if not all(name in arguments for name in found.names):
                return LEFT_OUT
            if found.alone is not None:
                return arguments[found.alone]
            return found.filled({name: spelled(arguments[name]) for name in found.names})
    return template


class _LeftOut:
    pass


LEFT_OUT = _LeftOut()


def spelled(value: Any) -> str:
    """An argument as text."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
