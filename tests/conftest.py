"""Fixtures that all tests share: the real PostgreSQL and Redis, and the rule for missing programs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from libs.storage.embedded import EmbeddedPostgres
from tests.support.postgres import MakeDatabase, databases, running_server
from tests.support.programs import TESTBED, require
from tests.support.redis import RedisServer
from tests.testbed.cluster import Cluster

LONGEST_NAME = 40
"""Characters of a text that may stand in a test's name."""


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes and long texts do not name tests: some are random (parallel runs must agree), some are secrets."""
    if isinstance(val, bytes) or (isinstance(val, str) and len(val) > LONGEST_NAME):
        return argname
    return None


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests on the test bed run in one worker: they share one control plane, which takes 0.6 GB."""
    if any(TESTBED in mark.args for mark in item.iter_markers("needs")):
        item.add_marker(pytest.mark.xdist_group("cluster"))


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
def cluster() -> Iterator[Cluster]:
    """One control plane per session, with a node that KWOK plays. The test carries `@pytest.mark.needs("testbed")`.

    What it keeps to itself lies in `namespace`; what is not in a namespace (nodes, classes) it removes itself.
    """
    with Cluster() as running:
        running.add_node("node-1", cpu="32", memory="64Gi")
        yield running


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own."""
    with cluster.namespace() as name:
        yield name


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
