"""A migrated database and a fake Context API for each test of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.holmesgpt_api.wiring import SCHEMA
from tests.fakes.context_api import FakeContextApi, context_api
from tests.support.holmesgpt import Place, place
from tests.support.postgres import MakeDatabase


@pytest.fixture
def context() -> Iterator[FakeContextApi]:
    with context_api() as fake:
        yield fake


@pytest.fixture
def here(fresh_database: MakeDatabase, context: FakeContextApi, tmp_path: Path) -> Place:
    return place(fresh_database(SCHEMA, migrated=True), context.url, tmp_path)
