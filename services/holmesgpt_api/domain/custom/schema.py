"""Parameters of a tool: a closed part of JSON Schema, and whether a model's arguments fit. Pure.

A schema may come from a foreign server, so it is read as text from somebody else: what is not known here is refused
rather than passed over, patterns are RE2's (linear in the text), there are no references, no nesting and no
combinations, so that neither a schema nor arguments can cost more than their length.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import re2

from services.holmesgpt_api.domain.custom.errors import BadToolset, Unfit
from services.holmesgpt_api.domain.custom.words import fault_in, plain

Type = Literal["string", "integer", "number", "boolean"]
TYPES: tuple[str, ...] = get_args(Type)

LARGEST = 16_384
"""Characters of a schema."""

MOST = 32
"""Parameters of one tool."""

LONGEST = 4_000
"""Characters of one argument; of a schema that says nothing, 1,000."""

USUAL = 1_000
SAID = 300
"""Characters of a parameter's description that a model is told."""

EXACT = 2**53
"""Integers beyond are not the same number in every program that reads JSON."""

PATTERN_AT_MOST = 500
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_OF_OBJECT = frozenset({"type", "properties", "required", "additionalProperties"})
_OF_ONE = frozenset(
    {"type", "enum", "const", "pattern", "minLength", "maxLength", "minimum", "maximum", "anyOf"}
)
_SAYINGS = frozenset({"title", "description", "default", "examples", "format", "deprecated", "$schema"})
"""They say something about a value and bound none."""


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    type: Type
    description: str = ""
    required: bool = False
    nullable: bool = False
    enum: tuple[str | int | float | bool, ...] | None = None
    pattern: str | None = None
    whole: bool = True
    """Whether the pattern must match all of the text, or as in JSON Schema anywhere in it."""
    shortest: int = 0
    longest: int = USUAL
    least: float | None = None
    most: float | None = None

    @property
    def said(self) -> str:
        """What a model is told of it, bounds included: what it knows it need not be refused for."""
        bounds = [
            f"matches {self.pattern}" if self.pattern else "",
            f"at least {self.shortest} characters" if self.shortest else "",
            f"at most {self.longest} characters" if self.longest != USUAL and not self.enum else "",
            f"at least {self.least:g}" if self.least is not None else "",
            f"at most {self.most:g}" if self.most is not None else "",
        ]
        return "; ".join(one for one in (self.description, *bounds) if one)


@dataclass(frozen=True, slots=True)
class Schema:
    parameters: tuple[Parameter, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset(one.name for one in self.parameters)

    @property
    def required(self) -> frozenset[str]:
        return frozenset(one.name for one in self.parameters if one.required)

    def check(self, given: object) -> dict[str, Any]:
        """The arguments, those left out or null not among them.

        Raises:
            Unfit: they are no JSON object, or do not fit; the first five faults are told.
        """
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            raise Unfit(self._wanted())
        known = {one.name: one for one in self.parameters}
        faults = [f"{plain(name, 60)}: there is no such argument" for name in given if name not in known]
        kept: dict[str, Any] = {}
        for one in self.parameters:
            value = given.get(one.name)
            if value is None:
                faults += [f"{one.name}: is missing ({one.said or one.type})"] if one.required else []
            elif fault := _fault(one, value):
                faults.append(f"{one.name}: {fault}")
            else:
                kept[one.name] = value
        if faults:
            raise Unfit("; ".join(faults[:5]))
        return kept

    def _wanted(self) -> str:
        needed = ", ".join(one.name for one in self.parameters if one.required)
        return "no arguments arrived as a JSON object" + (f"; needed: {needed}" if needed else "")


def read(schema: object, *, whole: bool) -> Schema:
    """Raises BadToolset: it is none of those taken here, and which part of it is not.

    Args:
        whole: whether patterns must match all of a text. An operator's must; a server means JSON Schema's.
    """
    if not isinstance(schema, Mapping):
        raise BadToolset("parameters: want a JSON Schema of an object")
    _bounded(schema)
    if unknown := sorted(str(name) for name in schema if name not in _OF_OBJECT | _SAYINGS):
        raise BadToolset(f"parameters: {_named(unknown)}: not taken")
    if schema.get("type", "object") != "object":
        raise BadToolset("parameters: want type object")
    if schema.get("additionalProperties", False) is not False:
        raise BadToolset("parameters: additionalProperties: others than those named are not taken")
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    if not isinstance(properties, Mapping) or len(properties) > MOST:
        raise BadToolset(f"parameters: properties: want at most {MOST} by name")
    if not isinstance(required, list) or not all(isinstance(one, str) for one in required):
        raise BadToolset("parameters: required: want a list of names")
    if strangers := sorted(set(required) - set(properties)):
        raise BadToolset(f"parameters: required: {_named(strangers)}: not among the properties")
    return Schema(
        tuple(
            _parameter(name, one, required=name in required, whole=whole) for name, one in properties.items()
        )
    )


def _bounded(schema: Mapping[Any, Any]) -> None:
    """Before anything walks through it: neither deep nor large. Raises BadToolset."""
    depth = 0
    layer: list[Any] = [schema]
    while layer:
        depth += 1
        if depth > 6:
            raise BadToolset("parameters: nested too deeply")
        below: list[Any] = []
        for one in layer:
            below += one.values() if isinstance(one, Mapping) else one
            if len(below) > 5_000:
                raise BadToolset("parameters: too large")
        layer = [one for one in below if isinstance(one, Mapping | list)]
    try:
        size = len(json.dumps(schema))
    except (TypeError, ValueError):
        raise BadToolset("parameters: no JSON") from None
    if size > LARGEST:
        raise BadToolset(f"parameters: {size} characters, more than {LARGEST}")


def _parameter(name: object, one: object, *, required: bool, whole: bool) -> Parameter:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadToolset(f"parameters: {plain(str(name), 40)!r}: no name for a parameter")
    if not isinstance(one, Mapping):
        raise BadToolset(f"parameters: {name}: want a schema")
    if unknown := sorted(str(word) for word in one if word not in _OF_ONE | _SAYINGS):
        raise BadToolset(f"parameters: {name}: {_named(unknown)}: not taken")
    shape, nullable = _shape(name, one)
    kind = shape.get("type")
    enum = _enum(name, shape)
    if kind is None and enum is not None and all(isinstance(value, str) for value in enum):
        kind = "string"
    if kind not in TYPES:
        raise BadToolset(f"parameters: {name}: type: want one of {', '.join(TYPES)}")
    if enum is not None and not all(_is_of(kind, value) for value in enum):
        raise BadToolset(f"parameters: {name}: enum: want values of type {kind}")
    pattern = _pattern(name, shape, kind)
    longest = _count(name, shape, "maxLength", USUAL)
    if longest > LONGEST:
        raise BadToolset(f"parameters: {name}: maxLength: more than {LONGEST} characters are not taken")
    description = one.get("description", "")
    return Parameter(
        name=name,
        type=kind,
        description=plain(description, SAID) if isinstance(description, str) else "",
        required=required,
        nullable=nullable,
        enum=enum,
        pattern=pattern,
        whole=whole,
        shortest=_count(name, shape, "minLength", 0),
        longest=longest,
        least=_number(name, shape, "minimum"),
        most=_number(name, shape, "maximum"),
    )


def _shape(name: str, one: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """The schema of the value itself, and whether null stands for none: the two ways in which that is written."""
    kinds = one.get("type")
    if isinstance(kinds, list):
        others = [kind for kind in kinds if kind != "null"]
        if len(others) != 1 or len(kinds) != 2:
            raise BadToolset(f"parameters: {name}: type: want one, or one and null")
        return {**one, "type": others[0]}, True
    if "anyOf" not in one:
        return one, False
    either = one["anyOf"]
    if not isinstance(either, list) or not all(isinstance(each, Mapping) for each in either):
        raise BadToolset(f"parameters: {name}: anyOf: want schemas")
    shapes = [each for each in either if each.get("type") != "null"]
    if len(shapes) != 1 or len(either) != 2 or set(one) & (_OF_ONE - {"anyOf"}):
        raise BadToolset(f"parameters: {name}: anyOf: taken only for one shape or null")
    if unknown := sorted(str(word) for word in shapes[0] if word not in (_OF_ONE - {"anyOf"}) | _SAYINGS):
        raise BadToolset(f"parameters: {name}: {_named(unknown)}: not taken")
    return shapes[0], True


def _enum(name: str, shape: Mapping[str, Any]) -> tuple[str | int | float | bool, ...] | None:
    values = shape.get("enum", [shape["const"]] if "const" in shape else None)
    if values is None:
        return None
    fits = isinstance(values, list) and 0 < len(values) <= 100
    if not fits or not all(isinstance(one, str | int | float) and len(str(one)) <= 200 for one in values):
        raise BadToolset(f"parameters: {name}: enum: want 1 to 100 short values")
    return tuple(values)


def _pattern(name: str, shape: Mapping[str, Any], kind: str) -> str | None:
    pattern = shape.get("pattern")
    if pattern is None:
        return None
    if not isinstance(pattern, str) or kind != "string" or len(pattern) > PATTERN_AT_MOST:
        raise BadToolset(f"parameters: {name}: pattern: want a short one, of a string")
    _compiled(name, pattern)
    return pattern


def _compiled(name: str, pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise BadToolset(f"parameters: {name}: pattern: {plain(str(error), 100)}") from None


def _count(name: str, shape: Mapping[str, Any], word: str, otherwise: int) -> int:
    value = shape.get(word, otherwise)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadToolset(f"parameters: {name}: {word}: want a number of characters")
    return value


def _number(name: str, shape: Mapping[str, Any], word: str) -> float | None:
    value = shape.get(word)
    if value is not None and not _is_of("number", value):
        raise BadToolset(f"parameters: {name}: {word}: want a number")
    return value


def _is_of(kind: object, value: object) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= EXACT
        case _:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return number and math.isfinite(value) and abs(value) <= 1e300  # type: ignore[arg-type]


def _fault(one: Parameter, value: object) -> str:
    if not _is_of(one.type, value):
        return f"want {'an' if one.type == 'integer' else 'a'} {one.type}"
    if one.enum is not None:
        return "" if value in one.enum else f"want one of {', '.join(str(each) for each in one.enum[:20])}"
    if isinstance(value, str):
        return _fault_in_text(one, value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if one.least is not None and value < one.least:
            return f"want at least {one.least:g}"
        if one.most is not None and value > one.most:
            return f"want at most {one.most:g}"
    return ""


def _fault_in_text(one: Parameter, value: str) -> str:
    if not one.shortest <= len(value) <= one.longest:
        return f"has {len(value)} characters; want {one.shortest} to {one.longest}"
    if fault := fault_in(value):
        return fault
    if one.pattern is not None:
        compiled = _compiled(one.name, one.pattern)
        matched = compiled.fullmatch(value) if one.whole else compiled.search(value)
        if matched is None:
            return f"does not match {one.pattern}"
    return ""


def _named(words: list[str]) -> str:
    return ", ".join(plain(one, 40) for one in words[:5])
