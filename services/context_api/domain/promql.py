"""Keeps a PromQL query to one tenant: the operator's matchers stand in every selector of what is sent.

A query is parsed, each selector given the matchers, and the result written again by us. A selector that asks for what the
matchers exclude is refused, and so is what reads series no selector names. Pure.

Written by us, because the parser's own printer does not escape quotes in values, prints a subquery without a step as a
range, and cuts milliseconds off. What was written is parsed again and compared, so that no query leaves that means
anything else.

Source: prometheus.io/docs, "Querying basics" and "Operators".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import promql_parser as parser
import re2

LONGEST = 4_000
"""Characters beside string literals. The parser calls itself for every level of nesting and dies with its process when
the stack ends: at about 16,000 levels of a thread's 8 MiB (measured with 0.12)."""

LONGEST_LITERALS = 64 * 1024
"""Characters of string literals: 1,000 names of namespaces."""

LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`', re.DOTALL)
_UNTELLABLE = re.compile(r"@(?!\s*(?:start\b|end\b|[0-9]{1,10}(?![0-9a-zA-Z_])))")
"""A time after `@` that is not between 1970 and 2286: the binding panics over what `datetime` does not hold."""

_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))

UNNAMED_SERIES = frozenset({"info"})
"""Functions that read series which no selector names (`info` joins `target_info`), so nothing would keep them to a tenant."""


class QueryRefused(ValueError):
    """A query, or a matcher of the operator's, that is not used; the text says why and quotes no value."""


@dataclass(frozen=True, slots=True)
class Match:
    """One label matcher."""

    label: str
    op: str
    value: str

    def __str__(self) -> str:
        label = self.label if LABEL.fullmatch(self.label) else quoted(self.label)
        return f"{label}{self.op}{quoted(self.value)}"

    def admits(self, value: str) -> bool:
        """Whether a series with this value of the label can pass."""
        match self.op:
            case "=":
                return self.value == value
            case "!=":
                return self.value != value
            case _:
                return _fully(self.value, value) is (self.op == "=~")


@dataclass(frozen=True, slots=True)
class Selector:
    """`name{matches}[range] @ at offset …`; `range` None for an instant vector."""

    name: str
    matches: tuple[Match, ...]
    range: timedelta | None = None
    at: str = ""
    offset: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Subquery:
    of: Node
    range: timedelta
    step: timedelta | None
    at: str = ""
    offset: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Aggregate:
    op: str
    grouping: str
    """` by (a, b)`; empty for none."""
    parameter: Node | None
    of: Node


@dataclass(frozen=True, slots=True)
class Binary:
    left: Node
    op: str
    """With `bool`, `on (…)` and `group_left (…)`."""
    right: Node


@dataclass(frozen=True, slots=True)
class Negated:
    of: Node


@dataclass(frozen=True, slots=True)
class Parenthesised:
    of: Node


@dataclass(frozen=True, slots=True)
class Literal:
    """A number or a string, as it is written."""

    text: str


Node = Selector | Subquery | Call | Aggregate | Binary | Negated | Parenthesised | Literal


def guarded(query: str, matches: Sequence[Match] = ()) -> str:
    """The query with the matches in every selector.

    Raises:
        QueryRefused: it is no query, asks for what the matches exclude, or cannot be kept to them.
    """
    try:
        kept = confined(parse(query), matches)
        text = written(kept)
        same = parse(text) == kept
    except RecursionError as error:
        raise QueryRefused("the query is nested too deeply") from error
    if not same:
        raise QueryRefused("the query has a part that cannot be written again as it was")
    return text


def matches_of(text: str) -> tuple[Match, ...]:
    """The operator's matches, written as in a selector: `cluster="eu-1", team="a"`. Equality alone: what is injected
    has to say one value, or nothing could be refused for naming another.

    Raises:
        QueryRefused: it is something else.
    """
    if not text.strip():
        return ()
    node = parse(f"{{{text}}}")
    if not isinstance(node, Selector) or node.range or node.at or node.offset:
        raise QueryRefused('want matchers alone, such as cluster="eu-1"')
    for match in node.matches:
        if match.op != "=" or not match.value:
            raise QueryRefused(f'{match.label}: want one value, as in {match.label}="eu-1"')
        if match.label == "__name__" or not LABEL.fullmatch(match.label):
            raise QueryRefused("a matcher has to name a label, in letters, digits and _")
    labels = [match.label for match in node.matches]
    if len(set(labels)) != len(labels):
        raise QueryRefused("a label is named twice")
    return node.matches


def selectors(node: Node) -> Iterator[Selector]:
    """Every selector, at whatever depth."""
    match node:
        case Selector():
            yield node
        case Subquery() | Negated() | Parenthesised():
            yield from selectors(node.of)
        case Call():
            for argument in node.arguments:
                yield from selectors(argument)
        case Aggregate():
            if node.parameter is not None:
                yield from selectors(node.parameter)
            yield from selectors(node.of)
        case Binary():
            yield from selectors(node.left)
            yield from selectors(node.right)
        case Literal():
            return


def confined(node: Node, matches: Sequence[Match]) -> Node:
    """The same with the matches in every selector; those that are there already are not repeated."""
    match node:
        case Selector():
            return replace(node, matches=_with(node, matches))
        case Subquery() | Negated() | Parenthesised():
            return replace(node, of=confined(node.of, matches))
        case Call():
            if matches and node.function in UNNAMED_SERIES:
                raise QueryRefused(f"{node.function}() reads series that no selector names")
            return replace(node, arguments=tuple(confined(one, matches) for one in node.arguments))
        case Aggregate():
            parameter = None if node.parameter is None else confined(node.parameter, matches)
            return replace(node, parameter=parameter, of=confined(node.of, matches))
        case Binary():
            return replace(node, left=confined(node.left, matches), right=confined(node.right, matches))
        case Literal():
            return node


def _with(selector: Selector, matches: Sequence[Match]) -> tuple[Match, ...]:
    for ours in matches:
        for theirs in selector.matches:
            if theirs.label == ours.label and not theirs.admits(ours.value):
                raise QueryRefused(f"a selector names another {ours.label} than the one it is kept to")
    return (*selector.matches, *(ours for ours in matches if ours not in selector.matches))


def parse(query: str) -> Node:
    """The query as values.

    Raises:
        QueryRefused: it is none, or one that is not read.
    """
    outside = _LITERAL.sub("", query)
    if len(outside) > LONGEST or len(query) - len(outside) > LONGEST_LITERALS:
        raise QueryRefused("the query is too long")
    if _UNTELLABLE.search(outside):
        raise QueryRefused("a time that no calendar holds")
    try:
        found = parser.parse(query)
    except ValueError as error:
        raise QueryRefused("this is no PromQL") from error
    return _node(found)


def _node(found: Any) -> Node:
    match found:
        case parser.VectorSelector():
            return _selector(found, None)
        case parser.MatrixSelector():
            return _selector(found.vector_selector, found.range)
        case parser.SubqueryExpr():
            if found.range is None:
                raise QueryRefused("a subquery without a range")
            return Subquery(_node(found.expr), found.range, found.step, _at(found.at), found.offset)
        case parser.Call():
            return Call(found.func.name, tuple(_node(one) for one in found.args))
        case parser.AggregateExpr():
            return _aggregate(found)
        case parser.BinaryExpr():
            return Binary(_node(found.lhs), f"{found.op}{_matching(found.modifier)}", _node(found.rhs))
        case parser.UnaryExpr():
            return Negated(_node(found.expr))
        case parser.ParenExpr():
            return Parenthesised(_node(found.expr))
        case parser.NumberLiteral():
            return Literal(number(found.val))
        case parser.StringLiteral():
            return Literal(quoted(found.val))
    raise QueryRefused("the query has a part of a kind that is not known")


# Pairs, since the parser's words cannot be hashed.
_OPS = (
    (parser.MatchOp.Equal, "="),
    (parser.MatchOp.NotEqual, "!="),
    (parser.MatchOp.Re, "=~"),
    (parser.MatchOp.NotRe, "!~"),
)
_SIDES = (
    (parser.VectorMatchCardinality.ManyToOne, "group_left"),
    (parser.VectorMatchCardinality.OneToMany, "group_right"),
)


def _op(found: parser.MatchOp) -> str:
    return next(sign for word, sign in _OPS if word == found)


def _selector(found: parser.VectorSelector, length: timedelta | None) -> Selector:
    if found.matchers.or_matchers:
        raise QueryRefused("alternatives within a selector are not PromQL")
    matches = tuple(Match(one.name, _op(one.op), one.value) for one in found.matchers.matchers)
    name = found.name or ""
    if name and not _NAME.fullmatch(name):
        name, matches = "", (Match("__name__", "=", name), *matches)
    return Selector(name, matches, length, _at(found.at), found.offset)


def _aggregate(found: parser.AggregateExpr) -> Aggregate:
    grouping = ""
    if found.modifier is not None:
        word = "by" if found.modifier.type == parser.AggModifierType.By else "without"
        grouping = f" {word} ({_labels(found.modifier.labels)})"
    parameter = None if found.param is None else _node(found.param)
    return Aggregate(str(found.op), grouping, parameter, _node(found.expr))


def _matching(modifier: parser.BinModifier | None) -> str:
    if modifier is None:
        return ""
    if modifier.fill_values.lhs is not None or modifier.fill_values.rhs is not None:
        raise QueryRefused("fill values are not written by us")
    words = " bool" if modifier.return_bool else ""
    if modifier.matching is not None:
        which = "on" if modifier.matching.type == parser.LabelModifierType.Include else "ignoring"
        words += f" {which} ({_labels(modifier.matching.labels)})"
    side = next((name for card, name in _SIDES if card == modifier.card), "")
    return f"{words} {side} ({_labels(modifier.group_labels or [])})" if side else words


def _labels(labels: Sequence[str]) -> str:
    return ", ".join(label if LABEL.fullmatch(label) else quoted(label) for label in labels)


def _at(modifier: parser.AtModifier | None) -> str:
    if modifier is None:
        return ""
    if modifier.type == parser.AtModifierType.Start:
        return "start()"
    if modifier.type == parser.AtModifierType.End:
        return "end()"
    moment = modifier.at
    if moment is None:
        raise QueryRefused("a time that is none")
    return f"{moment.timestamp():.3f}"


def written(node: Node) -> str:
    """The query as text."""
    match node:
        case Selector():
            inside = ",".join(map(str, node.matches))
            braces = f"{{{inside}}}" if inside or not node.name else ""
            length = f"[{duration(node.range)}]" if node.range is not None else ""
            return f"{node.name}{braces}{length}{_when(node.at, node.offset)}"
        case Subquery():
            step = duration(node.step) if node.step is not None else ""
            return f"{written(node.of)}[{duration(node.range)}:{step}]{_when(node.at, node.offset)}"
        case Call():
            return f"{node.function}({', '.join(map(written, node.arguments))})"
        case Aggregate():
            first = f"{written(node.parameter)}, " if node.parameter is not None else ""
            return f"{node.op}{node.grouping}{' ' if node.grouping else ''}({first}{written(node.of)})"
        case Binary():
            return f"{written(node.left)} {node.op} {written(node.right)}"
        case Negated():
            return f"-{written(node.of)}"
        case Parenthesised():
            return f"({written(node.of)})"
        case Literal():
            return node.text


def _when(at: str, offset: timedelta | None) -> str:
    return (f" @ {at}" if at else "") + (f" offset {duration(offset)}" if offset is not None else "")


def quoted(text: str) -> str:
    """A string literal; whatever stands in it, it ends where it ends."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + "".join(sign if sign.isprintable() else rf"\U{ord(sign):08x}" for sign in plain) + '"'


def number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "-Inf"
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)


def duration(length: timedelta) -> str:
    """As PromQL writes it, to the millisecond."""
    left = length // timedelta(milliseconds=1)
    sign, left = ("-", -left) if left < 0 else ("", left)
    parts = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return sign + ("".join(parts) or "0s")


def _fully(pattern: str, value: str) -> bool:
    try:
        return re2.fullmatch(pattern, value) is not None
    except re2.error as error:
        raise QueryRefused("a pattern that is no regular expression") from error
