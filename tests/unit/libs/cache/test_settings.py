from __future__ import annotations

import pytest

from libs.cache import RedisSettings, connect

pytestmark = pytest.mark.requirement("INF-BR-SEC-005")


def test_without_a_redis_url_there_is_no_link_and_nothing_fails():
    assert connect(RedisSettings.model_validate({"redis_url": None})) is None


def test_the_password_in_the_url_is_not_shown():
    assert "hidden" not in repr(RedisSettings.model_validate({"redis_url": "redis://:hidden@h/0"}))
