"""Find in a sentence what can be looked up: objects, names, quoted words, times and numbers. Pure.

What is found must occur in evidence; everything else a sentence says is beyond a check that is the same each time.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from services.holmesgpt_api.domain.amounts import Amount, amounts
from services.holmesgpt_api.domain.vocabulary import KINDS, PLAIN_PARTS, PROPER, SHORT, TERMS


class Kind(StrEnum):
    object = "object"
    text = "text"
    name = "name"
    time = "time"
    number = "number"


@dataclass(frozen=True, slots=True)
class Quotable:
    kind: Kind
    said: str
    amount: Amount | None = None
    of: tuple[str, str | None, str] | None = None
    """Of an object: kind in lower case, namespace (`""`: none said, None: cluster scope) and name."""


_PLACEHOLDER = re.compile(r"\[[A-Z]+(?:-[0-9a-f]{4,})?(?::[a-z0-9-]+)?\]")
_EVIDENCE_ID = re.compile(r"\bev-[0-9a-f]+\b")
_QUOTED = re.compile(
    r"`([^`]{1,2000})`|\"([^\"]{1,2000})\"|“([^”]{1,2000})”|(?<![\w])'([^'\n]{1,500})'(?!\w)"
)
_SEGMENT = r"[A-Za-z0-9](?:[A-Za-z0-9._:-]*[A-Za-z0-9])?"
_OBJECT = re.compile(
    rf"(?<![\w./-])([A-Za-z][A-Za-z0-9]{{1,62}})(?:\.[a-z0-9.-]+)?/(?:({_SEGMENT}|_cluster|-)/)?({_SEGMENT})(?![\w/])"
)
_TIME = re.compile(
    r"(?<![\w:.-])(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?|\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?)"
    r"(?:Z|[ ]?UTC|[+-]\d\d:\d\d)?(?![\w:])"
)
_TOKEN = re.compile(r"(?<![\w])[A-Za-z0-9_](?:[A-Za-z0-9._:/@=-]*[A-Za-z0-9_])?")
_CAMEL = re.compile(r"[a-z0-9][A-Z]|[A-Z]{2,}[a-z]{2}")
_QUALIFIED = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?/[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_SIGNALS = {"SIGKILL": "137", "SIGTERM": "143", "SIGSEGV": "139", "SIGABRT": "134"}


def kind_of(word: str) -> str | None:
    """The kind that a word names, whatever its number and spelling; None: it names none."""
    lowered = word.lower()
    for one in (
        lowered,
        lowered.removesuffix("s"),
        lowered.removesuffix("es"),
        lowered.removesuffix("ies") + "y",
    ):
        if one in KINDS:
            return one
        if one in SHORT:
            return SHORT[one]
    return None


def quotables(text: str, known: Collection[str] = ()) -> list[Quotable]:
    """Everything in a text that evidence must show.

    Args:
        known: names of objects that were looked at: a plain word beside a kind (`pod web`) is a name when it is one.
    """
    found: list[Quotable] = []
    rest = _EVIDENCE_ID.sub(" , ", text)
    rest = _taken(rest, _PLACEHOLDER, lambda match: found.append(Quotable(Kind.text, match[0])))
    rest = _unquoted(rest, found)
    rest = _taken(rest, _OBJECT, lambda match: _object(match, found))
    found += _beside_kinds(rest, frozenset(known))
    rest = _taken(rest, _TIME, lambda match: found.append(Quotable(Kind.time, match[1])))
    for one in list(amounts(rest)):
        found.append(Quotable(Kind.number, one.said.strip(), amount=one))
        rest = f"{rest[: one.start]}{' ' * (one.end - one.start)}{rest[one.end :]}"
    found += [Quotable(Kind.name, written) for written in _writtens(rest)]
    return list(dict.fromkeys(found))


def _taken(text: str, pattern: re.Pattern[str], take: object) -> str:
    """The text with what matches blotted out, unless `take` says False to it."""

    def blot(match: re.Match[str]) -> str:
        refused = take(match) is False  # type: ignore[operator]
        return match[0] if refused else " , "

    return pattern.sub(blot, text)


def _unquoted(text: str, found: list[Quotable]) -> str:
    """What stands in quotes is taken as it stands; an object's reference or a number alone is one all the same."""

    def take(match: re.Match[str]) -> bool:
        inner = next(one for one in match.groups() if one is not None).strip()
        reference = _OBJECT.fullmatch(inner)
        if reference and _object(reference, found):
            return True
        lone = [one for one in amounts(inner) if one.said.strip() == inner]
        if not inner or lone:
            found.extend(Quotable(Kind.number, inner, amount=one) for one in lone)
            return True
        found.append(Quotable(Kind.text, inner))
        return True

    # A name in quotes still stands beside its kind: ConfigMap `orders-db-config`.
    for match in _QUOTED.finditer(text):
        inner = next(one for one in match.groups() if one is not None)
        before = re.search(r"([A-Za-z]{2,40})[ ]+(?:named[ ]+|called[ ]+)?$", text[: match.start()])
        kind = kind_of(before[1]) if before else None
        if kind and re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", inner):
            found.append(
                Quotable(Kind.object, f"{before[1]} {inner}" if before else inner, of=(kind, "", inner))
            )
    return _taken(text, _QUOTED, take)


def _object(match: re.Match[str], found: list[Quotable]) -> bool:
    kind = kind_of(match[1]) or (match[1].lower() if match[2] and match[1][0].isupper() else None)
    if kind is None:
        return False
    namespace = match[2] or ""
    scope = None if namespace in ("_cluster", "-") else namespace
    found.append(Quotable(Kind.object, match[0], of=(kind, scope, match[3])))
    return True


def _beside_kinds(text: str, known: frozenset[str]) -> Iterator[Quotable]:
    """`pod checkout-1`, `checkout-1 pod`, `Deployment checkout`."""
    words = text.split()
    for before, after in itertools.pairwise(words):
        first, second = before.strip("(),;:"), after.strip("(),;:.!?")
        if before[-1:] in ",;.)" or not first or not second:
            continue
        if (kind := kind_of(first)) and _QUALIFIED.fullmatch(second):
            namespace, _, name = second.partition("/")
            yield Quotable(Kind.object, f"{first} {second}", of=(kind, namespace, name))
        elif kind and _named(second, known):
            yield Quotable(Kind.object, f"{first} {second}", of=(kind, "", second))
        elif second[:1].isupper() and (kind := kind_of(second)) and _named(first, known):
            yield Quotable(Kind.object, f"{first} {second}", of=(kind, "", first))


def _named(word: str, known: frozenset[str]) -> bool:
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", word):
        return False
    return word in known or (_hyphened(word) if "-" in word else False)


def _hyphened(word: str) -> bool:
    """Whether a word with hyphens is a name rather than an English compound."""
    return any(not part.isalpha() or part.lower() not in PLAIN_PARTS for part in word.split("-"))


def _writtens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        written = match[0]
        if _is_name(written):
            yield written


def _is_name(written: str) -> bool:
    lowered = written.lower()
    if lowered in TERMS or lowered in PROPER or kind_of(written):
        return False
    if written in _SIGNALS or re.fullmatch(r"E[A-Z]{4,}", written):
        return True
    if "/" in written:
        return not all(
            part.isalpha() and (part.islower() or part.istitle() or part.isupper())
            for part in written.split("/")
            if part
        )
    if any(sign in written for sign in "_=@") or re.search(r"[A-Za-z0-9][.:][A-Za-z0-9]", written):
        return not written.replace(".", "").replace(",", "").isdigit() or written.count(".") > 1
    if "-" in written:
        return _hyphened(written) and not re.fullmatch(r"\d+-[a-z]+", written)
    if _CAMEL.search(written):
        return True
    return (
        any(sign.isdigit() for sign in written)
        and any(sign.isalpha() for sign in written)
        and not _is_amount(written)
    )


def _is_amount(written: str) -> bool:
    return (
        any(one.said.strip() == written for one in amounts(written))
        or re.fullmatch(r"\d+(st|nd|rd|th|x)", written) is not None
    )


def stands_for(name: str) -> tuple[str, ...]:
    """Other spellings under which evidence may show a name."""
    return (name, _SIGNALS[name]) if name in _SIGNALS else (name,)
