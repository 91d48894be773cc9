"""Tests of one incident run in one worker, so that its recording is read and asked about once."""

from __future__ import annotations

import pytest

from tests.incidents.corpus import entries

OVER_ALL = "over the whole corpus"
"""Group of the tests that ask about every incident."""


def pytest_itemcollected(item: pytest.Item) -> None:
    given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    name = str(given.get("name", "")).removeprefix("corpus/")
    if name in entries():
        item.add_marker(pytest.mark.xdist_group(name))
    elif "half" in given or "goal" in given:
        item.add_marker(pytest.mark.xdist_group(OVER_ALL))
