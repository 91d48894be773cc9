"""Objects as the rows of a `Table`, which is what `kubectl get` prints. Pure.

kubectl prints the server's table as it is, and of a server that has none only names and ages; so the columns people
know are made here. What a built-in kind shows is `printers`' knowledge, a custom one says it in its definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from cli.serve_recording import durations, jsonpath
from cli.serve_recording.resources import Resource
from services.context_api.domain.kube import entries, mapping, number, text
from services.context_api.domain.snapshot import Body

META = "meta.k8s.io/v1"

Cell = str | int | float | bool | None
Cells = Callable[[Body, datetime], Sequence[Cell]]
"""The cells of one object; ages are counted to the time given."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str = "string"
    priority: int = 0
    """0 is always shown, 1 with `-o wide`."""
    format: str = ""
    description: str = ""

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


@dataclass(frozen=True, slots=True)
class Printer:
    """How a kind is printed."""

    columns: Sequence[Column]
    cells: Cells


def columns(*always: str, wide: Sequence[str] = ()) -> Sequence[Column]:
    """Columns by name; those that end in `#` are numbers."""
    return [
        Column(
            name.rstrip("#"),
            "integer" if name.endswith("#") else "string",
            priority,
            "name" if name == "Name" else "",
        )
        for priority, names in ((0, always), (1, wide))
        for name in names
    ]


def name_of(body: Body) -> str:
    return text(mapping(body.get("metadata")).get("name"))


def age_of(body: Body, now: datetime) -> str:
    return durations.since(mapping(body.get("metadata")).get("creationTimestamp"), now)


PLAIN = Printer(columns("Name", "Age"), lambda body, now: (name_of(body), age_of(body, now)))
"""For a kind whose definition has no columns of its own."""


HEALTH = ("Ready", "Available", "Healthy", "Succeeded", "Accepted", "Established")
"""Conditions that say how a custom resource is; the first it has is shown."""


def _guessed(body: Body, now: datetime) -> Sequence[Cell]:
    status = mapping(body.get("status"))
    conditions = {text(one.get("type")): one for one in reversed(entries(status.get("conditions")))}
    health: Body = next((conditions[kind] for kind in HEALTH if kind in conditions), {})
    word = text(status.get("phase")) or text(health.get("reason"))
    return name_of(body), text(health.get("status")) or None, word or None, age_of(body, now)


GUESSED = Printer(columns("Name", "Ready", "Status", "Age"), _guessed)
"""For a custom kind whose definition was not recorded: the columns it had are not known, how it is often stands in
its conditions or its phase."""


def custom(resource: Resource) -> Printer:
    """By the definition's `additionalPrinterColumns`; name and age where it has none."""
    if resource.columns is None:
        return GUESSED
    told = [one for one in resource.columns if text(one.get("name"))]
    if not told:
        return PLAIN
    shown = [
        Column(
            text(one.get("name")),
            text(one.get("type")) or "string",
            number(one.get("priority")),
            text(one.get("format")),
            text(one.get("description")),
        )
        for one in told
    ]
    paths = [text(one.get("jsonPath") or one.get("JSONPath")) for one in told]

    def cells(body: Body, now: datetime) -> Sequence[Cell]:
        return (
            name_of(body),
            *(
                cell(jsonpath.first(body, path), column.type, now)
                for column, path in zip(shown, paths, strict=True)
            ),
        )

    return Printer([*columns("Name"), *shown], cells)


def cell(value: object, kind: str, now: datetime) -> Cell:
    """A value as a column of that type shows it; None (printed as `<none>`) for none, and for one of another type."""
    if value is None:
        return None
    if kind == "date":
        if not isinstance(value, str):
            return None
        age = durations.since(value, now)
        return "<invalid>" if age == durations.UNKNOWN else age
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "integer":
        return int(value) if is_number and abs(value) < 2**63 else None  # type: ignore[arg-type,call-overload]
    if kind == "number":
        return value if is_number else None  # type: ignore[return-value]
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    return _printed(value)


def _printed(value: object) -> str:
    """As kubectl's JSONPath prints it: lists and mappings as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping | list):
        return orjson.dumps(value).decode()
    return text(value)


def table(
    printer: Printer, rows: Iterable[tuple[Body, Any]], now: datetime, metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """The Table of some objects, each with what of it goes along."""
    return {
        "kind": "Table",
        "apiVersion": META,
        "metadata": dict(metadata),
        "columnDefinitions": [column.document() for column in printer.columns],
        "rows": [
            {"cells": list(printer.cells(body, now)), **({"object": along} if along else {})}
            for body, along in rows
        ],
    }


def partial(body: Body) -> dict[str, Any]:
    """An object's metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": mapping(body.get("metadata"))}
