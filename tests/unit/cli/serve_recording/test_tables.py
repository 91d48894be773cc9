from __future__ import annotations

from typing import Any

import pytest

from cli.serve_recording.resources import Resource
from cli.serve_recording.tables import PLAIN, cell, columns, custom, partial, table
from tests.support.kube import NOW, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")


def resource(*columns: dict[str, Any]) -> Resource:
    return Resource("example.com", "v1", "Mouse", "mice", "mouse", True, columns=columns)


def test_a_custom_kind_shows_what_its_definition_says():
    printer = custom(
        resource(
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
            {
                "name": "Ready",
                "type": "string",
                "jsonPath": '.status.conditions[?(@.type=="Ready")].status',
                "priority": 1,
            },
            {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        )
    )
    body = thing(
        "Mouse", "m", age=3, spec={"size": 7}, status={"conditions": [{"type": "Ready", "status": "True"}]}
    )

    assert [(column.name, column.priority) for column in printer.columns] == [
        ("Name", 0),
        ("Size", 0),
        ("Ready", 1),
        ("Age", 0),
    ]
    assert list(printer.cells(body, NOW)) == ["m", 7, "True", "3m"]
    assert list(printer.cells({}, NOW)) == ["", None, None, None]


def test_a_definition_without_columns_shows_name_and_age():
    assert custom(resource()) is PLAIN
    assert list(PLAIN.cells(thing("Mouse", "m", age=60 * 48), NOW)) == ["m", "2d"]


@pytest.mark.parametrize(
    ("status", "cells"),
    [
        (
            {
                "conditions": [
                    {"type": "Synced", "status": "True"},
                    {"type": "Ready", "status": "False", "reason": "NoQuota"},
                ]
            },
            ["False", "NoQuota"],
        ),
        ({"phase": "Failed"}, [None, "Failed"]),
        (
            {
                "phase": "Running",
                "conditions": [{"type": "Available", "status": "True", "reason": "AsExpected"}],
            },
            ["True", "Running"],
        ),
        ({"conditions": [{"type": "Odd", "status": "True"}]}, [None, None]),
        ({}, [None, None]),
        ("odd", [None, None]),
    ],
)
def test_a_kind_whose_definition_was_not_recorded_says_how_it_is(status: Any, cells: list[str | None]):
    printer = custom(Resource("example.com", "v1", "Mouse", "mice", "mouse", True))

    assert list(printer.cells(thing("Mouse", "m", age=3, status=status), NOW)) == ["m", *cells, "3m"]


@pytest.mark.parametrize(
    ("value", "kind", "shown"),
    [
        (None, "string", None),
        ("a", "string", "a"),
        (3, "string", "3"),
        (True, "string", "true"),
        (["a", 1], "string", '["a",1]'),
        ({"a": 1}, "string", '{"a":1}'),
        (3.7, "integer", 3),
        ("3", "integer", None),
        (True, "integer", None),
        (1e300, "integer", None),
        (2.5, "number", 2.5),
        (False, "boolean", False),
        ("no", "boolean", None),
        ("2026-11-18T09:27:00Z", "date", "3m"),
        ("soon", "date", "<invalid>"),
        (3, "date", None),
    ],
)
def test_a_cell_has_its_columns_type_or_is_empty(value: object, kind: str, shown: object):
    assert cell(value, kind, NOW) == shown


def test_a_table_says_its_columns_and_takes_along_what_is_wanted():
    body = thing("Mouse", "m", age=3)
    made = table(PLAIN, [(body, partial(body)), (body, None)], NOW, {"resourceVersion": "7"})

    assert (made["kind"], made["apiVersion"], made["metadata"]) == (
        "Table",
        "meta.k8s.io/v1",
        {"resourceVersion": "7"},
    )
    assert made["columnDefinitions"][0] == {
        "name": "Name",
        "type": "string",
        "format": "name",
        "description": "",
        "priority": 0,
    }
    assert made["rows"][0]["object"] == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": body["metadata"]}  # fmt: skip
    assert made["rows"][1] == {"cells": ["m", "3m"]}


def test_columns_are_numbers_where_their_name_says_so():
    made = columns("Name", "Count#", wide=("More",))

    assert [(one.name, one.type, one.priority) for one in made] == [("Name", "string", 0), ("Count", "integer", 0), ("More", "string", 1)]  # fmt: skip
