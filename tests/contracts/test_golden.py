"""Answers of version 1 keep every field they ever had, of the same type: older callers decode them.

`golden/context_api/v1` holds one answer of each route as it was first given, lists cut to their first entry. Whoever adds
a field adds it there too (`python -m tests.contracts.golden`); whoever must take one away makes a version 2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contracts.golden import ASKED, FOLDER, answers, shortened

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-DOC-013")


def lost(golden: Any, now: Any, path: str = "$") -> Iterator[str]:
    """Places in which `now` lacks what `golden` has, or has it of another type; null fits any type."""
    if golden is None or now is None:
        return
    if isinstance(golden, bool) != isinstance(now, bool) or (
        type(golden) is not type(now) and not {type(golden), type(now)} <= {int, float}
    ):
        yield f"{path}: {type(golden).__name__} became {type(now).__name__}"
    elif isinstance(golden, dict):
        for key, value in golden.items():
            if key not in now:
                yield f"{path}.{key}: is gone"
            else:
                yield from lost(value, now[key], f"{path}.{key}")
    elif isinstance(golden, list) and golden and now:
        yield from lost(golden[0], now[0], f"{path}[0]")


@pytest.mark.parametrize("name", sorted(ASKED))
async def test_an_answer_of_version_1_keeps_its_fields(name: str):
    golden = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))

    current = (await answers([name]))[name]

    assert list(lost(golden, current)) == []


def test_what_is_lost_is_named():
    golden = {"a": [{"b": 1, "c": "x"}], "d": None, "e": True}

    assert list(lost(golden, {"a": [{"b": 1.5}], "d": {}, "e": 1})) == [
        "$.a[0].c: is gone",
        "$.e: bool became int",
    ]


def test_every_golden_answer_is_asked_for():
    assert {file.stem for file in FOLDER.glob("*.json")} == set(ASKED)
    assert shortened({"a": [1, 2], "b": {"c": [3]}}) == {"a": [1], "b": {"c": [3]}}
