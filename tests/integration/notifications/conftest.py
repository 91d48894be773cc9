"""A migrated database for each test of this folder, and channels on real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.notifications.wiring import SERVICE
from tests.fakes.slack import SlackFake, slack
from tests.support.notifications import Place, place
from tests.support.postgres import MakeDatabase


@pytest.fixture
def here(fresh_database: MakeDatabase, tmp_path: Path) -> Place:
    return place(fresh_database(SERVICE, migrated=True), tmp_path)


@pytest.fixture
async def webhook() -> AsyncIterator[SlackFake]:
    async with slack() as fake:
        yield fake
