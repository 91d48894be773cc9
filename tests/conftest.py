"""Fixtures that all tests share: the real PostgreSQL and Redis, and the rule for missing programs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from libs.storage.embedded import EmbeddedPostgres
from tests.support.postgres import MakeDatabase, databases, running_server
from tests.support.programs import require
from tests.support.redis import RedisServer

LONGEST_NAME = 40
"""Characters of a text that may stand in a test's name."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes and long texts do not name tests: some are random (parallel runs must agree), some are secrets."""
    if isinstance(val, bytes) or (isinstance(val, str) and len(val) > LONGEST_NAME):
        return argname
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    needed = [str(name) for mark in item.iter_markers("needs") for name in mark.args]
    require(needed, in_ci=os.environ.get("CI") == "true")


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One server per pytest process. Tests that kill a server start their own (`running_server`)."""
    with running_server() as server:
        yield server


@pytest.fixture
def fresh_database(postgres: EmbeddedPostgres) -> Iterator[MakeDatabase]:
    """Call it with the names of services: a new database with their roles and empty schemas."""
    with databases(postgres) as make:
        yield make


@pytest.fixture(scope="module")
def module_database(postgres: EmbeddedPostgres) -> Iterator[MakeDatabase]:
    """The same, kept for all tests of a module."""
    with databases(postgres) as make:
        yield make


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server per pytest process. The test carries `@pytest.mark.needs("redis-server")`."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server that the test may freeze, kill and start again."""
    with RedisServer() as server:
        yield server
