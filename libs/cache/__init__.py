"""Keep what can be computed again: a port, one implementation in this process and one in Redis.

Nothing is promised: a value may be gone at any time, and a cache that is down is a cache that misses.
What must survive belongs into PostgreSQL.
"""

from libs.cache.breaker import Breaker
from libs.cache.connect import RedisLink, connect
from libs.cache.guard import Guard
from libs.cache.keys import key
from libs.cache.memory import MemoryCache
from libs.cache.ports import Cache, OnFault
from libs.cache.provenance import made_of
from libs.cache.redis import RedisCache
from libs.cache.sealed import Sealed
from libs.cache.settings import RedisSettings
from libs.cache.turns import RedisTurns

__all__ = [
    "Breaker",
    "Cache",
    "Guard",
    "MemoryCache",
    "OnFault",
    "RedisCache",
    "RedisLink",
    "RedisSettings",
    "RedisTurns",
    "Sealed",
    "connect",
    "key",
    "made_of",
]
