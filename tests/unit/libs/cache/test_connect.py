from __future__ import annotations

from datetime import timedelta

import pytest
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import TimeoutError as RedisTimeoutError

from libs.cache import RedisSettings, connect

pytestmark = pytest.mark.requirement("INF-BR-SEC-005", "INT-BR-REL-003")


def test_without_a_redis_url_there_is_no_link_and_nothing_fails():
    assert connect(RedisSettings.model_validate({"redis_url": None})) is None


def test_the_password_in_the_url_is_not_shown():
    assert "hidden" not in repr(RedisSettings.model_validate({"redis_url": "redis://:hidden@h/0"}))


def test_every_wait_is_bounded_by_the_setting_and_a_timeout_is_not_tried_again():
    link = connect(
        RedisSettings.model_validate(
            {"redis_url": "redis://nowhere.invalid/0", "redis_timeout": timedelta(seconds=0.3)}
        )
    )

    assert link is not None
    pool = link.client.connection_pool
    given = pool.connection_kwargs
    assert isinstance(pool, BlockingConnectionPool)
    assert (pool.timeout, given["socket_timeout"], given["socket_connect_timeout"]) == (0.3, 0.3, 0.3)
    assert given["retry"].get_retries() == 1
    assert not any(issubclass(RedisTimeoutError, error) for error in given["retry"]._supported_errors)
