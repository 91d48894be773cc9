"""What an operator can set about Redis. A mixin: services inherit it into their own settings."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.contracts.base import Duration


class RedisSettings(BaseSettings):
    model_config = SettingsConfigDict(use_attribute_docstrings=True)

    redis_url: SecretStr | None = None
    """`redis://`, `rediss://` or `unix://` URL. Unset: caches and limits live in each process. With several
    replicas of an API, limits then count per replica."""

    redis_timeout: Duration = timedelta(milliseconds=200)
    """Longest wait for a connection and again for an answer. A healthy Redis answers in 1 ms; a miss after
    0.2 s is cheaper for every caller than a hit after 1 s."""

    redis_pool_size: int = Field(default=20, ge=1, le=1000)
    """Connections per process. A caller waits `REDIS_TIMEOUT` for a free one, then does without."""

    redis_breaker_faults: int = Field(default=3, ge=1)
    """Faults in a row after which Redis is left alone for a while. One may be chance, three are not."""

    redis_breaker_pause: Duration = timedelta(seconds=1)
    """How long it is left alone before one call tries again: callers pay for at most one timeout a second."""

    cache_max_entries: int = Field(default=10_000, ge=1)
    """Entries of the in-process cache; the least recently used go first."""

    cache_max_bytes: int = Field(default=64 * 1024 * 1024, ge=1024)
    """Bytes of the in-process cache, keys and values. 64 MiB: a service's own memory is about 60. The Context API
    takes half of it for whole answers and half for what they are made of."""
